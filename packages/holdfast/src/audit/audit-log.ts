import { type AnySessionEvent, callListener, type SessionEventName } from "../engine/events.js";
import type { BaseSessions } from "../engine/sessions.js";
import { ConfigurationError } from "../errors.js";
import { type AuditLevel, type Vocabulary, vocabulary } from "./vocabulary.js";

/** What every record says. The names are those of the OWASP Logging Vocabulary Cheat Sheet. */
interface AuditFields {
  /** ISO 8601, in UTC. */
  readonly datetime: string;
  /** The option `appid`. */
  readonly appid?: string;
  /** The word and its parameters, as in "session_expired:ada,logout". In a parameter, `%`, `,` and `:` are percent-encoded. */
  readonly event: string;
  readonly level: AuditLevel;
  readonly description: string;
}

/** What OWASP's format says of the request. */
interface RequestFields {
  readonly useragent?: string | undefined;
  readonly source_ip?: string | undefined;
  readonly host_ip?: string | undefined;
  readonly hostname?: string | undefined;
  readonly protocol?: string | undefined;
  readonly port?: string | number | undefined;
  readonly request_uri?: string | undefined;
  readonly request_method?: string | undefined;
}

/** What you know of the request, for `AuditLogOptions.context`: by the names that OWASP gives, or by others. */
export interface AuditContext extends RequestFields {
  readonly [field: string]: string | number | boolean | undefined;
}

type FieldsOf<Name extends SessionEventName> = Name extends keyof Vocabulary
  ? ReturnType<Vocabulary[Name]>["fields"]
  : object;
type TypeOf<Name extends SessionEventName> = Name extends keyof Vocabulary
  ? ReturnType<Vocabulary[Name]>["type"]
  : string;

/**
 * One line of the audit log: flat, without a token, a secret or session data, and without line breaks or other control
 * characters in any text. `kind` is the event of `sessions.on`, and tells which fields there are; `type` is its word in the
 * vocabulary. Fields that have no value are missing.
 */
export type AuditRecord = {
  [Name in SessionEventName]: AuditFields &
    RequestFields & { readonly kind: Name; readonly type: TypeOf<Name> } & Readonly<FieldsOf<Name>>;
}[SessionEventName];

export interface AuditLogOptions {
  /** What you call the application, for the field `appid`. Default: none. */
  appid?: string;
  /**
   * Gives more fields for a record, as `source_ip` and `useragent`. It is called where the event happens, so in the
   * asynchronous context of the request: read an AsyncLocalStorage. It can't replace a field that the record has.
   */
  context?: () => AuditContext | undefined;
}

/**
 * Gives `write` a flat record of every security event: a logger's method, or a function that stores it. One that throws, or
 * rejects, is reported as a warning and never breaks a request.
 *
 * The vocabulary is that of the OWASP Logging Vocabulary Cheat Sheet (ASVS 5.0, 16.3); docs/audit-log.md has all of it.
 * @returns a function that ends it.
 * @throws ConfigurationError
 */
export function auditLog(
  sessions: BaseSessions<any>,
  write: (record: AuditRecord) => void | Promise<void>,
  { appid, context }: AuditLogOptions = {},
): () => void {
  if (typeof write !== "function") throw new ConfigurationError("write", "expected a function");
  if (appid !== undefined && typeof appid !== "string")
    throw new ConfigurationError("appid", "expected text");
  if (context !== undefined && typeof context !== "function")
    throw new ConfigurationError("context", "expected a function");
  const listener = (event: AnySessionEvent) => {
    let about: AuditContext | undefined;
    if (context !== undefined)
      callListener(
        "auditLog (its `context`)",
        () => {
          about = context();
        },
        undefined,
      );
    const record = auditRecord(event, about, appid);
    callListener("auditLog", write, record);
  };
  sessions.on("*", listener);
  return () => void sessions.off("*", listener);
}

/** The record of an event. */
export function auditRecord(event: AnySessionEvent, context: AuditContext = {}, appid?: string): AuditRecord {
  const { type, level, parameters, description, fields } = entryOf(event);
  const given = parameters.filter((parameter) => parameter !== undefined).map(encodeParameter);
  const own = {
    datetime: event.at.toISOString(),
    appid,
    event: given.length === 0 ? type : `${type}:${given.join(",")}`,
    level,
    description,
    kind: event.name,
    type,
    ...fields,
  };
  const record: Record<string, unknown> = {};
  for (const [key, value] of [...Object.entries(own), ...Object.entries(context)]) {
    const field = oneLine(key);
    // What is given from outside can't pass for ours.
    if (value === undefined || Object.hasOwn(record, field)) continue;
    record[field] = typeof value === "string" ? oneLine(value) : value;
  }
  return record as unknown as AuditRecord;
}

function entryOf(event: AnySessionEvent): ReturnType<Vocabulary[keyof Vocabulary]> {
  const describe = (vocabulary as Record<string, ((event: any) => any) | undefined>)[event.name];
  if (describe !== undefined) return describe(event);
  // An event that the vocabulary doesn't know yet must not be missing from the log.
  const type = `session_${event.name.replaceAll("-", "_")}`;
  const { sessionId, userId } = event as { sessionId?: string; userId?: string };
  const fields = { sessionid: sessionId, userid: userId };
  return { type, level: "INFO", parameters: [userId], description: "", fields } as any;
}

/** Parameters are separated by commas, and the word from them by a colon: a user id may hold both. */
function encodeParameter(parameter: string | number): string {
  return String(parameter).replace(/[%,:]/g, encodeURIComponent);
}

const LONGEST = 1024;

/** Control characters, line separators and what turns the direction of text could forge lines, or hide parts of one (CWE-117). */
const UNSAFE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

function oneLine(text: string): string {
  return text
    .slice(0, LONGEST)
    .replace(UNSAFE, (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, "0")}`);
}
