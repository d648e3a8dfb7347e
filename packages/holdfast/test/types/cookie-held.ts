/** Sessions that live in their cookie: what they can't do is not there to be called. The lines marked must not compile. */
import { expectTypeOf } from "expect-type";
import {
  type CookieSessions,
  cookieStore,
  createSessions,
  memoryStore,
  type RevocableCookieSessions,
  type SessionRequest,
} from "holdfast";

interface Basket {
  items?: string[];
}
const secrets = ["a secret of thirty-two bytes or more"];

const plain = createSessions<Basket>({ secrets, store: cookieStore() });
expectTypeOf(plain).toEqualTypeOf<CookieSessions<Basket>>();
expectTypeOf(createSessions<Basket>({ secrets, store: cookieStore({ maxCookies: 3 }) })).toEqualTypeOf<
  CookieSessions<Basket>
>();
// @ts-expect-error nobody can list or end what only browsers hold
plain.ofUser("ada");

const revocable = createSessions<Basket>({
  secrets,
  store: cookieStore({ revocations: memoryStore() }),
  idleTimeout: "30m",
});
expectTypeOf(revocable).toEqualTypeOf<RevocableCookieSessions<Basket>>();
expectTypeOf(revocable.ofUser("ada").revoke("id")).toEqualTypeOf<Promise<void>>();
expectTypeOf(revocable.ofUser("ada").revokeAll({ except: "id" })).toEqualTypeOf<Promise<void>>();
// @ts-expect-error a list of the ended sessions doesn't know the living ones
revocable.ofUser("ada").list();

// @ts-expect-error needs a server's memory
createSessions<Basket>({ secrets, store: cookieStore(), renewAfter: "1h" });
// @ts-expect-error needs a server's memory
createSessions<Basket>({ secrets, store: cookieStore(), maxSessionsPerUser: 10 });
// @ts-expect-error the cookies' number is the limit
createSessions<Basket>({ secrets, store: cookieStore(), maxPayloadBytes: 1024 });
// @ts-expect-error a sealed session travels in its cookie
createSessions<Basket>({ secrets, store: cookieStore(), transport: "bearer" });
// @ts-expect-error a list is a store of Holdfast's
cookieStore({ revocations: new Map() });
// @ts-expect-error a list that is itself kept in cookies
cookieStore({ revocations: cookieStore() });
// @ts-expect-error not an option
cookieStore({ revocation: memoryStore() });

// Bearer tokens.
const choose = (request: SessionRequest) => (request.header("x-client") === "app" ? "bearer" : "cookie");
createSessions<Basket>({ secrets, store: memoryStore(), transport: "bearer" });
createSessions<Basket>({ secrets, store: memoryStore(), transport: choose });
// @ts-expect-error neither "cookie" nor "bearer"
createSessions<Basket>({ secrets, store: memoryStore(), transport: "header" });
