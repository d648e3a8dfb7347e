import { describe, expect, it } from "vitest";
import { shownLocation, withoutSecrets } from "./location.js";

describe("a store's location", () => {
  it.each([
    ["sessions.db", "sessions.db"],
    ["redis://127.0.0.1:6379", "redis://127.0.0.1:6379"],
    ["REDISS://:hunter2@cache.example/0", "rediss://cache.example/0"],
    ["postgres://shop:hunter2@db.example:5432/shop?sslmode=require", "postgres://db.example:5432/shop"],
    ["postgres://shop:hunt?er2#@db.example/shop", "postgres://db.example/shop"],
    ["mysql://shop:hun@ter2@db.example/shop", "mysql://db.example/shop"],
    ["mongodb://shop:hunter2@a.example,b.example/?authSource=admin", "mongodb://a.example,b.example/"],
    ["mongodb+srv://shop:hunter2@cluster.example/shop", "mongodb+srv://cluster.example/shop"],
  ])("%s is shown without credentials and query", (location, shown) => {
    expect(shownLocation(location)).toBe(shown);
  });

  it.each([
    "can't parse postgres://shop:hunt%40er2@db.example/shop",
    "access denied with hunt@er2",
    "access denied with hunt%40er2",
    "connecting shop:hunt%40er2 failed",
    "redirected to postgres://replica:hunter3-hunt@er2@other.example/",
  ])("%s is said without the password", (message) => {
    const clean = withoutSecrets(message, "postgres://shop:hunt%40er2@db.example/shop");
    expect(clean).not.toMatch(/hunt|er2|hunter3/);
  });

  it("leaves messages alone that quote nothing", () => {
    expect(withoutSecrets("connect ECONNREFUSED 127.0.0.1:1", "redis://:x@127.0.0.1:1")).toBe(
      "connect ECONNREFUSED 127.0.0.1:1",
    );
    expect(withoutSecrets("no such file", "sessions.db")).toBe("no such file");
  });
});
