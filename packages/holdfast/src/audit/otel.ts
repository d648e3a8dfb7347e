/**
 * Metrics and spans of sessions by OpenTelemetry: `holdfast/otel`. Needs `@opentelemetry/api`; what exports them is the
 * application's.
 */
import {
  type Attributes,
  type Histogram,
  type Meter,
  metrics,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { AnySessionEvent } from "../engine/events.js";
import { observeStore, type StoreObserver, type StoreOperation, watched } from "../engine/observe-store.js";
import { type BaseSessions, engineOf } from "../engine/sessions.js";
import { ConfigurationError, HoldfastError } from "../errors.js";
import type { Awaitable } from "../stores/contract.js";
import { warn } from "../warn.js";

export interface InstrumentOptions {
  /** Makes the instruments; false for no metrics. Default: `metrics.getMeter("holdfast")` of the global provider. */
  meter?: Meter | false;
  /** Makes the spans; false for none. Default: `trace.getTracer("holdfast")` of the global provider. */
  tracer?: Tracer | false;
  /**
   * Counts the living sessions, for the gauge `holdfast.session.active`: called each time that metrics are collected, but never
   * twice at once. Make it cheap, as a count by an index. Default: no such gauge.
   */
  activeSessions?: () => Awaitable<number>;
}

/** Seconds. From a store in memory to the default of `storeTimeout`. */
const DURATION_BUCKETS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/**
 * Measures sessions: what happens to them, and how long calls to their store take. No attribute holds an id, a token or data,
 * and each has a few values only.
 *
 * - `holdfast.session.events` (counter, {event}): `holdfast.event`, and `holdfast.reason` where an event has one.
 * - `holdfast.store.duration` (histogram, s): `holdfast.store.operation`, `holdfast.store.name`, and `error.type` where it failed.
 * - `holdfast.session.active` (gauge, {session}): what `activeSessions` counts.
 * - a span `holdfast.store.<operation>` around each call to the store within an active span, and on that span an event
 *   `holdfast.session.<event>` for each session event.
 *
 * @returns a function that ends it.
 * @throws ConfigurationError
 */
export function instrumentSessions(
  sessions: BaseSessions<any>,
  {
    meter = metrics.getMeter("holdfast"),
    tracer = trace.getTracer("holdfast"),
    activeSessions,
  }: InstrumentOptions = {},
): () => void {
  if (activeSessions !== undefined && typeof activeSessions !== "function")
    throw new ConfigurationError("activeSessions", "expected a function that gives a number");
  const { store, events } = engineOf(sessions);
  const durations = meter
    ? meter.createHistogram("holdfast.store.duration", {
        description: "How long calls to the session store take.",
        unit: "s",
        advice: { explicitBucketBoundaries: DURATION_BUCKETS },
      })
    : undefined;
  const counter = meter
    ? meter.createCounter("holdfast.session.events", {
        description: "What happens to sessions.",
        unit: "{event}",
      })
    : undefined;
  const listener = (event: AnySessionEvent) => {
    const attributes = attributesOf(event);
    counter?.add(1, attributes);
    if (tracer) trace.getActiveSpan()?.addEvent(`holdfast.session.${event.name}`, attributes);
  };
  events.on("*", listener);
  const ends = [
    () => events.off("*", listener),
    observeStore(store, storeObserver(store.name, durations, tracer || undefined)),
  ];
  if (meter && activeSessions !== undefined) ends.push(observeActive(meter, activeSessions));
  return () => {
    for (const end of ends.splice(0)) end();
  };
}

/** An event's kind, and the one of its fields that says why: each has a fixed few values. */
function attributesOf(event: AnySessionEvent): Attributes {
  const reason = reasonOf(event);
  return { "holdfast.event": event.name, ...(reason !== undefined && { "holdfast.reason": reason }) };
}

function reasonOf(event: AnySessionEvent): string | undefined {
  switch (event.name) {
    case "csrf-refused":
    case "dropped-write":
    case "rejected-cookie":
      return event.reason;
    case "expired":
      return event.timeout;
    case "revoked":
      return event.by;
    case "store-error":
      return event.error.code;
    case "migrated":
      return event.from;
    case "anomaly":
      return event.answer;
    default:
      return undefined;
  }
}

function storeObserver(
  store: string,
  durations: Histogram | undefined,
  tracer: Tracer | undefined,
): StoreObserver {
  const measured: StoreObserver = (operation, call) => {
    const start = performance.now();
    return watched(call, (error) => {
      durations?.record((performance.now() - start) / 1000, {
        ...storeAttributes(store, operation),
        ...(error !== undefined && { "error.type": errorType(error) }),
      });
    });
  };
  if (tracer === undefined) return measured;
  return (operation, call) => {
    // A sweep, or another call of the library's own accord, is nobody's child.
    if (trace.getActiveSpan() === undefined) return measured(operation, call);
    const attributes = storeAttributes(store, operation);
    return tracer.startActiveSpan(`holdfast.store.${operation}`, { attributes }, (span) =>
      watched(
        () => measured(operation, call),
        (error) => {
          if (error !== undefined) {
            // Not the error itself: its cause is the driver's, and may name hosts and statements.
            span.setAttribute("error.type", errorType(error));
            span.setStatus({ code: SpanStatusCode.ERROR, message: errorType(error) });
          }
          span.end();
        },
      ),
    );
  };
}

function storeAttributes(store: string, operation: StoreOperation): Attributes {
  return { "holdfast.store.name": store, "holdfast.store.operation": operation };
}

function errorType(error: unknown): string {
  return error instanceof HoldfastError ? error.code : "_OTHER";
}

function observeActive(meter: Meter, count: () => Awaitable<number>): () => void {
  const gauge = meter.createObservableGauge("holdfast.session.active", {
    description: "Living sessions in the store.",
    unit: "{session}",
  });
  let counting: Promise<number | undefined> | undefined;
  const callback: Parameters<typeof gauge.addCallback>[0] = async (result) => {
    counting ??= counted(count).finally(() => {
      counting = undefined;
    });
    const number = await counting;
    if (number !== undefined) result.observe(number);
  };
  gauge.addCallback(callback);
  return () => gauge.removeCallback(callback);
}

/** A count that fails is not observed, and all other metrics are. */
async function counted(count: () => Awaitable<number>): Promise<number | undefined> {
  try {
    const number = await count();
    if (Number.isFinite(number)) return number;
    warn("HOLDFAST_LISTENER", "activeSessions of instrumentSessions gave no number");
  } catch (error) {
    warn("HOLDFAST_LISTENER", `activeSessions of instrumentSessions failed: ${String(error)}`);
  }
  return undefined;
}
