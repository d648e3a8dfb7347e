// @ts-check
/**
 * The story that every small example tells, over real HTTP: visits are counted, the count survives a login, the login
 * gives a new cookie, and logout ends the session for whoever has kept that cookie.
 */
import assert from "node:assert/strict";

/** Throws where the example at this address tells another story. @param {string} url */
export async function drive(url) {
  const visitor = new Visitor(url);

  assert.match((await visitor.get("/")).body, /Visits: 1\b/);
  assert.match((await visitor.get("/")).body, /Visits: 2\b/);
  assert.match(
    (await new Visitor(url).get("/")).body,
    /Visits: 1\b/,
    "another visitor has a count of their own",
  );
  await assertNoAccount(visitor);

  const anonymous = visitor.twin();
  const login = await visitor.post("/login", { name: "ada" });
  assert.deepEqual([login.status, login.location], [303, "/"]);
  assert.notEqual(visitor.cookie, anonymous.cookie, "a login gives a new cookie");
  const home = await visitor.get("/");
  assert.match(home.body, /Visits: 3\b/, "the count survives the login");
  assert.match(home.body, /Hello, ada/);
  const account = await visitor.get("/account");
  assert.equal(account.status, 200);
  assert.match(account.body, /ada/);
  assert.doesNotMatch(
    (await anonymous.get("/")).body,
    /Hello/,
    "the cookie from before the login is worth nothing",
  );

  const keeper = visitor.twin();
  const logout = await visitor.post("/logout", {});
  assert.deepEqual([logout.status, logout.location], [303, "/"]);
  for (const browser of [visitor, keeper]) {
    await assertNoAccount(browser);
    const { body } = await browser.get("/");
    assert.match(body, /Visits: 1\b/, "logout ends the session, and a new one begins");
    assert.doesNotMatch(body, /Hello/);
  }
}

/** @param {Visitor} visitor */
async function assertNoAccount(visitor) {
  const { status, location, body } = await visitor.get("/account");
  if (status !== 401) {
    assert.ok([302, 303].includes(status), `/account answered ${status} to nobody`);
    assert.equal(location, "/");
  }
  assert.doesNotMatch(body, /ada/);
}

/** A browser's cookie and forms, without the browser. */
class Visitor {
  #url;
  cookie = "";

  /** @param {string} url */
  constructor(url) {
    this.#url = url;
  }

  /** Somebody who has the same cookie. */
  twin() {
    const twin = new Visitor(this.#url);
    twin.cookie = this.cookie;
    return twin;
  }

  /** @param {string} path */
  get(path) {
    return this.#ask(path, {});
  }

  /** @param {string} path @param {Record<string, string>} fields */
  post(path, fields) {
    return this.#ask(path, { method: "POST", body: new URLSearchParams(fields) });
  }

  /** @param {string} path @param {RequestInit} init */
  async #ask(path, init) {
    const headers = { origin: new URL(this.#url).origin, ...(this.cookie && { cookie: this.cookie }) };
    const response = await fetch(new URL(path, this.#url), { ...init, headers, redirect: "manual" });
    assert.ok(response.status < 500, `${path} answered ${response.status}`);
    for (const line of response.headers.getSetCookie()) {
      const pair = line.slice(0, line.indexOf(";"));
      this.cookie = pair.endsWith("=") ? "" : pair;
    }
    return {
      status: response.status,
      location: response.headers.get("location"),
      body: await response.text(),
    };
  }
}
