import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeClient } from "./client.js";

/** Any unit of UTF-16, lone surrogates too. (fast-check's own "binary" takes a second to start.) */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));

function describeAgent(userAgent: string | undefined, rememberIp = false, remoteAddress?: string) {
  const header = (name: string) => (name === "user-agent" ? userAgent : undefined);
  return describeClient(
    { method: "GET", target: "/", header, encrypted: false, remoteAddress },
    { rememberIp, clientWatch: undefined, trustsProxy: () => false },
  );
}

describe("describeClient", () => {
  it.each([
    [
      "Chrome",
      "Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ],
    [
      "Chrome",
      "macOS",
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ],
    [
      "Chrome",
      "Android",
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    ],
    [
      "Chrome",
      "iOS",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.7390.26 Mobile/15E148 Safari/604.1",
    ],
    [
      "Chrome",
      "Chrome OS",
      "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ],
    [
      "Chrome",
      "Linux",
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ],
    ["Firefox", "Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"],
    [
      "Firefox",
      "Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    ],
    ["Firefox", "Android", "Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0"],
    [
      "Firefox",
      "iOS",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 15_7_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/143.0 Mobile/15E148 Safari/605.1.15",
    ],
    [
      "Safari",
      "macOS",
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    ],
    [
      "Safari",
      "iOS",
      "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    ],
    [
      "Microsoft Edge",
      "Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
    ],
    [
      "Opera",
      "Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0",
    ],
    [
      "Samsung Internet for Android",
      "Android",
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    ],
  ])("%s on %s: %s", (browser, system, userAgent) => {
    expect(describeAgent(userAgent)).toEqual({ browser, system });
  });

  it.each([undefined, "", " ", "   \t ", "x", "Mozilla/5.0", "-", "null"])(
    "says nothing of %j",
    (userAgent) => {
      expect(describeAgent(userAgent)).toBeUndefined();
    },
  );

  it("names a program that names itself in few plain letters", () => {
    expect(describeAgent("PostmanRuntime/7.43.0 (x)")).toEqual({ browser: "PostmanRuntime" });
  });

  it.each([
    "<script>alert(1)</script>/1 (x",
    '"><img src=x onerror=alert(1)>/1 ',
    `${"A".repeat(300)}/1 `,
    "javascript:alert(1)//1 ",
    "\u202eemorhC/1 ",
    "{{constructor}}/1 ",
    "' OR 1=1 --/1 ",
  ])("shows nobody a text of the client's own: %j", (userAgent) => {
    expect(describeAgent(userAgent)).toBeUndefined();
  });

  it("keeps the address by option only", () => {
    expect(describeAgent(undefined, true, "192.0.2.1")).toEqual({ ip: "192.0.2.1" });
    expect(describeAgent(undefined, false, "192.0.2.1")).toBeUndefined();
    expect(describeAgent(undefined, true, undefined)).toBeUndefined();
    const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";
    expect(describeAgent(firefox, true, "::1")).toEqual({ browser: "Firefox", system: "Linux", ip: "::1" });
  });

  it("reads the first 512 characters only", () => {
    const firefox = "(X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";
    expect(describeAgent(`Mozilla/5.0 ${"x".repeat(600)} ${firefox}`)?.browser).not.toBe("Firefox");
    expect(describeAgent(`Mozilla/5.0 ${"x".repeat(300)} ${firefox}`)?.browser).toBe("Firefox");
  });

  it.each(["A", "/", "(", " ", "Mozilla/5.0 (", "Chrome/1 ", "Version/", ";", "\\", "/ ("])(
    "takes 10 kB of %j",
    (part) => {
      expect(() => describeAgent(part.repeat(10_000 / part.length))).not.toThrow();
    },
  );

  it("never throws, and gives short plain words or nothing, whatever it reads", () => {
    const part = fc.oneof(
      fc.string({ unit: CODE_UNIT, maxLength: 8 }),
      fc.constantFrom(
        "Mozilla/5.0",
        "(",
        ")",
        " ",
        "/",
        "Chrome/",
        "Windows",
        "Android",
        "like Gecko",
        "__proto__",
      ),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
        for (const word of Object.values(describeAgent(parts.join("")) ?? {}))
          expect(word).toMatch(/^[\w .+-]{1,40}$/);
      }),
      { numRuns: 300 },
    );
  });
});
