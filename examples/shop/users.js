// @ts-check
import { hashPassword, verifyPassword } from "./passwords.js";

/** @typedef {{ id: string, login: string, name: string }} User */

/** The sign-in page shows these, because this is a demo. */
export const demoUsers = [
  { login: "ada", name: "Ada Lovelace", password: "lovelace-1815" },
  { login: "grace", name: "Grace Hopper", password: "hopper-1906" },
];

/**
 * The shop's table of users, with the demo's two in it.
 *
 * @param {import("libsql").Database} database
 */
export async function openUsers(database) {
  database.exec(
    "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, name TEXT NOT NULL, password_hash TEXT NOT NULL)",
  );
  const add = database.prepare(
    "INSERT INTO users (login, name, password_hash) VALUES (?, ?, ?) ON CONFLICT (login) DO NOTHING",
  );
  const addOrRename = database.prepare(
    "INSERT INTO users (login, name, password_hash) VALUES (?, ?, '') ON CONFLICT (login) DO UPDATE SET name = excluded.name",
  );
  const byLogin = database.prepare("SELECT id, login, name, password_hash FROM users WHERE login = ?");
  const byId = database.prepare("SELECT id, login, name, password_hash FROM users WHERE id = ?");

  for (const { login, name, password } of demoUsers) {
    if (byLogin.get(login) === undefined) add.run(login, name, await hashPassword(password));
  }
  const nobodysHash = await hashPassword("nobody has this password");

  /** @param {unknown} row @returns {User | undefined} */
  const userOf = (row) => {
    if (row === undefined) return undefined;
    const { id, login, name } = /** @type {Row} */ (row);
    return { id: String(id), login, name };
  };

  return {
    /** @param {string | undefined} id */
    byId: (id) => (id === undefined ? undefined : userOf(byId.get(Number(id)))),

    /**
     * The user whose password this is. An unknown login costs as long as a wrong password, so nobody learns who has an
     * account here.
     *
     * @param {string} login
     * @param {string} password
     */
    async authenticate(login, password) {
      const row = /** @type {Row | undefined} */ (byLogin.get(login.trim().toLowerCase()));
      const matches = await verifyPassword(password, row?.password_hash ?? nobodysHash);
      return matches ? userOf(row) : undefined;
    },

    /**
     * The account of somebody whom the company vouches for; the first login makes it. It has no password. Only issuer and
     * subject together name a person: an e-mail address may be another's one day.
     *
     * @param {import("holdfast/oidc").Claims} claims
     */
    ofCompany({ iss, sub, name }) {
      const login = `${sub}@${iss}`;
      addOrRename.run(login, typeof name === "string" ? name : sub);
      return /** @type {User} */ (userOf(byLogin.get(login)));
    },
  };
}

/** @typedef {{ id: number, login: string, name: string, password_hash: string }} Row */
/** @typedef {Awaited<ReturnType<typeof openUsers>>} Users */
