import { context, metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { requestWith } from "../../test/support/exchange.js";
import { openShop, SECRET, type TestShop } from "../../test/support/shop.js";
import { SlowStore } from "../../test/support/slow-store.js";
import { createSessions } from "../engine/create-sessions.js";
import { cookieStore } from "../stores/cookie.js";
import { memoryStore } from "../stores/memory.js";
import { instrumentSessions } from "./otel.js";

/** With the real SDK, over real HTTP: each request within a span, as an instrumentation of the server makes it. */

const spans = new InMemorySpanExporter();
const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: exported, exportIntervalMillis: 3_600_000 });
const meterProvider = new MeterProvider({ readers: [reader] });
const tracerProvider = new BasicTracerProvider({
  sampler: new AlwaysOnSampler(),
  spanProcessors: [new SimpleSpanProcessor(spans)],
});

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  metrics.setGlobalMeterProvider(meterProvider);
  trace.setGlobalTracerProvider(tracerProvider);
});
afterAll(async () => {
  await meterProvider.shutdown();
  await tracerProvider.shutdown();
  for (const api of [context, metrics, trace]) api.disable();
});

let slow: SlowStore;
let shop: TestShop;
beforeEach(async () => {
  slow = new SlowStore();
  shop = await openShop(slow.store);
});
afterEach(async () => {
  await shop.close();
  spans.reset();
});

/** What was exported last. */
const lastMetrics = () =>
  exported
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap(({ metrics: some }) => some);

/** The points of one metric by now, with their attributes. */
async function points(name: string): Promise<Array<DataPoint<unknown>>> {
  exported.reset();
  await meterProvider.forceFlush();
  return lastMetrics()
    .filter(({ descriptor }) => descriptor.name === name)
    .flatMap(({ dataPoints }) => dataPoints as Array<DataPoint<unknown>>);
}

/** How often something was counted until now. */
async function count(name: string, attributes: object): Promise<number> {
  let sum = 0;
  for (const { attributes: of, value } of await points(name)) {
    const isMeant = Object.entries(attributes).every(([key, wanted]) => of[key] === wanted);
    if (isMeant) sum += typeof value === "number" ? value : (value as { count: number }).count;
  }
  return sum;
}

/** How much a count grows by. */
async function growth(name: string, attributes: object, act: () => Promise<unknown>): Promise<number> {
  const before = await count(name, attributes);
  await act();
  return (await count(name, attributes)) - before;
}

const withinSpan = <T>(act: () => Promise<T>) =>
  trace.getTracer("test").startActiveSpan("GET /", async (span) => {
    try {
      return await act();
    } finally {
      span.end();
    }
  });

describe("metrics", () => {
  it("count events by kind and by reason", async () => {
    instrumentSessions(shop.sessions);
    const browser = shop.browser();
    const event = (kind: string, reason?: string) => ({
      "holdfast.event": kind,
      ...(reason && { "holdfast.reason": reason }),
    });
    const log = "holdfast.session.events";
    expect(await growth(log, event("login"), () => browser.post("/login/ada"))).toBe(1);
    const forge = async () => {
      const forger = shop.browser();
      for (const [name, value] of browser.cookies)
        forger.cookies.set(
          name,
          value.replace(/.$/, (last) => (last === "A" ? "B" : "A")),
        );
      await forger.get("/session");
    };
    expect(await growth(log, event("rejected-cookie", "forged"), forge)).toBe(1);
    const conflict = async () => {
      const late = browser.post("/set/a/1?hold=late");
      await shop.barrier("late").arrived();
      await browser.post("/set/b/2");
      shop.barrier("late").open();
      await late;
    };
    expect(await growth(log, event("conflict"), conflict)).toBe(1);
    expect(
      await growth(log, event("revoked", "revokeAll"), () => shop.sessions.ofUser("ada").revokeAll()),
    ).toBe(1);
  });

  it("measure calls to the store by operation and outcome, in seconds", async () => {
    instrumentSessions(shop.sessions);
    const browser = shop.browser();
    await browser.post("/login/ada");
    const name = "holdfast.store.duration";
    const load = { "holdfast.store.operation": "load", "holdfast.store.name": "memory" };
    expect(await growth(name, load, () => browser.get("/session"))).toBe(1);

    slow.fail(["load"]);
    const failed = { ...load, "error.type": "ERR_HOLDFAST_STORE" };
    expect(await growth(name, failed, () => browser.get("/session"))).toBe(1);
    expect(
      await growth("holdfast.session.events", { "holdfast.event": "store-error" }, () => browser.get("/")),
    ).toBe(1);

    const metric = lastMetrics().find(({ descriptor }) => descriptor.name === name)!;
    expect(metric.descriptor).toMatchObject({
      unit: "s",
      advice: { explicitBucketBoundaries: expect.any(Array) },
    });
    // A call takes microseconds: in another unit the sum would be past the last bucket.
    for (const { value } of metric.dataPoints) expect((value as { max: number }).max).toBeLessThan(5);
  });

  it("have few attributes, and no id, token or user among them", async () => {
    const end = instrumentSessions(shop.sessions, { activeSessions: () => 1 });
    for (let user = 0; user < 50; user++) {
      const browser = shop.browser();
      await browser.post(`/login/user-${user}`);
      await browser.post("/set/secret/hunter2");
      await browser.post("/logout");
    }
    const before = (await points("holdfast.session.events")).length;
    await shop.browser().post("/login/one-more");
    expect(await points("holdfast.session.events")).toHaveLength(before);
    const text = JSON.stringify(lastMetrics());
    end();
    expect(text).not.toMatch(/user-\d|hunter2/);
    // A session id, or a token, is 43 letters long.
    expect(text).not.toMatch(/[\w-]{43}/);
  });

  it("have a gauge of what the application counts, and a warning where that fails", async () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    let answer: () => number = () => 42;
    const countSessions = vi.fn(async () => answer());
    const end = instrumentSessions(shop.sessions, { activeSessions: countSessions });
    expect(await count("holdfast.session.active", {})).toBe(42);
    answer = () => {
      throw new Error("down");
    };
    // The other metrics are exported all the same.
    await shop.browser().post("/login/ada");
    expect(await count("holdfast.session.events", { "holdfast.event": "login" })).toBeGreaterThan(0);
    expect(warning.mock.calls.map(([text]) => text)).toEqual([expect.stringContaining("down")]);
    end();
    countSessions.mockClear();
    await meterProvider.forceFlush();
    expect(countSessions).not.toHaveBeenCalled();
    warning.mockRestore();
  });

  it("end where they are told to", async () => {
    const end = instrumentSessions(shop.sessions);
    end();
    end();
    const act = () => shop.browser().post("/login/ada");
    expect(await growth("holdfast.session.events", {}, act)).toBe(0);
    expect(await growth("holdfast.store.duration", {}, act)).toBe(0);
  });

  it("are left out, or are somebody else's, where the options say so", async () => {
    instrumentSessions(shop.sessions, { meter: false });
    const act = () => withinSpan(() => shop.sessions.ofUser("ada").list());
    expect(await growth("holdfast.store.duration", {}, act)).toBe(0);
    expect(spans.getFinishedSpans().map(({ name }) => name)).toContain("holdfast.store.listByUser");
  });
});

