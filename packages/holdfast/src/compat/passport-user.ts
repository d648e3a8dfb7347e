import { isUserId } from "../engine/rotation.js";

/** Whom Passport has logged in, as text; undefined where what it noted can't be a user id, as a whole profile can't. */
export function passportUser(session: Record<string, any>): string | undefined {
  const user = session.passport?.user;
  const userId = typeof user === "number" ? String(user) : user;
  return isUserId(userId) ? userId : undefined;
}
