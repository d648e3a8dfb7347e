/** What an application writes to log and to measure; it must compile without a cast, and the lines marked must not. */
import { expectTypeOf } from "expect-type";
import { type AuditRecord, auditLog, createSessions, memoryStore } from "holdfast";
import { instrumentSessions } from "holdfast/otel";

const sessions = createSessions<{ visits?: number }>({
  secrets: [process.env.SESSION_SECRET!],
  store: memoryStore(),
});

const end = auditLog(
  sessions,
  (record) => {
    expectTypeOf(record.datetime).toEqualTypeOf<string>();
    expectTypeOf(record.level).toEqualTypeOf<"INFO" | "WARN" | "CRITICAL">();
    if (record.kind === "login") {
      expectTypeOf(record.type).toEqualTypeOf<"authn_login_success">();
      expectTypeOf(record.userid).toEqualTypeOf<string>();
    }
    if (record.kind === "expired")
      expectTypeOf(record.reason).toEqualTypeOf<"idle_timeout" | "absolute_timeout">();
    // @ts-expect-error not every record has a user
    record.userid;
    // @ts-expect-error no such event
    if (record.kind === "logged-in") return;
  },
  { appid: "shop", context: () => ({ source_ip: "192.0.2.1", request_id: 7, useragent: undefined }) },
);
expectTypeOf(end).toEqualTypeOf<() => void>();
expectTypeOf<AuditRecord["event"]>().toEqualTypeOf<string>();

sessions.on("*", (event) => {
  if (event.name === "login") expectTypeOf(event.userId).toEqualTypeOf<string>();
  // @ts-expect-error not every event has a user
  event.userId;
});

instrumentSessions(sessions, { activeSessions: async () => 7, tracer: false });
// @ts-expect-error no such option
instrumentSessions(sessions, { metrics: true });
