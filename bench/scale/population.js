/**
 * A population of sessions that nobody has to remember: the nth session's token, and so its cookie and its id, are computed
 * from its number, in JavaScript as in SQL.
 */
import { hash } from "node:crypto";
import { createKeyring } from "../../packages/holdfast/dist/token/keyring.js";
import { sessionIdOf } from "../../packages/holdfast/dist/token/token.js";
import { requestWith } from "../../packages/holdfast/test/cost/requests.mjs";
import { smallData } from "../http/session-data.js";

export const SECRET = "Vq3nB8wY1tK6mZ4rXc9sLd2fGh7jPa5e";
const keyring = createKeyring([SECRET], true);

export const tokenOf = (n) => hash("sha256", `session ${n}`, "base64url");
export const idOf = (n) => sessionIdOf(tokenOf(n));
export const userOf = (n, users) => `user-${n % users}`;

/** A request that comes with the nth session's cookie. */
export function requestOf(n) {
  return requestWith(`__Host-sid=${keyring.sign(tokenOf(n))}`);
}

/** Stands for the user's id in a record that is to be copied. */
const PLACE = "user-number";

/**
 * What the library itself stores for a logged-in user with a session of usual size: the record that all others are copies of.
 */
export async function sampleRecord(sessions, store) {
  const exchange = await sessions.open(requestWith(undefined));
  const { session } = exchange;
  Object.assign(session.data, smallData(PLACE));
  await session.login(PLACE);
  await exchange.commit();
  const call = { now: Date.now(), signal: new AbortController().signal };
  const record = await store.load(session.id, call);
  const payload = record.payload;
  return { id: session.id, record, place: PLACE, payloadFor: (userId) => payload.replaceAll(PLACE, userId) };
}
