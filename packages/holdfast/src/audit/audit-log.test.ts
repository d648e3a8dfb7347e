import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createSessions } from "../engine/create-sessions.js";
import { type AnySessionEvent, sessionEventNames } from "../engine/events.js";
import { engineOf } from "../engine/sessions.js";
import { StoreError } from "../errors.js";
import { memoryStore } from "../stores/memory.js";
import { type AuditRecord, auditLog, auditRecord } from "./audit-log.js";
import { vocabulary } from "./vocabulary.js";

const at = new Date(Date.UTC(2030, 0, 1));
const id = "session-id";

describe("the vocabulary", () => {
  it("has a word for every event", () => {
    expect(sessionEventNames.filter((name) => !Object.hasOwn(vocabulary, name))).toEqual([]);
  });

  it("is told in docs/audit-log.md, every event in its row", () => {
    const page = readFileSync(new URL("../../../../docs/audit-log.md", import.meta.url), "utf8");
    const rows = page.split("\n").filter((line) => line.startsWith("| `"));
    for (const name of sessionEventNames)
      expect(rows.filter((row) => row.startsWith(`| \`${name}\``))).not.toEqual([]);
  });
});

describe("auditRecord", () => {
  const cases: Array<[AnySessionEvent, Partial<AuditRecord> | { [field: string]: unknown }]> = [
    [
      { name: "created", at, sessionId: id },
      { event: "session_created", level: "INFO", sessionid: id },
    ],
    [
      { name: "renewed", at, sessionId: id, previousId: "old", userId: "ada" },
      { event: "session_renewed:ada", previous_sessionid: "old" },
    ],
    [
      { name: "rotated", at, sessionId: id, previousId: undefined, userId: undefined },
      { event: "session_rotated" },
    ],
    [
      { name: "migrated", at, sessionId: id, userId: "ada", from: "koa-session" },
      { event: "session_migrated:ada,koa-session" },
    ],
    [
      { name: "login", at, sessionId: id, userId: "ada" },
      { event: "authn_login_success:ada", userid: "ada" },
    ],
    [
      { name: "logout", at, sessionId: id, userId: "ada" },
      { event: "session_expired:ada,logout", reason: "logout" },
    ],
    [
      {
        name: "revoked",
        at,
        sessionId: id,
        userId: "ada",
        by: "revokeAll",
        reason: "password-changed",
        actor: "admin:grace",
      },
      {
        event: "session_expired:ada,revoked",
        revoked_by: "revokeAll",
        revoked_for: "password-changed",
        actor: "admin:grace",
      },
    ],
    [
      {
        name: "anomaly",
        at,
        sessionId: id,
        userId: "ada",
        changed: ["browser", "network"],
        from: { browser: "Firefox", network: "192.0.2.0/24" },
        to: { browser: "Chrome", network: "198.51.100.0/24" },
        answer: "end",
      },
      {
        event: "session_client_changed:ada,end",
        level: "WARN",
        changed: "browser network",
        from: "Firefox, 192.0.2.0/24",
        to: "Chrome, 198.51.100.0/24",
      },
    ],
    [
      { name: "elevated", at, sessionId: id, userId: "ada", methods: ["otp"], level: 2, until: at },
      { event: "session_elevated:ada,2", methods: "otp", level: 2 },
    ],
    [
      { name: "refused-login", at, userId: "ada", limit: 3 },
      { event: "session_limit_exceeded:ada,3", level: "WARN" },
    ],
    [
      { name: "expired", at, sessionId: id, userId: "ada", timeout: "idle" },
      { event: "session_expired:ada,idle_timeout", reason: "idle_timeout" },
    ],
    [
      { name: "conflict", at, sessionId: id, attempt: 2 },
      { event: "session_conflict:2", attempt: 2 },
    ],
    [
      { name: "dropped-write", at, sessionId: id, reason: "gone" },
      { event: "session_write_dropped:gone", level: "WARN" },
    ],
    [
      { name: "rejected-cookie", at, sessionId: undefined, reason: "malformed" },
      { event: "input_validation_fail:malformed", level: "WARN" },
    ],
    [
      { name: "rejected-cookie", at, sessionId: undefined, reason: "forged" },
      { event: "session_token_forged:forged", level: "CRITICAL" },
    ],
    [
      { name: "rejected-cookie", at, sessionId: id, reason: "ended" },
      { event: "session_use_after_expire:ended", level: "WARN", sessionid: id },
    ],
    [
      { name: "rejected-cookie", at, sessionId: id, reason: "renewed" },
      { event: "authn_token_reuse:renewed", level: "CRITICAL" },
    ],
    [
      { name: "csrf-refused", at, reason: "cross-site", method: "POST", sessionId: id },
      { event: "malicious_cors:cross-site", level: "CRITICAL", request_method: "POST" },
    ],
    [
      { name: "guess-limit", at, client: "2001:db8::/64", guesses: 100, until: at },
      { event: "excess_rate_limit_exceeded:2001%3Adb8%3A%3A/64,100", source_ip: "2001:db8::/64" },
    ],
    [
      { name: "secrets-changed", at, option: "secrets", count: 2 },
      { event: "crypt_secrets_changed:secrets,2", level: "INFO" },
    ],
    [
      { name: "secrets-refused", at, option: "secrets", reason: "the file is empty" },
      { event: "crypt_secrets_refused:secrets", level: "CRITICAL", reason: "the file is empty" },
    ],
  ];
  it.each(cases)("tells %o", (event, expected) => {
    expect(auditRecord(event)).toMatchObject({
      datetime: "2030-01-01T00:00:00.000Z",
      kind: event.name,
      ...expected,
    });
  });

  it("tells of a store that failed without a word of the driver's", () => {
    const cause = Object.assign(new Error("connect to db.internal with password hunter2"), {
      code: "ECONNREFUSED",
    });
    const error = new StoreError("postgres", "load", "failed", cause);
    const record = auditRecord({ name: "store-error", at, operation: "load", error });
    expect(record).toMatchObject({
      event: "sys_store_fail:load,ERR_HOLDFAST_STORE",
      level: "CRITICAL",
      store: "postgres",
      operation: "load",
      cause_code: "ECONNREFUSED",
    });
    expect(JSON.stringify(record)).not.toMatch(/hunter2|internal/);
  });

  it("takes no code of a driver's that is a sentence", () => {
    const error = new StoreError(
      "x",
      "load",
      "failed",
      Object.assign(new Error(), { code: "token abc\nlevel=INFO" }),
    );
    expect(auditRecord({ name: "store-error", at, operation: "load", error })).not.toHaveProperty(
      "cause_code",
    );
  });

  it("leaves out what has no value, and has no value that is not flat", () => {
    const record = auditRecord({ name: "logout", at, sessionId: id, userId: undefined });
    expect(record).toEqual({
      datetime: "2030-01-01T00:00:00.000Z",
      event: "session_expired:logout",
      level: "INFO",
      description: "A user logged out",
      kind: "logout",
      type: "session_expired",
      sessionid: id,
      reason: "logout",
    });
  });

  it("gives user ids as they are, and keeps them from passing for other parameters", () => {
    const record = auditRecord({ name: "login", at, sessionId: id, userId: "a%b,logout:c" });
    expect(record).toMatchObject({ userid: "a%b,logout:c", event: "authn_login_success:a%25b%2Clogout%3Ac" });
  });

  it("keeps every text on one line", () => {
    const hostile = 'x\r\n{"event":"authn_login_success:root"}\u2028\u202e\u0000\u001b[31m';
    const record = auditRecord(
      { name: "login", at, sessionId: id, userId: hostile },
      { useragent: hostile, "odd\nfield": hostile },
      hostile,
    );
    for (const value of Object.values(record))
      expect(String(value)).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u);
    expect((record as { userid?: string }).userid).toContain("x\\u000d\\u000a{");
    for (const field of Object.keys(record)) expect(field).not.toMatch(/\p{Cc}/u);
  });

  it("takes fields from outside, but none that it has", () => {
    const context = { source_ip: "192.0.2.1", level: "INFO", userid: "root", event: "x", nothing: undefined };
    const record = auditRecord(
      { name: "rejected-cookie", at, sessionId: undefined, reason: "forged" },
      context,
    );
    expect(record).toMatchObject({
      source_ip: "192.0.2.1",
      level: "CRITICAL",
      event: "session_token_forged:forged",
    });
    expect(record).not.toHaveProperty("nothing");
    // There is no user, and nobody outside says who it is.
    expect(auditRecord({ name: "login", at, sessionId: id, userId: "ada" }, context)).toMatchObject({
      userid: "ada",
    });
  });

  it("tells an event that the vocabulary doesn't know", () => {
    const event = { name: "brand-new", at, sessionId: id, userId: "ada", secret: "hunter2" } as any;
    expect(auditRecord(event)).toEqual({
      datetime: "2030-01-01T00:00:00.000Z",
      event: "session_brand_new:ada",
      level: "INFO",
      description: "",
      kind: "brand-new",
      type: "session_brand_new",
      sessionid: id,
      userid: "ada",
    });
  });
});

