import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  called,
  DROP_IN,
  EXPRESS_5,
  type Handler,
  ORIGINAL,
  recordingStore,
  type Subject,
  serve,
} from "./subject.js";

/**
 * Random applications and random visits, played to the original and to the drop-in: status, headers, body, cookies, and what
 * the store was asked have to be the same.
 */

/** What a handler does with its session, one thing after the other. */
type Deed =
  | { do: "set" | "nest"; key: string; value: number }
  | { do: "delete"; key: string }
  | { do: "maxAge"; value: number | null }
  | {
      do:
        | "save"
        | "saveBlind"
        | "regenerate"
        | "destroy"
        | "reload"
        | "touch"
        | "expireWithBrowser"
        | "unset"
        | "generate";
    };

interface Visit {
  browser: 0 | 1;
  path: "/" | "/shop/a";
  secure: boolean;
  /** Milliseconds since the visit before. */
  later: number;
  /** Sends a cookie that is no good, in place of the browser's. */
  forged: boolean;
  deeds: Deed[];
  answer: "end" | "writeHead" | "next" | "throw";
}

const key = fc.constantFrom("a", "b");
const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("set" as const, "nest" as const), key, value: fc.nat(2) }),
  },
  fc.record({ do: fc.constant("delete" as const), key }),
  fc.record({ do: fc.constant("maxAge" as const), value: fc.constantFrom(null, 1000, 60_000) }),
  fc.record({
    do: fc.constantFrom(
      "save" as const,
      "saveBlind" as const,
      "regenerate" as const,
      "destroy" as const,
      "reload" as const,
      "touch" as const,
      "expireWithBrowser" as const,
      "unset" as const,
      "generate" as const,
    ),
  }),
);

const visit: fc.Arbitrary<Visit> = fc.record({
  browser: fc.constantFrom(0 as const, 1 as const),
  path: fc.constantFrom("/" as const, "/shop/a" as const),
  secure: fc.boolean(),
  later: fc.constantFrom(0, 0, 500, 2000),
  forged: fc.constantFrom(false, false, false, true),
  deeds: fc.array(deed, { maxLength: 5 }),
  answer: fc.constantFrom(
    "end" as const,
    "end" as const,
    "writeHead" as const,
    "next" as const,
    "throw" as const,
  ),
});

const options = fc.record({
  resave: fc.boolean(),
  saveUninitialized: fc.boolean(),
  rolling: fc.boolean(),
  unset: fc.constantFrom("keep", "destroy"),
  cookie: fc.record({
    maxAge: fc.constantFrom(null, 1000, 60_000),
    secure: fc.constantFrom(false, true, "auto"),
    sameSite: fc.constantFrom(false, "lax", "auto"),
    path: fc.constantFrom("/", "/shop"),
  }),
  proxy: fc.constant(true),
});

async function play(deeds: readonly Deed[], req: any, notes: unknown[]): Promise<void> {
  for (const step of deeds) {
    if (step.do === "generate") {
      req.sessionStore?.generate(req);
      continue;
    }
    const { session } = req;
    if (!session) {
      notes.push("no session");
      return;
    }
    if (step.do === "set") session[step.key] = step.value;
    else if (step.do === "nest") session[step.key] = { ...session[step.key], [step.value]: step.value };
    else if (step.do === "delete") delete session[step.key];
    else if (step.do === "maxAge") session.cookie.maxAge = step.value;
    else if (step.do === "expireWithBrowser") session.cookie.expires = false;
    else if (step.do === "touch") session.touch();
    else if (step.do === "unset") req.session = null;
    else if (step.do === "saveBlind") session.save();
    else {
      const error: any = await called((done) => session[step.do](done));
      notes.push([step.do, error?.message ?? null]);
    }
    notes.push(JSON.stringify(req.session ?? null), req.sessionID, req.session?.cookie.maxAge);
  }
}

/** All that can be seen of the visits, from both sides. */
async function observe(subject: Subject, given: object, visits: readonly Visit[]): Promise<unknown[]> {
  vi.setSystemTime(new Date("2030-01-01T00:00:00Z"));
  const store = recordingStore(subject, { withTouch: true });
  const seen: unknown[] = [];
  let current: Visit;
  const handler: Handler = async (req, res, next) => {
    const notes: unknown[] = [JSON.stringify(req.session ?? null), req.sessionID];
    await play(current.deeds, req, notes);
    res.setHeader("X-Notes", encodeURIComponent(JSON.stringify(notes)));
    if (current.answer === "end") res.end("the end");
    else if (current.answer === "writeHead") res.writeHead(201, { "X-Own": "1" }).end();
    else next(current.answer === "next" ? undefined : new Error("thrown"));
  };
  const served = await serve(subject, EXPRESS_5, { store, ...given }, handler);
  const browsers = [served.browser(), served.browser()];
  for (current of visits) {
    vi.setSystemTime(Date.now() + current.later);
    const answer = await browsers[current.browser]!.get(current.path, {
      "x-forwarded-proto": current.secure ? "https" : "http",
      ...(current.forged && { cookie: "connect.sid=s%3Aid-1.forged" }),
    });
    seen.push({
      status: answer.status,
      body: answer.body,
      setCookie: answer.setCookie,
      notes: decodeURIComponent(answer.headers.get("x-notes") ?? ""),
      type: answer.headers.get("content-type"),
      calls: store.calls.splice(0),
      stored: [...store.sessions],
    });
  }
  await served.close();
  return seen;
}

describe("whatever the application does", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"] });
    // Express tells of each error.
    vi.spyOn(console, "error").mockImplementation(() => {});
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it("the drop-in does as the original", async () => {
    await fc.assert(
      fc.asyncProperty(options, fc.array(visit, { minLength: 1, maxLength: 8 }), async (given, visits) => {
        expect(await observe(DROP_IN, given, visits)).toEqual(await observe(ORIGINAL, given, visits));
      }),
      { numRuns: Number(process.env.HOLDFAST_DIFFERENTIAL_RUNS ?? 200) },
    );
  });
});
