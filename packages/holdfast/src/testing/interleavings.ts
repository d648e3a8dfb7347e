import assert from "node:assert/strict";
import { createSessions } from "../engine/create-sessions.js";
import type { Exchange } from "../engine/exchange.js";
import type { SessionRequest } from "../engine/request.js";
import type { Sessions } from "../engine/sessions.js";
import type { ResponseHeaders } from "../engine/transport.js";
import { SessionGoneError } from "../errors.js";
import type { Store } from "../stores/contract.js";

/**
 * Runs several requests of one session, step by step in an order that fast-check chooses, on a real store and on a model
 * of a few lines, and compares what the browser gets and what the store holds in the end.
 *
 * @param late the same store behind near caches that hear of no change, for some of the requests: what they begin with may be
 *   older, and nothing else may differ.
 */
export async function checkInterleavings(
  store: Store,
  runs: number,
  late: readonly Store[] = [],
): Promise<void> {
  const { default: fc } = await import("fast-check");
  // The engine may be handed the store once more for each run, but only the suite closes it.
  const shared = [store, ...late].map((one): Store => ({ ...bound(one), close() {} }));
  const step = fc.record({ request: fc.nat(3), action: fc.constantFrom(...ACTIONS) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24 }), (steps) => runSteps(shared, steps)),
    { numRuns: runs },
  );
}

const ACTIONS = [
  "set",
  "append",
  "count",
  "commit",
  "login",
  "rotate",
  "logout",
  "commit",
  "set",
  "count",
] as const;

interface Step {
  readonly request: number;
  readonly action: (typeof ACTIONS)[number];
}

interface Data {
  list: number[];
  count: number;
  [key: string]: unknown;
}

/** What the stored session should hold, and which of its tokens is alive. */
interface Model {
  generation: number;
  alive: boolean;
  data: Data;
}

/** One request: what the engine has of it, and what the model knows. */
interface Party {
  readonly exchange: Exchange<Data>;
  generation: number;
  /** The request goes on with a session of its own, which the model doesn't follow. */
  left: boolean;
  committed: boolean;
  pending: Record<string, number>;
  appended: number[];
}

async function runSteps(stores: readonly Store[], steps: readonly Step[]): Promise<void> {
  const engines = stores.map((store) =>
    createSessions<Data>({
      secrets: ["interleavings 4f0c2b8e6a19d753 of requests"],
      store,
      sweepInterval: false,
      initial: () => ({ list: [], count: 0 }),
      merge: { list: "append" },
    }),
  );
  const sessions = engines[0]!;
  const first = await open(sessions, undefined);
  first.session.data.begun = true;
  let cookie = await commit(first);
  assert.ok(cookie, "the first write sets the cookie");

  const model: Model = { generation: 0, alive: true, data: { list: [], count: 0, begun: true } };
  const parties = new Map<number, Party>();
  let serial = 0;

  for (const { request, action } of steps) {
    let party = parties.get(request);
    if (party === undefined) {
      const engine = engines[request % engines.length]!;
      const exchange = await open(engine, cookie);
      const { isNew } = exchange.session;
      if (engine === sessions || model.alive)
        assert.equal(isNew, !model.alive, "a living session is found, a dead one is not");
      party = {
        exchange,
        generation: model.generation,
        left: isNew,
        committed: false,
        pending: {},
        appended: [],
      };
      parties.set(request, party);
    }
    const current = !party.left && model.alive && party.generation === model.generation;
    const { session } = party.exchange;
    serial++;

    if (action === "set") {
      session.data[`key${request}`] = serial;
      party.pending[`key${request}`] = serial;
    } else if (action === "append") {
      session.data.list = [...session.data.list, serial];
      party.appended.push(serial);
    } else if (action === "count") {
      const update = session.update((data) => ++data.count);
      if (party.left) {
        // A session of its own, or, with a token that was ended a moment ago, none.
        await update.catch((error) => assert.ok(error instanceof SessionGoneError));
        continue;
      }
      if (!current) {
        await assert.rejects(update, SessionGoneError);
        continue;
      }
      flush(model, party);
      assert.equal(await update, ++model.data.count);
    } else if (action === "commit") {
      const setCookie = await commit(party.exchange);
      if (current) flush(model, party);
      else if (!party.left)
        assert.equal(setCookie, undefined, "a late response leaves the browser's cookie alone");
      if (current && setCookie) cookie = setCookie;
      parties.delete(request);
    } else if (action === "logout") {
      await session.logout();
      if (current) model.alive = false;
      party.left = true;
    } else if (action === "rotate") {
      if (party.left) continue;
      if (!current) {
        await assert.rejects(session.rotate(), SessionGoneError);
        continue;
      }
      await session.rotate();
      flush(model, party);
      model.generation++;
      party.generation = model.generation;
      cookie = await commit(party.exchange);
      parties.delete(request);
    } else if (action === "login") {
      await session.login(`user-of-the-model`);
      if (!current) {
        party.left = true;
        continue;
      }
      flush(model, party);
      model.generation++;
      party.generation = model.generation;
      cookie = await commit(party.exchange);
      parties.delete(request);
    }
  }

  const last = await open(sessions, cookie);
  assert.equal(last.session.isNew, !model.alive);
  if (model.alive) {
    const { list, ...data } = last.session.data;
    const { list: expectedList, ...expected } = model.data;
    assert.deepEqual(data, expected);
    assert.deepEqual(list.toSorted(), expectedList.toSorted());
  }
  await sessions.ofUser("user-of-the-model").revokeAll();
}

/** What the request had changed is stored from here on. */
function flush(model: Model, party: Party): void {
  Object.assign(model.data, party.pending);
  model.data.list = [...model.data.list, ...party.appended];
  party.pending = {};
  party.appended = [];
}

async function open(sessions: Sessions<Data>, cookie: string | undefined): Promise<Exchange<Data>> {
  const headers: Record<string, string | undefined> = { host: "shop.example", cookie };
  const request: SessionRequest = {
    method: "GET",
    target: "/",
    header: (name) => headers[name],
    encrypted: true,
    remoteAddress: "192.0.2.1",
  };
  return sessions.open(request);
}

/** Ends a request; the name and value of the cookie that its response sets. */
async function commit(exchange: Exchange<Data>): Promise<string | undefined> {
  await exchange.commit();
  let line: string | undefined;
  const headers: ResponseHeaders = {
    get: () => undefined,
    set() {},
    append(name, value) {
      if (name === "Set-Cookie") line = value;
    },
  };
  exchange.writeHeaders(headers);
  return line?.split(";", 1)[0];
}

/** A store's methods as properties of a new object, for a store that is an instance of a class. */
function bound(store: Store): Store {
  return {
    name: store.name,
    load: (...args) => store.load(...args),
    create: (...args) => store.create(...args),
    replace: (...args) => store.replace(...args),
    touch: (...args) => store.touch(...args),
    delete: (...args) => store.delete(...args),
    sweep: (...args) => store.sweep(...args),
    listByUser: (...args) => store.listByUser(...args),
    deleteByUser: (...args) => store.deleteByUser(...args),
    close: () => store.close(),
  };
}
