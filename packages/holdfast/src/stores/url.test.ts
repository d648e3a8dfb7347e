import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openStore } from "./url.js";

describe("openStore", () => {
  it("takes anything without a scheme for the path of a SQLite file", async () => {
    const store = await openStore(temporary());
    expect(store.name).toBe("sqlite");
    await store.close();
  });

  it.each([
    ["redis://127.0.0.1:1", "redis"],
    ["postgres://user:pw@127.0.0.1:1/db", "postgres"],
    ["postgresql://user:pw@127.0.0.1:1/db", "postgres"],
    ["mysql://user:pw@127.0.0.1:1/db", "mysql"],
    ["mariadb://user:pw@127.0.0.1:1/db", "mysql"],
    ["MongoDB://127.0.0.1:1/db", "mongodb"],
  ])("opens %s with the store for it", async (url, name) => {
    const store = await openStore(url);
    expect(store.name).toBe(name);
    await store.close();
  });

  it.each(["", "ftp://user:hunter2@host/", "__proto__://user:hunter2@host", "constructor://hunter2"])(
    "refuses %j without quoting it",
    async (location) => {
      const error = await openStore(location).catch((failure) => failure);
      expect(error).toMatchObject({ code: "ERR_HOLDFAST_CONFIG", option: "openStore" });
      expect(error.message).not.toContain("hunter2");
    },
  );

  it("passes on what a URL can't say, and refuses what the store doesn't have", async () => {
    const store = await openStore(temporary(), { table: "shop_sessions" });
    await store.close();
    const error = await openStore("mysql://user:hunter2@127.0.0.1:1/db", { prefix: "x:" }).catch((e) => e);
    expect(error).toMatchObject({ code: "ERR_HOLDFAST_CONFIG", option: "prefix" });
    expect(error.message).toBe("prefix: mysql:// has no such option; it has table");
  });

  it("makes nothing where it is told not to", async () => {
    const path = temporary();
    const refusal = (table?: string, file = path) =>
      openStore(file, { create: false, table }).then(
        () => "opened",
        ({ message }) => message.replace(file, "FILE"),
      );
    expect(await refusal()).toBe("sqliteStore.path: there is no file FILE");
    expect(existsSync(path)).toBe(false);
    await (await openStore(path)).close();
    const before = readFileSync(path);
    expect(await refusal("sesions")).toBe(
      "sqliteStore.table: FILE has no table of sessions called sesions; it has holdfast_sessions",
    );
    expect(readFileSync(path).equals(before)).toBe(true);
    const store = await openStore(path, { create: false });
    await store.close();
    const letter = temporary();
    writeFileSync(letter, "these are the notes of a person, and no database of any kind");
    expect(await refusal(undefined, letter)).toMatch(
      /^sqliteStore.path: FILE can't be opened: .*not a database/,
    );
  });
});

function temporary(): string {
  return join(mkdtempSync(join(tmpdir(), "holdfast-")), "sessions.db");
}
