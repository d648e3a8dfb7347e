import { serve } from "@hono/node-server";
import { honoSessions } from "holdfast/hono";
import { Hono } from "hono";
import { dataFor } from "../session-data.js";
import { bareData, LIFETIME, memory, SECRET, sessionsIn } from "./settings.js";

/** `dataOf` gives the data, `write` changes it, both as the library would have it done. */
const VARIANTS = {
  bare: () => ({
    dataOf: (c) => bareData(c.req.header("cookie")),
    write: (c, change) => changed(bareData(c.req.header("cookie")), change),
    login: () => {},
  }),
  "holdfast-memory": () => ({
    middleware: honoSessions(sessionsIn(memory())),
    dataOf: (c) => c.var.session.data,
    write: (c, change) => changed(c.var.session.data, change),
    login: (c) => c.var.session.login(c.var.session.data.user.id),
  }),
  "hono-session": async () => {
    const { useSession } = await import("@hono/session");
    const update = async (c, change) => {
      let data;
      await c.var.session.update((before) => {
        data = changed({ ...before }, change);
        return data;
      });
      return data;
    };
    return {
      // Its cookie is always HttpOnly and SameSite=Lax; over plain HTTP it is not Secure.
      middleware: useSession({ secret: SECRET, duration: { absolute: LIFETIME / 1000 } }),
      dataOf: async (c) => (await c.var.session.get()) ?? {},
      write: update,
      // There is nothing to rotate: the cookie is the session.
      login: (c) =>
        update(c, (data) => {
          data.user.seen = (data.user.seen ?? 0) + 1;
        }),
    };
  },
};

function changed(data, change) {
  change(data);
  return data;
}

export async function listen(name) {
  const { middleware, dataOf, write, login } = await VARIANTS[name]();
  const app = new Hono();
  if (middleware !== undefined) app.use(middleware);
  app.post("/start", async (c) => {
    const query = new URL(c.req.url).searchParams;
    await write(c, (data) => Object.assign(data, dataFor(query)));
    return c.json({ started: true });
  });
  app.get("/read", async (c) => c.json({ name: (await dataOf(c)).user?.name ?? "nobody" }));
  app.post("/write", async (c) => {
    const data = await write(c, (data) => {
      data.count++;
    });
    return c.json({ name: data.user.name, count: data.count });
  });
  app.post("/login", async (c) => {
    await login(c);
    return c.json({ name: (await dataOf(c)).user.name });
  });
  app.get("/check", async (c) => {
    const { user, cart, locale, theme, count, orders } = await dataOf(c);
    return c.json({ user, cart, locale, theme, count, orders });
  });
  return serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
}
