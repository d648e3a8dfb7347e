/** What an application writes on Fastify; it must compile without a cast, and the lines marked must not. */
import { expectTypeOf } from "expect-type";
import fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyTypeProvider } from "fastify";
import { createSessions, memoryStore } from "holdfast";
import { fastifySessions } from "holdfast/fastify";

const sessions = createSessions({
  secrets: [process.env.SESSION_SECRET!],
  store: memoryStore(),
  initial: () => ({ cart: [] }),
});

const app = fastify();
app.register(fastifySessions, { sessions });
app.register(fastifySessions, { sessions, lazy: true, skip: ({ url }) => url === "/health" });
await app.register(fastifySessions, { sessions, skip: (request) => request.is404 });

app.get<{ Params: { user: string } }>("/:user", async (request, reply) => {
  // `SessionData` is augmented in augmented.ts.
  expectTypeOf(request.session.data.cart).toEqualTypeOf<Array<{ id: string; quantity: number }>>();
  expectTypeOf(request.session.data.coupon).toEqualTypeOf<string | undefined>();
  await request.session.login(request.params.user, { keep: ["cart"] });
  const opened = await request.openSession();
  expectTypeOf(opened.userId).toEqualTypeOf<string | undefined>();

  // @ts-expect-error not in the data's type
  request.session.data.basket = 1;
  // @ts-expect-error the session can't be assigned
  request.session = null;
  // @ts-expect-error it is the request's
  reply.session.data;
  return reply.redirect("/", 303);
});

const requireUser: FastifyPluginAsync = async (scope) => {
  scope.addHook("preHandler", async ({ session }, reply) => {
    if (session.userId === undefined) return reply.redirect("/login", 303);
  });
};
app.register(requireUser);

// @ts-expect-error without sessions
app.register(fastifySessions);
// @ts-expect-error a store is no session source
app.register(fastifySessions, { sessions: memoryStore() });
// @ts-expect-error no such option
app.register(fastifySessions, { sessions, secret: "a secret" });

// Servers, loggers and type providers of one's own.
fastify({ http2: true }).register(fastifySessions, { sessions });
fastify({ https: {} }).register(fastifySessions, { sessions });
fastify({ http2: true, https: {} }).register(fastifySessions, { sessions });
fastify({ logger: true }).register(fastifySessions, { sessions });
interface OwnTypes extends FastifyTypeProvider {
  validator: this["schema"];
}
fastify().withTypeProvider<OwnTypes>().register(fastifySessions, { sessions });

export function routes(instance: FastifyInstance): void {
  instance.get(
    "/",
    { preHandler: async ({ session }) => void session.flash("notice", "seen") },
    async () => "",
  );
}
