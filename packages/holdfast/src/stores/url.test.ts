import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openStore } from "./url.js";

describe("openStore", () => {
  it("takes anything without a scheme for the path of a SQLite file", async () => {
    const store = await openStore(join(mkdtempSync(join(tmpdir(), "holdfast-")), "sessions.db"));
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
});
