import { createServer } from "node:http";
import { nodeSessions } from "holdfast/node";
import { cookieStore } from "holdfast/stores/cookie";
import { dataFor } from "../session-data.js";
import { bareData, COOKIE, LIFETIME, memory, SECRET, sessionsIn } from "./settings.js";

/** `open` gives the data and what stores it. */
const VARIANTS = {
  bare: () => ({
    open: (request) => ({ data: bareData(request.headers.cookie), save() {}, login() {} }),
  }),
  "holdfast-memory": () => holdfast(memory()),
  "holdfast-cookie": () => holdfast(cookieStore()),
  "iron-session": async () => {
    const { getIronSession } = await import("iron-session");
    const settings = { password: SECRET, cookieName: "session", ttl: LIFETIME / 1000, cookieOptions: COOKIE };
    return {
      open: async (request, response) => {
        const data = await getIronSession(request, response, settings);
        const save = () => data.save();
        // There is nothing to rotate: the cookie is the session.
        return { data, save, login: save };
      },
    };
  },
};

function holdfast(store) {
  const sessions = nodeSessions(sessionsIn(store));
  return {
    wrap: (handle) => sessions.handler(handle),
    open: ({ session }) => ({
      data: session.data,
      save() {},
      login: () => session.login(session.data.user.id),
    }),
  };
}

export async function listen(name) {
  const { wrap = (handle) => handle, open } = await VARIANTS[name]();
  const answer = (response, value) => {
    const text = JSON.stringify(value);
    response.setHeader("Content-Type", "application/json");
    response.setHeader("Content-Length", Buffer.byteLength(text));
    response.end(text);
  };
  const ROUTES = {
    async start({ data, save }, response, url) {
      Object.assign(data, dataFor(new URL(url, "http://bench").searchParams));
      await save();
      answer(response, { started: true });
    },
    read({ data }, response) {
      answer(response, { name: data.user?.name ?? "nobody" });
    },
    async write({ data, save }, response) {
      data.count++;
      await save();
      answer(response, { name: data.user.name, count: data.count });
    },
    async login({ data, login }, response) {
      await login();
      answer(response, { name: data.user.name });
    },
    check({ data }, response) {
      const { user, cart, locale, theme, count, orders } = data;
      answer(response, { user, cart, locale, theme, count, orders });
    },
  };
  const handle = (request, response) => {
    const { url } = request;
    const route = ROUTES[/^\/([a-z]+)/.exec(url)[1]];
    const opened = open(request, response);
    return opened instanceof Promise
      ? opened.then((session) => route(session, response, url))
      : route(opened, response, url);
  };
  return createServer(wrap(handle)).listen(0, "127.0.0.1");
}
