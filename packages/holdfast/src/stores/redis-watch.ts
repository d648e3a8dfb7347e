import { clearTimeout, setTimeout } from "node:timers";
import { keepListening, type Listener, type Listening } from "./listening.js";
import { type Client, isNodeRedis, primariesOf } from "./redis-client.js";

/** Where Redis publishes the keys that have changed, to a connection that speaks RESP 2. */
const CHANNEL = "__redis__:invalidate";
/** Milliseconds between two looks at which primaries a Cluster has, and until it has some. */
const LOOK = 5000;
const FIRST_LOOK = 250;

/** Whether more connections like a client's can be made. node-redis's Sentinel client keeps its options to itself. */
export function canBeWatched(client: Client): boolean {
  return modelOf(client) !== undefined || isCluster(client);
}

/**
 * Calls `onChange` with every key of this prefix that changes, without the prefix, by Redis's client-side caching in broadcast
 * mode (redis.io/docs/latest/develop/reference/client-side-caching). It takes a connection of its own to each primary:
 * on one that serves requests, word would come in between their answers, and only in RESP 3.
 */
export function watchKeys(
  client: Client,
  prefix: string,
  onChange: (id: string | undefined) => void,
): () => void {
  const listenOn = (primary: Client) =>
    keepListening("Redis", (listener) => listen(primary, prefix, listener), onChange);
  if (!isCluster(client)) return listenOn(client);

  const listening = new Map<string, () => void>();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async () => {
    const primaries = await primariesOf(client).catch(() => undefined);
    if (stopped) return;
    for (const [address, stop] of listening) {
      if (primaries === undefined || primaries.has(address)) continue;
      stop();
      listening.delete(address);
      // What it served is served by another now, which may have told of changes before anybody listened.
      onChange(undefined);
    }
    for (const [address, primary] of primaries ?? [])
      if (!listening.has(address)) listening.set(address, listenOn(primary));
    timer = setTimeout(look, listening.size === 0 ? FIRST_LOOK : LOOK);
    timer.unref();
  };
  void look();
  return () => {
    stopped = true;
    clearTimeout(timer);
    for (const stop of listening.values()) stop();
  };
}

async function listen(primary: Client, prefix: string, listener: Listener): Promise<Listening> {
  const model = await modelOf(primary)!();
  const connection = isNodeRedis(primary) ? likeNodeRedis(model) : likeIoredis(model);
  connection.on("error", listener.lost);
  connection.on("end", () => listener.lost());
  const end = () => (connection.destroy ?? connection.disconnect).call(connection);
  try {
    await connection.connect();
    const send = (...args: string[]) =>
      isNodeRedis(primary) ? connection.sendCommand(args) : connection.call(...args);
    const id = String(await send("CLIENT", "ID"));
    await send("CLIENT", "TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX", prefix);
    const heard = (keys: readonly unknown[] | null) => {
      // Null after a FLUSHALL.
      if (keys === null) return listener.changed(undefined);
      for (const key of keys) listener.changed(String(key).slice(prefix.length));
    };
    if (isNodeRedis(primary)) await connection.subscribe(CHANNEL, heard);
    else {
      connection.on("messageBuffer", (_channel: unknown, keys: Buffer[] | null) => heard(keys));
      await connection.subscribe(CHANNEL);
    }
  } catch (error) {
    end();
    throw error;
  }
  return { ping: () => connection.ping(), end };
}

/*
 * A connection like the client's that ends when it is lost: what it told is gone then, and the next one begins anew.
 */

function likeNodeRedis(model: any): any {
  return model.duplicate({
    RESP: 2,
    clientSideCache: undefined,
    emitInvalidate: undefined,
    maintNotifications: "disabled",
    socket: { ...model.options?.socket, reconnectStrategy: false },
  });
}

function likeIoredis(model: any): any {
  return model.duplicate({ keyPrefix: "", lazyConnect: true, autoResubscribe: false, retryStrategy: null });
}

function isCluster(client: Client): boolean {
  return "masters" in client || "nodes" in client;
}

/** The client that others are made like: the client itself, or one of a pool's. */
function modelOf(client: Client): (() => Promise<any>) | undefined {
  const { duplicate, execute } = client as { duplicate?: unknown; execute?: unknown };
  if (typeof duplicate === "function") return async () => client;
  if (typeof execute === "function" && !("acquire" in client))
    return () => (client as any).execute(async (one: unknown) => one);
  return undefined;
}
