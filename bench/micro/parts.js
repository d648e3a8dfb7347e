/**
 * The parts that a request is made of, each alone. `once` makes what a part needs, and gives the function that is measured;
 * where each repetition needs something new, `prepare` makes it and isn't measured.
 */
import { createSessions, memoryStore } from "holdfast";
import { jsonCodec } from "../../packages/holdfast/dist/engine/codec.js";
import { mergeData } from "../../packages/holdfast/dist/engine/merge.js";
import { createKeyring } from "../../packages/holdfast/dist/token/keyring.js";
import { newToken } from "../../packages/holdfast/dist/token/token.js";
import { requestWith, startSession } from "../../packages/holdfast/test/cost/requests.mjs";
import { largeData, smallData } from "../http/session-data.js";

const SECRET = "Vq3nB8wY1tK6mZ4rXc9sLd2fGh7jPa5e";
/** More than the keyring remembers, so that each comes to it as new. */
const NEW_TOKENS = 25_000;

const keyring = () => createKeyring([SECRET], true);

/** Sessions, and a request with the cookie of one that holds `data`. */
async function sessionsWith(
  data,
  store = memoryStore({ maxSessions: 1e6, maxBytes: 1 << 30 }),
  encrypt = false,
) {
  const sessions = createSessions({ secrets: [SECRET], store, encrypt, sweepInterval: false });
  return { sessions, request: await startSession(sessions, data) };
}

/** A memory store that answers as one over a network does: later, and with a new record each time. */
function distantStore() {
  const store = memoryStore({ maxSessions: 1e6, maxBytes: 1 << 30 });
  const { load } = store;
  return {
    ...store,
    async load(id, call) {
      const record = await load(id, call);
      if (record === undefined) return undefined;
      // Only what a database keeps: not what was noted on the record that is in memory.
      const { version, payload, idleDeadline, absoluteDeadline, userId } = record;
      return { version, payload, idleDeadline, absoluteDeadline, userId };
    },
  };
}

function read(exchange) {
  return exchange.session.data.user.name;
}

/** A request from its cookie to its commit. */
function whole(sessions, request, work) {
  const opened = sessions.open(request);
  const finish = (exchange) => {
    work(exchange);
    return exchange.commit();
  };
  return opened instanceof Promise ? opened.then(finish) : finish(opened);
}

function wholeRead(name, { data, store, encrypt }) {
  return {
    name,
    async once() {
      const { sessions, request } = await sessionsWith(data("u"), store?.(), encrypt);
      return () => whole(sessions, request, read);
    },
  };
}

function wholeWrite(name, { data, encrypt }) {
  return {
    name,
    async once() {
      const { sessions, request } = await sessionsWith(data("u"), undefined, encrypt);
      let count = 0;
      const change = ({ session }) => {
        session.data.count = ++count;
      };
      return () => whole(sessions, request, change);
    },
  };
}

function commitWithoutChange(name, data) {
  return {
    name,
    async once() {
      const { sessions, request } = await sessionsWith(data("u"));
      this.prepare = () => {
        const exchange = sessions.open(request);
        read(exchange);
        return exchange;
      };
      return (exchange) => exchange.commit();
    },
  };
}

export const PARTS = [
  {
    name: "token verify, known",
    once() {
      const keys = keyring();
      const value = keys.sign(newToken());
      return () => keys.verify(value);
    },
  },
  {
    name: "token verify, new",
    once() {
      const keys = keyring();
      const values = Array.from({ length: NEW_TOKENS }, () => keys.sign(newToken()));
      let next = 0;
      return () => keys.verify(values[next++ % NEW_TOKENS]);
    },
  },
  {
    name: "token verify, forged",
    once() {
      const keys = keyring();
      const value = createKeyring([[...SECRET].reverse().join("")], true).sign(newToken());
      return () => keys.verify(value);
    },
  },
  {
    name: "token verify, malformed",
    once() {
      const keys = keyring();
      return () => keys.verify("no token at all");
    },
  },
  {
    name: "load (memory)",
    async once() {
      const { sessions, request } = await sessionsWith(smallData("u"));
      return () => sessions.open(request);
    },
  },
  {
    name: "load (a store over a network)",
    async once() {
      const { sessions, request } = await sessionsWith(smallData("u"), distantStore());
      return () => sessions.open(request);
    },
  },
  wholeRead("read request, whole (memory)", { data: smallData }),
  wholeRead("read request, whole, 20 KB (memory)", { data: largeData }),
  wholeRead("read request, whole, encrypted (memory)", { data: smallData, encrypt: true }),
  wholeRead("read request, whole (a store over a network)", { data: smallData, store: distantStore }),
  wholeRead("read request, whole, encrypted (a store over a network)", {
    data: smallData,
    store: distantStore,
    encrypt: true,
  }),
  {
    name: "anonymous request, whole",
    async once() {
      const { sessions } = await sessionsWith(smallData("u"));
      const request = requestWith(undefined);
      return () => whole(sessions, request, ({ session }) => session.data.user);
    },
  },
  commitWithoutChange("commit without a change", smallData),
  commitWithoutChange("commit without a change, 20 KB", largeData),
  {
    name: "commit with a change",
    async once() {
      // One for each repetition: two changes of the same session at the same time would have to be merged.
      const { sessions } = await sessionsWith(smallData("u"));
      const requests = [];
      for (let n = 0; n < 15_000; n++) requests.push(await startSession(sessions, smallData(`u-${n}`)));
      let turn = 0;
      this.prepare = () => {
        const exchange = sessions.open(requests[turn++ % requests.length]);
        exchange.session.data.count = turn;
        return exchange;
      };
      return (exchange) => exchange.commit();
    },
  },
  wholeWrite("write request, whole (memory)", { data: smallData }),
  wholeWrite("write request, whole, encrypted (memory)", { data: smallData, encrypt: true }),
  wholeWrite("write request, whole, 20 KB (memory)", { data: largeData }),
  {
    name: "merge of two changes",
    once() {
      const base = smallData("u");
      const mine = { ...smallData("u"), theme: "light", cart: [...smallData("u").cart, { sku: "x" }] };
      const theirs = { ...smallData("u"), count: 1, locale: "fr-FR" };
      return () => mergeData(base, mine, theirs, { cart: "append" }, jsonCodec);
    },
  },
  ...[
    ["350 bytes", JSON.stringify(smallData("u"))],
    ["20 KB", JSON.stringify(largeData("u"))],
  ].flatMap(([size, text]) => [
    {
      name: `seal ${size}`,
      once() {
        const sealer = keyring().sealer("cookie");
        return () => sealer.seal(text, "context");
      },
    },
    {
      name: `open ${size}`,
      once() {
        const sealer = keyring().sealer("cookie");
        const sealed = sealer.seal(text, "context");
        return () => sealer.open(sealed, "context");
      },
    },
  ]),
];
