// @ts-check
/** The whole application, of Request and Response alone: the servers beside it run it on Node, Bun and Deno. */
import { createSessions, memoryStore } from "holdfast";
import { fetchSessions } from "holdfast/fetch";

const { SESSION_SECRET } = process.env;

export const store = memoryStore();

/** @type {import("holdfast").Sessions<{ visits?: number }>} */
export const sessions = createSessions({ secrets: SESSION_SECRET ? [SESSION_SECRET] : [], store });

/**
 * @param {Request} request
 * @param {string | undefined} remoteAddress Of the other end of the connection, as each runtime has its own way to tell.
 */
export function handle(request, remoteAddress) {
  return fetchSessions(sessions, { remoteAddress: () => remoteAddress }).handler(route)(request);
}

/**
 * @param {Request} request
 * @param {import("holdfast").Session<{ visits?: number }>} session
 */
async function route(request, session) {
  const url = new URL(request.url);
  switch (`${request.method} ${url.pathname}`) {
    case "GET /":
      session.data.visits = (session.data.visits ?? 0) + 1;
      return page(`<p>Visits: ${session.data.visits}</p>${session.userId ? greeting(session.userId) : FORM}`);

    case "POST /login": {
      const name = (await request.formData()).get("name");
      // Here an application would check a password.
      if (typeof name !== "string" || !/^\w{1,30}$/.test(name)) return page("<p>Who are you?</p>", 400);
      if (session.userId !== undefined) await session.logout();
      await session.login(name);
      return seeOther("/");
    }

    case "POST /logout":
      await session.logout();
      return seeOther("/");

    case "GET /account":
      if (session.userId === undefined) return seeOther("/");
      return page(`<p>The account of ${session.userId}</p>`);

    default:
      return page("<p>There is no such page.</p>", 404);
  }
}

const FORM = `<form method="post" action="/login"><input name="name" required pattern="\\w+"><button>Log in</button></form>`;

/** @param {string} userId */
const greeting = (userId) =>
  `<p>Hello, ${userId}</p><form method="post" action="/logout"><button>Log out</button></form>`;

const page = (/** @type {string} */ body, status = 200) =>
  new Response(`<!doctype html>${body}`, { status, headers: { "Content-Type": "text/html; charset=utf-8" } });

const seeOther = (/** @type {string} */ location) =>
  new Response(null, { status: 303, headers: { Location: location } });