describe("auditLog", () => {
  const open = () =>
    createSessions({
      secrets: ["a secret for the audit log, 40 letters"],
      store: memoryStore(),
      sweepInterval: false,
    });
  const emit = (sessions: ReturnType<typeof open>) =>
    engineOf(sessions).events.emit("login", { at, sessionId: id, userId: "ada" });
  const warning = vi.spyOn(process, "emitWarning");
  beforeEach(() => void warning.mockReset().mockImplementation(() => {}));
  afterEach(() => void warning.mockReset());

  it("writes a record of each event, with the application's name and context, until it is ended", () => {
    const sessions = open();
    const records: AuditRecord[] = [];
    const end = auditLog(sessions, (record) => void records.push(record), {
      appid: "shop",
      context: () => ({ source_ip: "192.0.2.1" }),
    });
    emit(sessions);
    end();
    emit(sessions);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      appid: "shop",
      source_ip: "192.0.2.1",
      event: "authn_login_success:ada",
    });
  });

  it("breaks nothing where what it is given throws, and still writes", async () => {
    const sessions = open();
    const write = vi.fn(async () => {
      throw new Error("disk full");
    });
    auditLog(sessions, write, {
      context: () => {
        throw new Error("no context");
      },
    });
    expect(() => emit(sessions)).not.toThrow();
    expect(write).toHaveBeenCalledWith(expect.objectContaining({ kind: "login" }));
    await new Promise((resolve) => setImmediate(resolve));
    const told = warning.mock.calls.map(([text]) => String(text));
    expect(told).toEqual([expect.stringContaining("no context"), expect.stringContaining("disk full")]);
  });

  it.each([
    ["write", [undefined]],
    ["appid", [() => {}, { appid: 7 }]],
    ["context", [() => {}, { context: {} }]],
  ])("refuses a %s that is none", (option, args) => {
    expect(() => (auditLog as any)(open(), ...args)).toThrow(expect.objectContaining({ option }));
  });
});
