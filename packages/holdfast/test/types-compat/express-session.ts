import express from "express";
import originalSession from "express-session";
import { createSessions } from "holdfast";
import { fromConnectStore, toConnectStore } from "holdfast/compat/connect-stores";
import session, { MemoryStore, type Store } from "holdfast/compat/express-session";
import { memoryStore } from "holdfast/stores/memory";

/** An application with the types of `@types/express-session`, which was switched over by its import alone. */

declare module "express-session" {
  interface SessionData {
    views: number;
  }
}

const app = express();
const options: session.SessionOptions = {
  secret: ["keyboard cat", Buffer.from("older")],
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: 60_000, secure: "auto", sameSite: "auto" },
};
app.use(session(options));
app.use(session({ secret: "x", cookie: (req) => ({ path: req.path }), genid: (req) => req.url }));
app.use(session({ secret: "x", store: memoryStore() }));
app.use(session({ secret: "x", store: new MemoryStore() }));
app.use(session({ secret: "x", store: new session.MemoryStore() }));
app.use(session({ secret: "x", store: toConnectStore(memoryStore(), { userId: ({ user }) => user }) }));

// The original takes a Holdfast store by the bridge.
app.use(originalSession({ secret: "x", store: toConnectStore(memoryStore()) }));
createSessions({ secrets: ["x"], store: fromConnectStore(new originalSession.MemoryStore()) });

app.get("/", async (req, res) => {
  const views: number | undefined = req.session.views;
  req.session.views = (views ?? 0) + 1;
  // @ts-expect-error: it is a number
  req.session.views = "1";
  req.session.cookie.maxAge = 1000;
  req.session.save((error) => res.end(String(error)));
  req.session.save().then(() => {});
  await req.session.save();
  await req.session.reload();
  await req.session.destroy();
  await req.session.regenerate();
  req.session.regenerate(() => {}).touch();
  const id: string = req.sessionID;
  req.sessionStore.get(id, (_error, data) => data?.views);
});

class MyStore extends session.Store {
  get(_sid: string, callback: (error: any, data?: session.SessionData | null) => void): void {
    callback(null, null);
  }
  set(_sid: string, _data: session.SessionData, callback?: (error?: any) => void): void {
    callback?.();
  }
  destroy(_sid: string, callback?: (error?: any) => void): void {
    callback?.();
  }
}
const store: Store = new MyStore();
app.use(session({ secret: "x", store }));
createSessions({ secrets: ["x"], store: fromConnectStore(store) });
