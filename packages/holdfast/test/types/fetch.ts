/** What an application writes on the Fetch standard; it must compile without a cast, and the lines marked must not. */
import { expectTypeOf } from "expect-type";
import { createSessions, memoryStore, type Session } from "holdfast";
import { fetchSessions } from "holdfast/fetch";

interface Data {
  visits?: number;
}

const sessions = createSessions<Data>({ secrets: [process.env.SESSION_SECRET!], store: memoryStore() });
const { open, defer, handler } = fetchSessions(sessions);

export const GET = handler((request, session) => {
  expectTypeOf(request).toEqualTypeOf<Request>();
  expectTypeOf(session).toEqualTypeOf<Session<Data>>();
  // @ts-expect-error not in the data's type
  session.data.visit = 1;
  return Response.json({ visits: session.data.visits });
});
expectTypeOf(GET).toEqualTypeOf<(request: Request) => Promise<Response>>();

/** As routes of Next.js have it. */
export const POST = handler(
  async (_request, session, { params }: { params: Promise<{ user: string }> }) => {
    await session.login((await params).user);
    return Response.redirect("https://shop.example/", 303);
  },
  {
    onError(error, _request, { params }) {
      expectTypeOf(error).toEqualTypeOf<unknown>();
      expectTypeOf(params).toEqualTypeOf<Promise<{ user: string }>>();
      return new Response(null, { status: 503 });
    },
  },
);
expectTypeOf(POST).parameters.toEqualTypeOf<[Request, { params: Promise<{ user: string }> }]>();

// @ts-expect-error a handler gives a response
handler(() => "text");
// @ts-expect-error a store is no session source
fetchSessions(memoryStore());

export async function byHand(request: Request): Promise<Response> {
  const { session, commit } = await open(request);
  expectTypeOf(session).toEqualTypeOf<Session<Data>>();
  const headers = new Headers();
  expectTypeOf(await commit(headers)).toEqualTypeOf<Headers>();
  return commit(new Response(String(session.data.visits)));
}

export async function late(request: Request): Promise<Response> {
  const deferred = defer(request);
  // @ts-expect-error it isn't open yet
  deferred.session;
  expectTypeOf(await deferred.openSession()).toEqualTypeOf<Session<Data>>();
  return deferred.commit(new Response());
}

fetchSessions(sessions, { remoteAddress: (request) => request.headers.get("x-real-ip") ?? undefined });
