/** Checks that all variants do the same work: who answers less has not been faster. */
import { deepStrictEqual } from "node:assert";
import { largeData, smallData } from "./session-data.js";

const DATA = { small: smallData, large: largeData };

/** Gives every browser its session. */
export async function startSessions(generator, { name, port }, size, count) {
  const group = `${name} ${size}`;
  await generator.browsers({ group, count });
  if (size !== "none") {
    await generator.once({
      group,
      port,
      method: "POST",
      path: `/start?user={user}&size=${size}`,
      answer: '{"started":true',
    });
    await assertSessions(generator, { name, port }, size);
  }
  return group;
}

/** Every session is there, with the data that it began with and every write that was acknowledged. */
export async function assertSessions(generator, { name, port }, size) {
  const answers = await generator.once({ group: `${name} ${size}`, port, method: "GET", path: "/check" });
  for (const { id, writes, body } of answers) {
    const data = JSON.parse(body);
    // Where a login can change nothing but the data, that is what it changes.
    delete data.user.seen;
    try {
      deepStrictEqual(data, { ...DATA[size](`user-${id}`), count: writes });
    } catch (error) {
      throw new Error(
        `${name}: the session of browser ${id} is not what was written to it\n${error.message}`,
      );
    }
  }
}

/** A login gives a new cookie that opens the session, and the old one opens it no more. */
export async function assertRotation({ name, port }) {
  const ask = async (method, path, cookies) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { cookie: cookies } });
    const set = response.headers.getSetCookie().map((line) => line.split(";", 1)[0]);
    return { cookies: set.join("; "), answer: await response.json() };
  };
  const { cookies: old } = await ask("POST", "/start?user=user-x&size=small", "");
  const { cookies } = await ask("POST", "/login", old);
  const { answer: now } = await ask("GET", "/read", cookies);
  const { answer: before } = await ask("GET", "/read", old);
  if (now.name !== "Ada Lovelace") throw new Error(`${name}: the new cookie opens no session`);
  if (before.name !== "nobody") throw new Error(`${name}: the old cookie still opens the session`);
}
