import { randomBytes } from "node:crypto";
import { ConfigurationError, InvalidArgumentError } from "../errors.js";
import type { ReplaceResult, Store, StoreCall, StoredSession, StoreRecord } from "./contract.js";
import {
  checkedClient,
  connectionOf,
  evaluate,
  evaluateByHash,
  type IoredisClient,
  mayReadStale,
  type NodeRedisClient,
  openClient,
  primariesOf,
  type Script,
  savesSnapshots,
  script,
  wayTo,
} from "./redis-client.js";
import { canBeWatched, watchKeys } from "./redis-watch.js";

export type { IoredisClient, NodeRedisClient } from "./redis-client.js";

export interface RedisStoreOptions {
  /** A client of node-redis 4 or later (for a Cluster, 5), or of ioredis, for one server, Sentinels or a Cluster. `close()` leaves it open. */
  client?: NodeRedisClient | IoredisClient;
  /** `redis://` or `rediss://` (TLS) of one server, in place of `client`: takes `ioredis` or `redis`, whichever is installed. */
  url?: string;
  /** What every key begins with. A `{hash tag}` in it puts all sessions into one slot of a Cluster. Default: "holdfast:". */
  prefix?: string;
}

/**
 * Sessions in Redis 6.2 or later, or Valkey, for any number of machines. Every command and script has one key, so a Cluster
 * serves it. A session is one string that Redis expires by itself; see docs/stores/redis.md for the layout.
 *
 * @throws ConfigurationError where an option is wrong or no driver is there.
 */