describe("spans", () => {
  it("are children of the active span, and parents of the driver's", async () => {
    instrumentSessions(shop.sessions);
    const { listByUser } = slow.store;
    slow.store.listByUser = (...args) =>
      trace.getTracer("driver").startActiveSpan("SELECT", (span) => {
        span.end();
        return listByUser(...args);
      });
    await withinSpan(() => shop.sessions.ofUser("ada").list());
    const [select, call, request] = ["SELECT", "holdfast.store.listByUser", "GET /"].map(
      (wanted) => spans.getFinishedSpans().find(({ name }) => name === wanted)!,
    );
    expect(call!.parentSpanContext?.spanId).toBe(request!.spanContext().spanId);
    expect(select!.parentSpanContext?.spanId).toBe(call!.spanContext().spanId);
    expect(call!.attributes).toEqual({
      "holdfast.store.name": "memory",
      "holdfast.store.operation": "listByUser",
    });
  });

  it("say that a call failed, and nothing of the driver's error", async () => {
    instrumentSessions(shop.sessions);
    slow.store.listByUser = () => {
      throw new Error("password hunter2 refused by db.internal");
    };
    await withinSpan(() => shop.sessions.ofUser("ada").list()).catch(() => {});
    const call = spans.getFinishedSpans().find(({ name }) => name === "holdfast.store.listByUser")!;
    expect(call.status).toEqual({ code: SpanStatusCode.ERROR, message: "ERR_HOLDFAST_STORE" });
    expect(call.attributes["error.type"]).toBe("ERR_HOLDFAST_STORE");
    const told = spans
      .getFinishedSpans()
      .map(({ attributes, events, status }) => ({ attributes, events, status }));
    expect(JSON.stringify(told)).not.toMatch(/hunter2|internal/);
  });

  it("get the events of sessions, without ids", async () => {
    instrumentSessions(shop.sessions);
    await shop.browser().post("/login/ada");
    await withinSpan(() => shop.sessions.ofUser("ada").revokeAll());
    const request = spans.getFinishedSpans().find(({ name }) => name === "GET /")!;
    expect(request.events.map(({ name, attributes }) => [name, attributes])).toEqual([
      ["holdfast.session.revoked", { "holdfast.event": "revoked", "holdfast.reason": "revokeAll" }],
    ]);
  });

  it("are not made outside of a span", async () => {
    instrumentSessions(shop.sessions);
    await shop.sessions.sweep();
    expect(spans.getFinishedSpans()).toEqual([]);
  });
});

it("observers stand side by side, and what they replace comes back", async () => {
  const plain = await openShop(memoryStore());
  const ends = [instrumentSessions(plain.sessions), instrumentSessions(plain.sessions)];
  const load = { "holdfast.store.operation": "listByUser" };
  const list = () => plain.sessions.ofUser("ada").list();
  expect(await growth("holdfast.store.duration", load, list)).toBe(2);
  ends[0]!();
  expect(await growth("holdfast.store.duration", load, list)).toBe(1);
  ends[1]!();
  expect(await growth("holdfast.store.duration", load, list)).toBe(0);
  await plain.close();
});

it("measures sessions that live in their cookie, and the list of those that were ended", async () => {
  for (const revocations of [undefined, memoryStore()]) {
    const sessions = createSessions<any>({
      secrets: [SECRET],
      store: revocations === undefined ? cookieStore() : cookieStore({ revocations }),
    } as any);
    const end = instrumentSessions(sessions);
    const visit = async () => {
      const exchange = await sessions.open(requestWith(undefined));
      await exchange.session.login("ada");
      await exchange.session.logout();
    };
    expect(await growth("holdfast.session.events", { "holdfast.event": "logout" }, visit)).toBe(1);
    const calls = await growth("holdfast.store.duration", {}, visit);
    expect(calls > 0).toBe(revocations !== undefined);
    end();
    await sessions.close();
  }
});

it("refuses activeSessions that is no function", () => {
  expect(() => instrumentSessions(shop.sessions, { activeSessions: 7 as any })).toThrow(
    expect.objectContaining({ option: "activeSessions" }),
  );
});
