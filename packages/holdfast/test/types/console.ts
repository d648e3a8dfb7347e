/** How an application mounts the console; it must compile without a cast, and the lines marked must not. */

import { expectTypeOf } from "expect-type";
import express, { type Request as ExpressRequest } from "express";
import { cookieStore, createSessions, memoryStore } from "holdfast";
import { sessionConsole } from "holdfast/console";
import { Hono } from "hono";

const sessions = createSessions<{ visits?: number }>({
  secrets: [process.env.SESSION_SECRET!],
  store: memoryStore(),
});

const onExpress = sessionConsole<ExpressRequest>(sessions, {
  path: "/admin/sessions",
  guard: ({ session }) => session.userId === "root" && "root",
});
express().use("/admin/sessions", onExpress.node);

const onHono = sessionConsole(sessions, { path: "/admin", guard: async () => undefined });
new Hono().all("/admin/*", (c) => onHono.fetch(c.req.raw, c));
expectTypeOf(onHono.fetch(new Request("https://shop.example/admin"))).toEqualTypeOf<Promise<Response>>();

// @ts-expect-error no guard, no console
sessionConsole(sessions, { path: "/admin" });
// @ts-expect-error a yes is no name
sessionConsole(sessions, { path: "/admin", guard: () => true });
const inCookies = createSessions<{ visits?: number }>({
  secrets: [process.env.SESSION_SECRET!],
  store: cookieStore(),
});
// @ts-expect-error sessions in cookies can't be listed
sessionConsole(inCookies, { path: "/admin", guard: () => "root" });
