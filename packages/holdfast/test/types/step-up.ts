/** Limits, reasons, remember me, step-up and changed clients. The lines marked must not compile. */
import { expectTypeOf } from "expect-type";
import type { RequestHandler } from "express";
import {
  type Authentication,
  aal2,
  cookieStore,
  createSessions,
  memoryStore,
  type Session,
  type SessionReason,
  type SessionSummary,
  safeReturnTo,
} from "holdfast";
import { requireElevation, requireRecentLogin } from "holdfast/express";

interface Basket {
  items?: string[];
}
const secrets = ["a secret of thirty-two bytes or more"];
const store = memoryStore();
const sessions = createSessions<Basket>({
  secrets,
  store,
  ...aal2,
  maxSessionsPerUser: 1,
  atSessionLimit: "refuse",
});
// @ts-expect-error neither "end-oldest" nor "refuse"
createSessions<Basket>({ secrets, store, atSessionLimit: "evict" });
createSessions<Basket>({ secrets, store, remember: { idleTimeout: "30d", absoluteTimeout: "90d" } });
// @ts-expect-error not a duration
createSessions<Basket>({ secrets, store, remember: { idleTimeout: "soon" } });

const user = sessions.ofUser("ada");
expectTypeOf(user.revoke("id", { reason: "app:terms-changed", by: "admin:grace" })).toEqualTypeOf<
  Promise<boolean>
>();
expectTypeOf(user.revokeAll({ except: "id", reason: "password-changed" })).toEqualTypeOf<Promise<number>>();
// @ts-expect-error the library's own
user.revoke("id", { reason: "limit" });
// @ts-expect-error a word of the application's own begins with app:
user.revoke("id", { reason: "terms-changed" });

declare const session: Session<{ cart: string[] }>;
declare const reason: SessionReason;
if (reason === "limit" || reason === "anomaly" || reason === "app:mine")
  expectTypeOf(reason).toExtend<string>();
// @ts-expect-error no reason there is
if (reason === "limits") void 0;
session.login("ada", { remember: true, methods: ["pwd"], level: 1, keep: ["cart"] });
session.login("ada", { authenticatedAt: new Date() });
session.login("ada", { authenticatedAt: "unknown" });
// @ts-expect-error a name
session.login("ada", { methods: "pwd" });
session.elevate({ methods: ["otp"], level: 2, for: "10m" });
// @ts-expect-error not a duration
session.elevate({ for: "a while" });
expectTypeOf(session.authentication).toEqualTypeOf<Authentication | undefined>();
expectTypeOf(session.elevatedUntil).toEqualTypeOf<Date | undefined>();
expectTypeOf<SessionSummary["remembered"]>().toEqualTypeOf<boolean>();
expectTypeOf(safeReturnTo(undefined, "/")).toEqualTypeOf<string>();

expectTypeOf(requireRecentLogin("5m", { redirectTo: "/login" })).toEqualTypeOf<RequestHandler>();
expectTypeOf(requireElevation({ level: 2 })).toEqualTypeOf<RequestHandler>();
// @ts-expect-error what it needs is of a level or of methods
requireElevation({ factor: 2 });

createSessions<Basket>({ secrets, store, clientChange: "observe" });
createSessions<Basket>({
  secrets,
  store,
  clientChange: { answer: async ({ changed }) => (changed.includes("system") ? "end" : "ignore") },
});
// @ts-expect-error not an answer
createSessions<Basket>({ secrets, store, clientChange: { answer: () => "panic" } });
// @ts-expect-error needs a server's memory
createSessions<Basket>({ secrets, store: cookieStore(), clientChange: "observe" });
// @ts-expect-error needs a server's memory
createSessions<Basket>({ secrets, store: cookieStore(), atSessionLimit: "refuse" });
createSessions<Basket>({ secrets, store: cookieStore(), remember: true });