export function redisStore(options: RedisStoreOptions): Store {
  const { prefix = "holdfast:" } = options;
  if (typeof prefix !== "string") throw new ConfigurationError("redisStore.prefix", "expected text");
  const own = options.client === undefined ? openClient(options.url) : undefined;
  const client = own?.client ?? checkedClient(options.client!);
  const connection = connectionOf(client);
  connection.stores++;
  connection.askForPolicy(`${prefix}policy`);
  const readsByScript = mayReadStale(client);
  /** What ioredis puts before every key by itself. */
  const driverPrefix = (client as { options?: { keyPrefix?: string } }).options?.keyPrefix ?? "";
  /** Names each write, so that one which a driver sends again after a lost connection is known for what it is. */
  const writer = randomBytes(6).toString("base64url");
  let writes = 0;
  const watches = new Set<() => void>();
  let closed = false;

  const sessionKey = (id: string) => `${prefix}s:${id}`;
  /** No user id can bring a hash tag of its own, or be taken for another: braces are encoded. */
  const userKey = (userId: string) => `${prefix}u:${encodeURIComponent(userId)}`;

  async function run(script: Script, key: string, ...args: string[]): Promise<unknown> {
    connection.check();
    try {
      return await evaluateByHash(client, script, key, args);
    } catch (error) {
      if (!(error as Error)?.message?.startsWith("NOSCRIPT")) throw error;
      return evaluate(client, script, [key], args);
    }
  }

  async function read(id: string): Promise<StoreRecord | undefined> {
    connection.check();
    const value = await (readsByScript ? run(LOAD, sessionKey(id)) : client.get(sessionKey(id)));
    return value === null || value === undefined ? undefined : decode(String(value));
  }

  /** Puts a session into its user's list, where it stays at least as long as the session can live. */
  async function enlist(
    id: string,
    userId: string,
    absoluteDeadline: number,
    call: StoreCall,
  ): Promise<void> {
    await run(ENLIST, userKey(userId), id, String(Math.max(timeToLive(absoluteDeadline, call), 1)));
  }

  /** Takes entries out that are so many seconds old. */
  async function strike(userId: string, ids: readonly string[], age: number): Promise<void> {
    if (ids.length > 0) await run(STRIKE, userKey(userId), String(age), ...ids);
  }

  async function enlisted(userId: string): Promise<string[]> {
    return ((await run(ENLISTED, userKey(userId))) as unknown[]).map(String);
  }

  const store: Store = {
    name: "redis",

    load(id) {
      return read(id);
    },

    async create(id, record, call) {
      const write = `${writer}${(writes++).toString(36)}`;
      if (record.userId !== null) {
        // The entry first: were the two cut apart, it would lead nowhere, but no session would be missing from the list.
        await enlist(id, record.userId, record.absoluteDeadline, call);
        call.signal.throwIfAborted();
      }
      const ttl = timeToLive(record.idleDeadline, call);
      return Number(await run(CREATE, sessionKey(id), write, encode(record, write), String(ttl))) === 1;
    },

    async replace(id, expectedVersion, record, call): Promise<ReplaceResult> {
      const write = `${writer}${(writes++).toString(36)}`;
      const { userId, idleDeadline, absoluteDeadline } = record;
      const swap = async (isEnlisted: boolean) => {
        const answer = await run(
          REPLACE,
          sessionKey(id),
          String(expectedVersion),
          write,
          encode(record, write),
          String(timeToLive(idleDeadline, call)),
          userId ?? "",
          String(absoluteDeadline),
          isEnlisted ? "enlisted" : "",
        );
        return (answer as unknown[]).map(String) as [string, string, string];
      };
      let [status, stored, storedIdleDeadline] = await swap(false);
      if (status === "enlist") {
        await enlist(id, userId!, absoluteDeadline, call);
        call.signal.throwIfAborted();
        [status, stored, storedIdleDeadline] = await swap(true);
      }
      if (status === "gone") return { status };
      if (status === "conflict") return { status, record: decode(stored) };
      if (stored !== (userId ?? "")) {
        if (stored !== "") inBackground(strike(stored, [id], SETTLED));
      } else if (userId !== null && idleDeadline - Number(storedIdleDeadline) >= RENEW_ENTRY) {
        inBackground(enlist(id, userId, absoluteDeadline, call));
      }
      return { status: "done" };
    },

    async touch(id, idleDeadline, call) {
      const ttl = timeToLive(idleDeadline, call);
      const answer = await run(TOUCH, sessionKey(id), String(idleDeadline), String(ttl));
      if (answer === null || answer === undefined) return false;
      const [userId, absoluteDeadline] = (answer as unknown[]).map(String) as [string, string];
      // An entry that a failover lost is back with the next touch.
      if (userId !== "") inBackground(enlist(id, userId, Number(absoluteDeadline), call));
      return true;
    },

    async delete(id) {
      await run(DELETE, sessionKey(id));
    },

    /** Redis removes what has expired. */
    sweep() {
      return 0;
    },

    async listByUser(userId) {
      const sessions: StoredSession[] = [];
      const strays: string[] = [];
      const visit = async (id: string) => {
        const record = await read(id);
        if (record?.userId === userId) sessions.push({ id, record });
        else strays.push(id);
      };
      await Promise.all((await enlisted(userId)).map(visit));
      inBackground(strike(userId, strays, SETTLED));
      return sessions;
    },

    async deleteByUser(userId, except, call) {
      const removed = new Set<string>();
      let before: string | undefined;
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const ids = (await enlisted(userId)).filter((id) => id !== except).sort();
        const visit = async (id: string) => {
          const found = String(await run(DELETE_OF_USER, sessionKey(id), userId));
          if (found === "deleted") removed.add(id);
          return `${id} ${removed.has(id) ? "absent" : found}`;
        };
        const after = (await Promise.all(ids.map(visit))).join("\n");
        // A renewal creates the new record before it buries the old one. While one runs, its new session may not have been
        // there yet when its turn came, but then the next round finds something else than this one.
        if (after === before) {
          await strike(userId, [...removed], 0);
          return [...removed];
        }
        before = after;
        call.signal.throwIfAborted();
      }
      throw new Error("the user's sessions kept changing while they were being deleted");
    },

    async scan(cursor, limit) {
      const position = cursor === undefined ? START : positionOf(cursor);
      connection.check();
      let primaries = await primariesOf(client);
      if (primaries.size === 0) {
        // A Cluster client knows them once it has run something.
        await read("");
        primaries = await primariesOf(client);
      }
      // A primary that is gone leaves its part to another, which begins anew.
      const left = [...primaries.keys()].filter((address) => !position.done.includes(address));
      const address = left.includes(position.address) ? position.address : left[0];
      if (address === undefined) return { sessions: [], next: undefined };

      const matching = `${driverPrefix}${sessionKey("")}`;
      const run = address === position.address ? position.run : "-";
      const args = [run, position.at, `${matching.replace(/[*?[\\]/g, "\\$&")}*`, String(Math.max(limit, 1))];
      const answer = await evaluate(primaries.get(address)!, PAGE, [], args);
      const [newRun, at, keys] = answer as [unknown, unknown, unknown[]];
      const ids = keys.map((key) => String(key).slice(matching.length));
      const records = await Promise.all(ids.map((id) => read(id).catch(nothingWhereForeign)));
      const sessions = ids.flatMap((id, n) => (records[n] === undefined ? [] : [{ id, record: records[n] }]));

      const ended = String(at) === "0";
      if (ended && left.length === 1) return { sessions, next: undefined };
      const done = ended ? [...position.done, address] : position.done;
      return { sessions, next: [newRun, at, address, ...done].join(" ") };
    },

    async rewrite(id, expectedVersion, payload) {
      const write = `${writer}${(writes++).toString(36)}`;
      const next = String(expectedVersion + 1);
      return Number(await run(REWRITE, sessionKey(id), String(expectedVersion), write, next, payload)) === 1;
    },

    async inspect() {
      connection.check();
      const [server, memory, persistence, time] = (await evaluate(
        client,
        INSPECTION,
        [`${prefix}info`],
        [],
      )) as [unknown, unknown, unknown, unknown[]];
      const [seconds, microseconds] = time.map(Number) as [number, number];
      const policy = /maxmemory_policy:(\S+)/.exec(String(memory))?.[1] ?? "noeviction";
      const version = /(?:valkey|redis)_version:(\S+)/.exec(String(server))?.[1];
      return {
        server: `${String(server).includes("valkey_version") ? "Valkey" : "Redis"} ${version}`,
        ...wayTo(client),
        clock: seconds * 1000 + Math.floor(microseconds / 1000),
        durable: String(persistence).includes("aof_enabled:1") || (await savesSnapshots(client)),
        evicts: policy === "noeviction" ? undefined : policy,
        expires: true,
      };
    },

    async close() {
      if (closed) return;
      closed = true;
      connection.stores--;
      for (const stop of watches) stop();
      await own?.end();
    },
  };
  if (canBeWatched(client)) {
    store.watch = (onChange) => {
      const stop = watchKeys(client, `${driverPrefix}${sessionKey("")}`, onChange);
      watches.add(stop);
      return () => {
        watches.delete(stop);
        stop();
      };
    };
  }
  return store;
}

