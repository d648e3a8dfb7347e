import { describe, expect, it } from "vitest";
import { Flash, type FlashEntry } from "./flash.js";

/** What a store gives: the entries, through JSON. */
function stored(...entries: FlashEntry[]): FlashEntry[] {
  return JSON.parse(JSON.stringify(entries)) as FlashEntry[];
}

function flashOf(...entries: FlashEntry[]): Flash {
  const flash = new Flash();
  flash.reset(stored(...entries));
  return flash;
}

describe("Flash", () => {
  it("starts with nothing", () => {
    const flash = new Flash();
    expect(flash.take("notice")).toEqual([]);
    expect(flash.entries()).toEqual([]);
    expect(flash.changed).toBe(false);
    flash.reset(undefined);
    expect(flash.entries()).toEqual([]);
  });

  it("keeps a message until it is read", () => {
    const flash = flashOf(["notice", "Saved"]);
    expect(flash.entries()).toEqual([["notice", "Saved"]]);
    expect(flash.changed).toBe(false);
  });

  it("gives a message once", () => {
    const flash = flashOf(["notice", "Saved"]);
    expect(flash.take("notice")).toEqual(["Saved"]);
    expect(flash.changed).toBe(true);
    expect(flash.take("notice")).toEqual([]);
    expect(flash.entries()).toEqual([]);
  });

  it("gives the messages of one key, oldest first, and leaves the others", () => {
    const flash = flashOf(["notice", 1], ["error", 2], ["notice", 3]);
    flash.add("notice", 4);
    flash.add("error", 5);
    expect(flash.take("notice")).toEqual([1, 3, 4]);
    expect(flash.entries()).toEqual([
      ["error", 2],
      ["error", 5],
    ]);
  });

  it("gives a message that this very request added, and then doesn't store it", () => {
    const flash = new Flash();
    flash.add("notice", "Saved");
    expect(flash.changed).toBe(true);
    expect(flash.take("notice")).toEqual(["Saved"]);
    expect(flash.entries()).toEqual([]);
    expect(flash.changed).toBe(false);
  });

  it("keeps like messages apart", () => {
    const flash = flashOf(["notice", "Saved"], ["notice", "Saved"]);
    flash.add("notice", "Saved");
    expect(flash.entries()).toHaveLength(3);
    expect(flash.take("notice")).toEqual(["Saved", "Saved", "Saved"]);
    expect(flash.entries()).toEqual([]);
  });

  it("takes any key for a key", () => {
    const flash = flashOf(["__proto__", 1], ["constructor", 2], ["", 3]);
    expect(flash.take("toString")).toEqual([]);
    expect(flash.take("__proto__")).toEqual([1]);
    expect(flash.take("constructor")).toEqual([2]);
    expect(flash.take("")).toEqual([3]);
  });

  it("counts reading a key without messages as no change", () => {
    const flash = flashOf(["notice", "Saved"]);
    flash.take("error");
    expect(flash.changed).toBe(false);
  });

  it("has read a message even where the handler changes what it got", () => {
    const flash = flashOf(["errors", { name: ["is empty"] }], ["notice", "Saved"]);
    const [errors] = flash.take("errors") as [{ name: string[] }];
    errors.name.push("is too short");
    expect(flash.entries()).toEqual([["notice", "Saved"]]);
  });

  it("doesn't change the list that it was given", () => {
    const entries = Object.freeze(stored(["notice", 1], ["notice", 2]));
    const flash = new Flash();
    flash.reset(entries);
    flash.take("notice");
    flash.add("notice", 3);
    flash.rebase(entries);
    expect(entries).toEqual([
      ["notice", 1],
      ["notice", 2],
    ]);
  });

  it("has nothing left to do once it is reset to what was stored", () => {
    const flash = flashOf(["notice", 1]);
    flash.take("notice");
    flash.add("error", 2);
    flash.reset(stored(...flash.entries()));
    expect(flash.changed).toBe(false);
    expect(flash.entries()).toEqual([["error", 2]]);
    expect(flash.take("error")).toEqual([2]);
  });
});

describe("two requests that run together", () => {
  it("both keep what they added", () => {
    const mine = flashOf(["notice", 0]);
    const theirs = flashOf(["notice", 0]);
    mine.add("notice", "mine");
    theirs.add("notice", "theirs");
    mine.rebase(stored(...theirs.entries()));
    expect(mine.entries()).toEqual([
      ["notice", 0],
      ["notice", "theirs"],
      ["notice", "mine"],
    ]);
  });

  it("one that read and one that added: what was read is gone, what was added stays", () => {
    const reader = flashOf(["notice", "old"]);
    const writer = flashOf(["notice", "old"]);
    reader.take("notice");
    writer.add("notice", "new");

    const readerLast = stored(...writer.entries());
    reader.rebase(readerLast);
    expect(reader.entries()).toEqual([["notice", "new"]]);

    const writerLast = flashOf(["notice", "old"]);
    writerLast.add("notice", "new");
    writerLast.rebase([]);
    expect(writerLast.entries()).toEqual([["notice", "new"]]);
  });

  it("still have read it after losing several times", () => {
    const reader = flashOf(["notice", "old"]);
    reader.take("notice");
    for (let attempt = 1; attempt <= 3; attempt++) {
      reader.rebase(stored(["notice", "old"], ["notice", attempt]));
      expect(reader.entries()).toEqual([["notice", attempt]]);
    }
  });

  it("keep a message of the other that is like the one that was read", () => {
    const reader = flashOf(["notice", "Saved"]);
    reader.take("notice");
    reader.rebase(stored(["notice", "Saved"], ["notice", "Saved"]));
    expect(reader.entries()).toEqual([["notice", "Saved"]]);
  });

  it("keep it even where the key was read twice", () => {
    const reader = flashOf(["notice", "Saved"]);
    reader.take("notice");
    reader.take("notice");
    reader.rebase(stored(["notice", "Saved"], ["notice", "Saved"]));
    expect(reader.entries()).toEqual([["notice", "Saved"]]);
  });

  it("can read what the other added, after taking it over", () => {
    const reader = flashOf(["notice", "old"]);
    expect(reader.take("notice")).toEqual(["old"]);
    reader.rebase(stored(["notice", "old"], ["notice", "new"]));
    expect(reader.take("notice")).toEqual(["new"]);
    reader.rebase(stored(["notice", "old"], ["notice", "new"]));
    expect(reader.entries()).toEqual([]);
  });
});
