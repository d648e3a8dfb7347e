import { describe, expect, it } from "vitest";
import { RecentMap } from "./recent-map.js";

describe("RecentMap", () => {
  it("gives back what was put in last, and forgets what nobody asked for", () => {
    const map = new RecentMap<number>(10);
    for (let key = 0; key < 100; key++) map.set(`${key}`, key);
    for (let key = 95; key < 100; key++) expect(map.get(`${key}`)).toBe(key);
    for (let key = 0; key < 90; key++) expect(map.get(`${key}`)).toBeUndefined();
  });

  it("keeps what is asked for again and again", () => {
    const map = new RecentMap<number>(10);
    map.set("wanted", -1);
    for (let key = 0; key < 100; key++) {
      map.set(`${key}`, key);
      expect(map.get("wanted")).toBe(-1);
    }
  });
});
