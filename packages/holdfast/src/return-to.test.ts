import fc from "fast-check";
import { expect, it } from "vitest";
import { safeReturnTo } from "./return-to.js";

const BASE = new URL("https://shop.example");
const returnTo = (value: unknown) => safeReturnTo(value, "/home", BASE.origin);

it.each(["/", "/cart", "/a/b?c=d&e=%2F%2F#f", "/search?q=https://other.example", "/%2e%2e", "/ü"])(
  "%j is followed",
  (value) => {
    const { pathname, search, hash } = new URL(value, BASE);
    expect(returnTo(value)).toBe(pathname + search + hash);
  },
);

it.each([undefined, null, 7, {}, ["/"], "", "cart", "?a", "#a", `/${"x".repeat(2000)}`])(
  "%j is not, and leads to the default",
  (value) => {
    expect(returnTo(value)).toBe("/home");
  },
);

/** What parsers of addresses disagree about, put together at random. */
const spelling = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "/",
        "//",
        "\\",
        ".",
        "..",
        "@",
        ":",
        "?",
        "#",
        "\t",
        "\n",
        "\r",
        " ",
        "%2f",
        "%5c",
        "%09",
        "%2e",
      ),
      fc.constantFrom(
        "evil.example",
        "https:",
        "http://",
        "javascript:",
        "shop.example",
        "[::1]",
        "\u3002",
        "\uff0f",
      ),
      fc.string({ unit: "binary", maxLength: 3 }),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));

it("whatever the spelling, a browser stays at the same origin", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        spelling,
        spelling.map((text) => `/${text}`),
      ),
      (value) => {
        const path = returnTo(value);
        // As a browser reads the Location header, from any page of the application.
        for (const page of ["/", "/auth/callback", "/a/b/c/"])
          expect(new URL(path, new URL(page, BASE)).origin).toBe(BASE.origin);
        expect(path).toMatch(/^\/(?![/\\])[\x21-\x7e]*$/);
        // And once more, for what follows it may send it on.
        expect(returnTo(path)).toBe(path);
      },
    ),
    { numRuns: 50_000 },
  );
});
