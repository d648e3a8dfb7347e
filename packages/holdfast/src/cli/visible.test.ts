import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nearest } from "./nearest.js";
import { columnsOf, cut, visible, visibleJson } from "./visible.js";

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/u;
const anything = fc.string({ unit: "binary" });

describe("text for a terminal", () => {
  it("has nothing in it that a terminal doesn't show", () => {
    fc.assert(
      fc.property(anything, (text) => !UNSEEN.test(visible(text)) && !UNSEEN.test(visibleJson({ text }))),
    );
    expect(visible("a\u001b[31m\u009b\u202e\ud800é日🙂")).toBe("a\\u{1b}[31m\\u{9b}\\u{202e}\\u{d800}é日🙂");
  });

  it("as JSON reads back as it was", () => {
    fc.assert(fc.property(anything, (text) => JSON.parse(visibleJson({ text })).text === text));
  });

  it("is cut to columns, wide characters counted twice and none cut in half", () => {
    expect(columnsOf("日本 a")).toBe(6);
    expect(cut("日本の人", 6)).toBe("日本…");
    expect(cut("ada", 3)).toBe("ada");
    fc.assert(
      fc.property(anything, fc.integer({ min: 1, max: 20 }), (text, columns) => {
        return columnsOf(cut(visible(text), columns)) <= columns;
      }),
    );
  });
});

describe("a word typed wrong", () => {
  it.each([
    ["lss", "ls"],
    ["revok", "revoke"],
    ["rveoke", "revoke"],
    ["stat", "stats"],
    ["docter", "doctor"],
    ["xylophone", undefined],
    ["", undefined],
  ])("%s is meant for %s", (typed, word) => {
    expect(nearest(typed, ["secret", "ls", "show", "revoke", "stats", "sweep", "doctor"])).toBe(word);
  });
});
