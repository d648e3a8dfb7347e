/** What an application writes without a framework, or on Connect; it must compile without a cast, and the lines marked must not. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import connect from "connect";
import { expectTypeOf } from "expect-type";
import { createSessions, memoryStore, type Session } from "holdfast";
import { nodeSessions, type WithSession } from "holdfast/node";

interface Data {
  visits?: number;
}

const sessions = createSessions<Data>({ secrets: [process.env.SESSION_SECRET!], store: memoryStore() });
const { handler } = nodeSessions(sessions, { skip: ({ url }) => url === "/health" });

createServer(
  handler(async (request, response) => {
    expectTypeOf(request.session).toEqualTypeOf<Session<Data>>();
    expectTypeOf(request.session.data.visits).toEqualTypeOf<number | undefined>();
    expectTypeOf(await request.openSession()).toEqualTypeOf<Session<Data>>();
    expectTypeOf(response).toEqualTypeOf<ServerResponse>();
    request.session.data.visits = (request.session.data.visits ?? 0) + 1;
    // @ts-expect-error not in the data's type
    request.session.data.visit = 1;
    // @ts-expect-error the session can't be assigned
    request.session = null;
    response.writeHead(200, request.method).end();
  }),
);

const overHttp2 = handler<Http2ServerRequest, Http2ServerResponse>(({ session, authority }, response) => {
  expectTypeOf(session.data.visits).toEqualTypeOf<number | undefined>();
  response.stream.respond({ ":status": 200 });
  response.end(authority);
});
createHttp2Server(overHttp2);
createSecureServer({}, overHttp2);

function home(request: IncomingMessage & WithSession<Data>, response: ServerResponse): void {
  response.end(String(request.session.data.visits));
}
createServer(handler(home));

const app = connect();
app.use(nodeSessions(sessions));
app.use("/account", nodeSessions(sessions, { lazy: true }));

// @ts-expect-error a store is no session source
nodeSessions(memoryStore());
// @ts-expect-error no such option
nodeSessions(sessions, { secret: "a secret" });
// @ts-expect-error a handler for HTTP/2 is none for HTTP/1
createServer(overHttp2);
