// @ts-check
import { hashPassword, verifyPassword } from "./passwords.js";

/** @typedef {{ id: string, login: string, name: string, isAdmin: boolean }} User */

/** The sign-in page shows these, because this is a demo. */
export const demoUsers = [
  { login: "ada", name: "Ada Lovelace", password: "lovelace-1815" },
  { login: "grace", name: "Grace Hopper", password: "hopper-1906" },
  { login: "marina", name: "Marina Keeper", password: "lighthouse-1611", isAdmin: true },
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
  database.exec("CREATE TABLE IF NOT EXISTS admins (user_id INTEGER PRIMARY KEY REFERENCES users)");
  const add = database.prepare(
    "INSERT INTO users (login, name, password_hash) VALUES (?, ?, ?) ON CONFLICT (login) DO NOTHING",
  );
  const addOrRename = database.prepare(
    "INSERT INTO users (login, name, password_hash) VALUES (?, ?, '') ON CONFLICT (login) DO UPDATE SET name = excluded.name",
  );
  const addAdmin = database.prepare(
    "INSERT INTO admins (user_id) SELECT id FROM users WHERE login = ? ON CONFLICT DO NOTHING",
  );
  const columns = "id, login, name, password_hash, id IN (SELECT user_id FROM admins) AS is_admin";
  const byLogin = database.prepare(`SELECT ${columns} FROM users WHERE login = ?`);
  const byId = database.prepare(`SELECT ${columns} FROM users WHERE id = ?`);

  for (const { login, name, password, isAdmin } of demoUsers) {
    if (byLogin.get(login) === undefined) add.run(login, name, await hashPassword(password));
    if (isAdmin) addAdmin.run(login);
  }
  const nobodysHash = await hashPassword("nobody has this password");

  /** @param {unknown} row @returns {User | undefined} */
  const userOf = (row) => {
    if (row === undefined) return undefined;
    const { id, login, name, is_admin } = /** @type {Row} */ (row);
    return { id: String(id), login, name, isAdmin: is_admin === 1 };
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

/** @typedef {{ id: number, login: string, name: string, password_hash: string, is_admin: number }} Row */
/** @typedef {Awaited<ReturnType<typeof openUsers>>} Users */
