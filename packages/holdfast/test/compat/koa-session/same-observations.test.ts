import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import {
  DROP_IN,
  KOA_3,
  NOW,
  ORIGINAL,
  type RecordingStore,
  recordingStore,
  type SessionContext,
  type Subject,
  serve,
} from "./subject.js";

/** Random scripts of requests: from outside nobody can tell the drop-in from the npm package. */

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

const COMMITS = ["save", "regenerate", "manuallyCommit"] as const;

type Operation =
  | { readonly kind: "put"; readonly key: string; readonly value: unknown }
  | { readonly kind: "drop"; readonly key: string }
  | { readonly kind: "assign"; readonly data: object | null }
  | { readonly kind: "maxAge"; readonly value: number }
  | { readonly kind: "look" }
  | { readonly kind: "throw" }
  | { readonly kind: (typeof COMMITS)[number] };

interface Request {
  readonly pause: number;
  /** Comes as somebody else, with a cookie of old, with one that was tampered with, or as the last answer left it. */
  readonly as: "browser" | "stranger" | "earlier" | "forger";
  readonly operations: readonly Operation[];
}

interface Script {
  readonly options: Record<string, unknown>;
  readonly stored: boolean;
  readonly requests: readonly Request[];
}

const key = fc.constantFrom("a", "b", "_hidden", "7", "length", "isNew");
const value = fc.oneof(
  fc.integer({ min: 0, max: 2 }),
  fc.constantFrom(null, undefined, "text", "ü", true),
  fc.dictionary(fc.constantFrom("x", "y"), fc.nat(2), { maxKeys: 2 }),
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put" as const), key, value }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("drop" as const), key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("assign" as const),
      data: fc.option(fc.dictionary(key, value, { maxKeys: 3 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("maxAge" as const),
      value: fc.constantFrom(0, 1000, 90_000_000),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "look" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "throw" as const }) },
  { weight: 3, arbitrary: fc.constantFrom(...COMMITS.map((kind) => ({ kind }))) },
);
const request: fc.Arbitrary<Request> = fc.record({
  pause: fc.constantFrom(0, 1, 600, 43_200_001, 86_400_001),
  as: fc.constantFrom("browser", "browser", "browser", "stranger", "earlier", "forger"),
  operations: fc.array(operation, { maxLength: 5 }),
});
const script: fc.Arbitrary<Script> = fc
  .record({
    options: fc.record(
      {
        maxAge: fc.constantFrom<unknown>(1000, 86_400_000, "session", undefined),
        rolling: fc.boolean(),
        renew: fc.boolean(),
        autoCommit: fc.constantFrom(true, true, false),
        overwrite: fc.boolean(),
        signed: fc.constantFrom(true, true, false),
        httpOnly: fc.boolean(),
        key: fc.constantFrom("koa.sess", "sid"),
      },
      { requiredKeys: [] },
    ),
    stored: fc.boolean(),
    requests: fc.array(request, { minLength: 1, maxLength: 7 }),
  })
  // Saved twice in a request, such a session is among the differences.
  .map((script) => {
    if (script.options.maxAge !== "session") return script;
    const requests = script.requests.map(({ operations, ...rest }) => ({
      ...rest,
      operations: operations.filter(({ kind }) => !COMMITS.some((commit) => commit === kind)),
    }));
    return { ...script, requests };
  });

async function perform(ctx: SessionContext, operation: Operation): Promise<unknown> {
  const { session } = ctx;
  switch (operation.kind) {
    case "put":
      session[operation.key] = operation.value;
      return;
    case "drop":
      return delete session[operation.key];
    case "assign":
      ctx.session = operation.data;
      return;
    case "maxAge":
      session.maxAge = operation.value;
      return;
    case "throw":
      return ctx.throw(418);
    case "look": {
      const { isNew, maxAge, externalKey, length, populated } = session;
      return [{ isNew, maxAge, externalKey, length, populated }, session.toJSON(), Object.keys(session)];
    }
    default:
      return session[operation.kind]();
  }
}

async function observe(subject: Subject, { options, stored, requests }: Script): Promise<unknown[]> {
  vi.setSystemTime(NOW);
  const store: RecordingStore | undefined = stored ? recordingStore() : undefined;
  let operations: readonly Operation[] = [];
  const served = await serve(subject, KOA_3, { ...options, ...(store && { store }) }, async (ctx) => {
    const seen: unknown[] = [];
    for (const operation of operations) {
      try {
        seen.push((await perform(ctx, operation)) ?? null);
      } catch (error: any) {
        if (error.status === 418) throw error;
        seen.push(error.name);
      }
    }
    ctx.body = seen;
  });
  try {
    const browser = served.browser();
    let earlier = browser.twin();
    const observations: unknown[] = [];
    for (const { pause, as, operations: todo } of requests) {
      vi.setSystemTime(Date.now() + pause);
      operations = todo;
      const twin = browser.twin();
      const forger = browser.twin();
      for (const name of forger.cookies.keys()) forger.cookies.set(name, "tampered");
      const visitor = { browser, stranger: served.browser(), earlier, forger }[as];
      const { status, body, setCookie } = await visitor.get("/");
      earlier = twin;
      await new Promise((resolve) => setImmediate(resolve));
      const calls = store?.calls.splice(0);
      observations.push({ status, body, setCookie, calls, events: served.events.splice(0) });
      observations.push(served.errors.splice(0).map(({ name }) => name));
    }
    return observations;
  } finally {
    await served.close();
  }
}

it("random scripts of requests are answered alike", async () => {
  await fc.assert(
    fc.asyncProperty(script, async (script) => {
      expect(await observe(DROP_IN, script)).toEqual(await observe(ORIGINAL, script));
    }),
    { numRuns: Number(process.env.KOA_SESSION_RUNS ?? 300) },
  );
}, 120_000);
