import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { ConfigurationError } from "../errors.js";
import { warn } from "../warn.js";
import type { StoreInspection } from "./contract.js";

/** The clients of both drivers, for every topology: how scripts are run on them, and how their connections do. */

/** What the store needs of a client of `redis` (node-redis): a client, a pool, a Sentinel or a Cluster has it. */
export interface NodeRedisClient {
  get(key: string): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  on(event: string, listener: (...args: any[]) => void): unknown;
  readonly isReady?: boolean;
}

/** What the store needs of a client of `ioredis`: Redis (with or without Sentinels) and Cluster have it. */
export interface IoredisClient {
  get(key: string): Promise<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>;
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>;
  on(event: string, listener: (...args: any[]) => void): unknown;
  readonly status: string;
}

export interface Script {
  readonly text: string;
  readonly sha: string;
}

export function script(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/** In a script, so that a Cluster client routes it like anything else; the key is not read. */
const MEMORY = script("return redis.call('INFO', 'memory')");

export type Client = NodeRedisClient | IoredisClient;

export function isNodeRedis(client: Client): client is NodeRedisClient {
  return typeof (client as NodeRedisClient).evalSha === "function";
}

export function evaluateByHash(
  client: Client,
  { sha }: Script,
  key: string,
  args: string[],
): Promise<unknown> {
  if (isNodeRedis(client)) return client.evalSha(sha, { keys: [key], arguments: args });
  return client.evalsha(sha, 1, key, ...args);
}

export function evaluate(client: Client, { text }: Script, keys: string[], args: string[]): Promise<unknown> {
  if (isNodeRedis(client)) return client.eval(text, { keys, arguments: args });
  return client.eval(text, keys.length, ...keys, ...args);
}

/** The primaries that share the keys, by address. Where there is one only, the client itself leads to it. */
export async function primariesOf(client: Client): Promise<Map<string, Client>> {
  const cluster = client as {
    masters?: ReadonlyArray<{ address: string }>;
    nodeClient?(node: object): Promise<Client>;
    nodes?(role: "master"): ReadonlyArray<Client & { options: { host: string; port: number } }>;
  };
  if (cluster.masters !== undefined) {
    const nodes = cluster.masters.map(
      async (node) => [node.address, await cluster.nodeClient!(node)] as const,
    );
    return new Map(await Promise.all(nodes));
  }
  if (cluster.nodes !== undefined) {
    return new Map(
      cluster.nodes("master").map((node) => [`${node.options.host}:${node.options.port}`, node]),
    );
  }
  return new Map([["-", client]]);
}

/** As far as the client's options tell, which are each driver's own. */
export function wayTo(client: Client): Pick<StoreInspection, "encrypted" | "place"> {
  const { options } = client as { options?: any };
  if (options === undefined || (client as { isCluster?: boolean }).isCluster || "masters" in client)
    return {};
  const { host, path, tls } = options.socket ?? options;
  const place =
    path || /^(localhost|127\.|::1)/.test(host ?? "localhost") ? "this machine" : "another machine";
  return { place, encrypted: Boolean(tls) };
}

/** Whether Redis writes snapshots by its settings; undefined where they can't be asked for, as in a managed one. */
export async function savesSnapshots(client: Client): Promise<boolean | undefined> {
  const { config, configGet } = client as any;
  try {
    if (configGet !== undefined) return Boolean((await configGet.call(client, "save")).save);
    return Boolean((await config.call(client, "GET", "save"))[1]);
  } catch {
    return undefined;
  }
}

export function checkedClient(client: Client): Client {
  const { get, on } = client ?? {};
  const complete = [get, on, client?.eval].every((method) => typeof method === "function");
  // The callback clients of old have an `evalsha` too, but no status.
  const isIoredis =
    typeof (client as IoredisClient)?.evalsha === "function" &&
    typeof (client as IoredisClient).status === "string";
  if (!complete || !(isNodeRedis(client) || isIoredis)) {
    throw new ConfigurationError(
      "redisStore.client",
      "expected a client of redis (node-redis 4 or later) or of ioredis",
    );
  }
  if (isNodeRedis(client) && "masters" in client && !("destroy" in client)) {
    // It takes the script for the key, and sends it to any node.
    throw new ConfigurationError(
      "redisStore.client",
      "the Cluster client of node-redis 4 can't route scripts; use redis@5",
    );
  }
  return client;
}

/**
 * A client of a Cluster or of Sentinels may be set to read from replicas, which lag behind, and one with a cache may answer
 * by itself. Scripts go to the primary all the same; anywhere else a plain GET costs Redis less.
 */
export function mayReadStale(client: Client): boolean {
  const { isCluster, options } = client as { isCluster?: boolean; options?: { clientSideCache?: unknown } };
  return (
    isCluster === true || "masters" in client || "acquire" in client || Boolean(options?.clientSideCache)
  );
}

/** The state of a client's connection, as all stores on this client see it. */
interface Connection {
  /** How many stores are open on it. */
  stores: number;
  /** @throws Error while the connection is lost, at once, where the driver would queue the command. */
  check(): void;
  /** Asks for the eviction policy, now or once there is a connection, and warns where it can cost sessions. */
  askForPolicy(key: string): void;
}

/** A client gets its listeners once: node-redis forgets listeners that are added after its last one was removed. */
const connections = new WeakMap<Client, Connection>();

export function connectionOf(client: Client): Connection {
  const connection = connections.get(client) ?? watchConnection(client);
  connections.set(client, connection);
  return connection;
}

function watchConnection(client: Client): Connection {
  let outage: Error | undefined;
  let policyKey: string | undefined;

  const isReady = () => {
    const { isReady, status } = client as Partial<NodeRedisClient & IoredisClient>;
    return isReady ?? (status === undefined || status === "ready");
  };
  const lost = (error: unknown) => {
    if (isReady() || outage !== undefined) return;
    outage = error instanceof Error ? error : new Error("it was closed");
    if (connection.stores === 0) return;
    warn(
      "HOLDFAST_REDIS_CONNECTION",
      `there is no connection to Redis: ${outage.message}. Requests with a session fail (503) until it is back.`,
    );
  };
  const askForPolicy = async () => {
    if (policyKey === undefined) return;
    try {
      const memory = String(await evaluate(client, MEMORY, [policyKey], []));
      if (policyKey === undefined) return;
      policyKey = undefined;
      const policy = /maxmemory_policy:(\S+)/.exec(memory)?.[1] ?? "noeviction";
      if (policy === "noeviction") return;
      warn(
        "HOLDFAST_REDIS_EVICTION",
        `Redis has the maxmemory-policy ${policy}: when its memory is full, it removes sessions that have not expired, ` +
          "and their users are logged out. Set maxmemory-policy to noeviction.",
      );
    } catch {
      // A managed Redis may forbid the question.
    }
  };

  const connection: Connection = {
    stores: 0,
    check() {
      if (outage === undefined || isReady()) return;
      throw new Error(`not connected to Redis: ${outage.message}`, { cause: outage });
    },
    askForPolicy(key) {
      policyKey = key;
      if (isReady()) void askForPolicy();
    },
  };
  client.on("error", lost);
  client.on("reconnecting", lost);
  client.on("ready", () => {
    outage = undefined;
    void askForPolicy();
  });
  // A Cluster client of node-redis is never "ready".
  client.on("connect", askForPolicy);
  return connection;
}

/** A client that the store made itself. */
interface OwnClient {
  readonly client: Client;
  end(): unknown;
}

/** Milliseconds to wait for a connection, and for a sign of life on it. */
const CONNECT_TIMEOUT = 5000;
const SILENCE = 10_000;

export function openClient(url: string | undefined): OwnClient {
  if (typeof url !== "string" || !/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    // The URL may hold a password, so it is not repeated here.
    throw new ConfigurationError(
      "redisStore",
      'expected a connected client, or a URL, as in redisStore({ url: "redis://127.0.0.1:6379" })',
    );
  }
  const require = createRequire(import.meta.url);
  // ioredis first: it notices a server that has gone silent, which node-redis leaves to TCP.
  for (const open of [openIoredis, openNodeRedis]) {
    try {
      return open(require, url);
    } catch (error) {
      if ((error as { code?: string }).code !== "MODULE_NOT_FOUND") {
        throw new ConfigurationError("redisStore.url", (error as Error).message);
      }
    }
  }
  throw new ConfigurationError(
    "redisStore",
    "no Redis driver was found. Run: npm install ioredis (or redis)",
  );
}

function openIoredis(require: NodeJS.Require, url: string): OwnClient {
  const client = new (require("ioredis").Redis)(url, {
    connectTimeout: CONNECT_TIMEOUT,
    socketTimeout: SILENCE,
    maxRetriesPerRequest: 1,
    autoResendUnfulfilledCommands: false,
  });
  return { client, end: () => client.disconnect() };
}

function openNodeRedis(require: NodeJS.Require, url: string): OwnClient {
  let ended = false;
  const reconnectStrategy = (retries: number) =>
    ended ? false : Math.min(2 ** retries * 50, 2000) * (0.5 + Math.random());
  const socket = { connectTimeout: CONNECT_TIMEOUT, reconnectStrategy };
  const client = require("redis").createClient({ url, socket });
  // It goes on trying by itself, and what fails is an error event as well.
  client.connect().catch(() => {});
  const end = () => {
    ended = true;
    if (client.isReady) return client.disconnect();
    // It would not end a connection that is just being made.
    client.on("ready", () => client.disconnect());
  };
  return { client, end };
}