/** Seconds after which an entry without a session is no longer one whose session is just being created. */
const SETTLED = 600;
/** Milliseconds by which a write has to move the idle deadline to renew the session's entry in its user's list. */
const RENEW_ENTRY = 60_000;
const MAX_ROUNDS = 20;

class ForeignValueError extends Error {
  constructor() {
    super("the value under a session's key is not a record of Holdfast's");
  }
}

/** `version idleDeadline absoluteDeadline write userId`, a line feed, and the payload. No user id is empty. */
function encode(record: StoreRecord, write: string): string {
  const { version, payload, idleDeadline, absoluteDeadline, userId } = record;
  return `${version} ${idleDeadline} ${absoluteDeadline} ${write} ${userId ?? ""}\n${payload}`;
}

function decode(value: string): StoreRecord {
  const head = /^(\d+) (\S+) (\S+) \S+ ([^\n]*)\n/.exec(value);
  if (head === null) throw new ForeignValueError();
  return {
    version: Number(head[1]),
    payload: value.slice(head[0].length),
    idleDeadline: Number(head[2]),
    absoluteDeadline: Number(head[3]),
    userId: head[4] === "" ? null : head[4]!,
  };
}

/** How far `scan` has come: on which primary, in which run of it, at which cursor, and which other primaries are done. */
interface Position {
  readonly run: string;
  readonly at: string;
  readonly address: string;
  readonly done: readonly string[];
}

const START: Position = { run: "-", at: "0", address: "", done: [] };

function positionOf(cursor: string): Position {
  const [run, at, address, ...done] = cursor.split(" ");
  if (run && at && address && /^\d{1,20}$/.test(at)) return { run, at, address, done };
  throw new InvalidArgumentError("The cursor given to scan is not one that this store gave.");
}

/** What lies under a session's key and is no record is none to tell of. What Redis itself refuses is an error. */
function nothingWhereForeign(error: unknown): undefined {
  if (!(error instanceof ForeignValueError)) throw error;
}

/** From the time that remains by the engine's clock, so Redis's own need not agree with it. */
function timeToLive(deadline: number, call: StoreCall): number {
  return Math.ceil(deadline - call.now);
}

/** Numbers pass through Lua as the text that JavaScript made of them; only deadlines are compared as numbers there. */
const HEAD = "'^(%d+) (%S+) (%S+) (%S+) ([^\\n]*)\\n'";

const LOAD = script("return redis.call('GET', KEYS[1])");

const DELETE = script("return redis.call('DEL', KEYS[1])");

/** ARGV: write, value, time to live. A time to live of 0 or less removes the key. */
const CREATE = script(`
local stored = redis.call('GET', KEYS[1])
if stored then
  local _, _, _, write = string.match(stored, ${HEAD})
  return write == ARGV[1] and 1 or 0
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`);

/** ARGV: expected version, write, value, time to live, user id, absolute deadline, "enlisted" where the user's list has it. */
const REPLACE = script(`
local stored = redis.call('GET', KEYS[1])
if not stored then return {'gone', '', ''} end
local version, idle, absolute, write, user = string.match(stored, ${HEAD})
if write == ARGV[2] then return {'done', user, idle} end
if version ~= ARGV[1] then return {'conflict', stored, ''} end
local needsEntry = ARGV[5] ~= '' and (ARGV[5] ~= user or tonumber(ARGV[6]) > tonumber(absolute))
if needsEntry and ARGV[7] == '' then return {'enlist', '', ''} end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'done', user, idle}`);

/** ARGV: idle deadline, time to live. */
const TOUCH = script(`
local stored = redis.call('GET', KEYS[1])
if not stored then return false end
local version, idle, absolute, write, user = string.match(stored, ${HEAD})
if not version then return redis.error_reply('the value is not a record of Holdfast') end
local new = tonumber(ARGV[1])
if new <= tonumber(idle) or new > tonumber(absolute) then return false end
redis.call('SET', KEYS[1], version .. ' ' .. ARGV[1] .. string.sub(stored, #version + #idle + 2))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {user, absolute}`);

/** ARGV: expected version, write, next version, payload. */
const REWRITE = script(`
local stored = redis.call('GET', KEYS[1])
if not stored then return 0 end
local version, idle, absolute, write, user = string.match(stored, ${HEAD})
if write == ARGV[2] then return 1 end
if version ~= ARGV[1] then return 0 end
local head = table.concat({ARGV[3], idle, absolute, ARGV[2], user}, ' ')
redis.call('SET', KEYS[1], head .. '\\n' .. ARGV[4], 'KEEPTTL')
return 1`);

/** ARGV: user id. */
const DELETE_OF_USER = script(`
local stored = redis.call('GET', KEYS[1])
if not stored then return 'absent' end
local _, _, _, _, user = string.match(stored, ${HEAD})
if user ~= ARGV[1] then return 'other' end
redis.call('DEL', KEYS[1])
return 'deleted'`);

/** A user's list: a sorted set of ids, scored with the second of entry by Redis's clock. ARGV: id, time to live. */
const ENLIST = script(`
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end`);

const ENLISTED = script("return redis.call('ZRANGE', KEYS[1], 0, -1)");

/** ARGV: the age in seconds that an entry must have, ids. */
const STRIKE = script(`
local latest = redis.call('TIME')[1] - ARGV[1]
for n = 2, #ARGV do
  local entered = redis.call('ZSCORE', KEYS[1], ARGV[n])
  if entered and tonumber(entered) <= latest then redis.call('ZREM', KEYS[1], ARGV[n]) end
end`);

/**
 * ARGV: the run that the cursor is of, cursor, pattern, count. A cursor means something to one run of one server only: after a
 * restart or a failover the scan begins anew.
 */
const PAGE = script(`
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or '-'
local cursor = run == ARGV[1] and ARGV[2] or '0'
local page = redis.call('SCAN', cursor, 'MATCH', ARGV[3], 'COUNT', ARGV[4], 'TYPE', 'string')
return {run, page[1], page[2]}`);

/** In one script, with one key that is not read, so that a Cluster client routes it like anything else. */
const INSPECTION = script(`
return {redis.call('INFO', 'server'), redis.call('INFO', 'memory'), redis.call('INFO', 'persistence'), redis.call('TIME')}`);

/** Keeping a list tidy is no part of the answer; what fails here is done again by a later call. */
function inBackground(work: Promise<void>): void {
  work.catch(() => {});
}
