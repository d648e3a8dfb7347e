import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Browser, listen } from "../../test/support/browser.js";
import { requestWith } from "../../test/support/exchange.js";
import { NodeRequest } from "../adapters/node-request.js";
import { type CookieOptions, CookieTooLargeError, createCookiePolicy } from "../token/cookie.js";
import {
  bearerTransport,
  cookiesTransport,
  cookieTransport,
  MAX_VALUES,
  type ResponseHeaders,
  roomInCookies,
  transportChoice,
} from "./transport.js";

/** What a sealed session may look like. */
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function text(length: number, seed = 0): string {
  return Array.from({ length }, (_, index) => ALPHABET[(index * 7 + seed) % ALPHABET.length]).join("");
}

/** A response's headers, kept as lines. */
class Lines implements ResponseHeaders {
  readonly setCookie: string[] = [];
  readonly others = new Map<string, string>();

  get(name: string): string | undefined {
    return this.others.get(name);
  }

  set(name: string, value: string): void {
    this.others.set(name, value);
  }

  append(_name: string, value: string): void {
    this.setCookie.push(value);
  }
}

/** Keeps cookies as a browser does. */
class Jar {
  readonly cookies = new Map<string, string>();

  take(lines: readonly string[]): this {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (line.includes("Max-Age=0")) this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
    return this;
  }

  get header(): string | undefined {
    const pairs = [...this.cookies].map(([name, value]) => `${name}=${value}`);
    return pairs.length === 0 ? undefined : pairs.join("; ");
  }
}

function cookiesOf(options: CookieOptions = {}, maxCookies = 3) {
  const cookie = createCookiePolicy(options).overHttps;
  return { cookie, transport: cookiesTransport(cookie, maxCookies), room: roomInCookies(cookie, maxCookies) };
}

describe("a value spread over cookies", () => {
  const { cookie, transport, room } = cookiesOf();

  const send = (jar: Jar, value: string, maxAge?: number) => {
    const lines = new Lines();
    transport.send(lines, value, maxAge, requestWith(jar.header));
    jar.take(lines.setCookie);
    return lines.setCookie;
  };
  const received = (jar: Jar) => transport.values(requestWith(jar.header));
  const lengths = fc.oneof(
    fc.integer({ min: 1, max: room }),
    // Around the ends of the parts.
    fc.tuple(fc.constantFrom(1, 2, 3), fc.integer({ min: -3, max: 3 })).map(([part, off]) => {
      const end = roomInCookies(cookie, part) + off;
      return Math.min(end, room);
    }),
  );

  it("comes back whole, whatever its length up to the limit", () => {
    fc.assert(
      fc.property(lengths, (length) => {
        const jar = new Jar();
        send(jar, text(length));
        expect(received(jar)).toEqual([text(length)]);
      }),
      { numRuns: 300 },
    );
  });

  it("takes as few cookies as it fits into, and no line is larger than browsers keep", () => {
    fc.assert(
      fc.property(
        lengths,
        fc.record<CookieOptions>(
          {
            name: fc.constantFrom("sid", "s", "x".repeat(128)),
            path: fc.constantFrom("/", `/${"p".repeat(1000)}`),
            domain: fc.constantFrom("shop.example"),
            sameSite: fc.constantFrom("none", "strict"),
            priority: fc.constantFrom("medium", "high"),
            partitioned: fc.boolean(),
          },
          { requiredKeys: [] },
        ),
        fc.constantFrom(undefined, 1, 1e15),
        (length, options, maxAge) => {
          const each = cookiesOf(options);
          const lines = new Lines();
          each.transport.send(lines, text(Math.min(length, each.room)), maxAge, requestWith(undefined));
          for (const line of lines.setCookie) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(4096);
          const fits = [1, 2, 3].find((count) => roomInCookies(each.cookie, count) >= length) ?? 3;
          expect(lines.setCookie).toHaveLength(fits);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("fills its cookies to the last byte of 4096 before another is taken", () => {
    const lines = send(new Jar(), text(room), 1e15);
    expect(lines.map((line) => Buffer.byteLength(line))).toEqual([4096, 4096, 4096]);
  });

  it("of one character too many is an error, and nothing is set", () => {
    const lines = new Lines();
    expect(() => transport.send(lines, text(room + 1), undefined, requestWith(undefined))).toThrow(
      CookieTooLargeError,
    );
    expect(lines.setCookie).toEqual([]);
  });

  it("leaves no parts of a larger value behind", () => {
    fc.assert(
      fc.property(fc.array(lengths, { minLength: 2, maxLength: 6 }), (history) => {
        const jar = new Jar();
        for (const [seed, length] of history.entries()) {
          send(jar, text(length, seed));
          expect(received(jar)).toEqual([text(length, seed)]);
          const parts = Number(jar.cookies.get(cookie.name)![0]);
          expect(jar.cookies.size).toBe(parts);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("is not disturbed by a part of a larger value that the browser kept", () => {
    const jar = new Jar();
    send(jar, text(room));
    const lines = new Lines();
    // As by a request that was sent before the larger value had arrived.
    transport.send(lines, text(10), undefined, requestWith(undefined));
    jar.take(lines.setCookie);
    expect(jar.cookies.size).toBe(3);
    expect(received(jar)).toEqual([text(10)]);
  });

  it("is erased with all the parts that came", () => {
    const jar = new Jar();
    send(jar, text(room));
    const lines = new Lines();
    transport.erase(lines, requestWith(jar.header));
    expect(lines.setCookie).toHaveLength(3);
    for (const line of lines.setCookie)
      expect(line).toMatch(
        /^__Host-sid(?:\.[12])?=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=\/; HttpOnly; Secure/,
      );
    expect(jar.take(lines.setCookie).cookies.size).toBe(0);
  });

  it("is nothing with a part missing, or with one that came twice", () => {
    const jar = new Jar();
    send(jar, text(room));
    for (const part of [`${cookie.name}.1`, `${cookie.name}.2`]) {
      const missing = new Jar().take([...jar.cookies].map(([name, value]) => `${name}=${value}`));
      missing.cookies.delete(part);
      expect(received(missing)).toEqual([""]);
      for (const planted of [jar.cookies.get(part), "planted", ""]) {
        const twice = requestWith(`${jar.header}; ${part}=${planted}`);
        expect(transport.values(twice)).toEqual([""]);
        expect(transport.values(requestWith(`${part}=${planted}; ${jar.header}`))).toEqual([""]);
      }
    }
    jar.cookies.delete(cookie.name);
    expect(received(jar)).toEqual([]);
  });

  it("is another with two parts exchanged, which its seal tells; where the parts stand in the header doesn't matter", () => {
    const jar = new Jar();
    send(jar, text(room));
    const one = jar.cookies.get(`${cookie.name}.1`)!;
    const two = jar.cookies.get(`${cookie.name}.2`)!;
    const first = jar.cookies.get(cookie.name)!;
    const header = `${cookie.name}.2=${two}; a=b; ${cookie.name}.1=${one}; ${cookie.name}=${first}`;
    expect(transport.values(requestWith(header))).toEqual([text(room)]);
    jar.cookies.set(`${cookie.name}.1`, two).set(`${cookie.name}.2`, one);
    expect(received(jar)).not.toEqual([text(room)]);
  });

  it("takes no count from the client but 1 to 9, and no more parts than it writes", () => {
    for (const count of ["0", "10", "-1", "x", "", "1e1", "٣"]) {
      expect(transport.values(requestWith(`${cookie.name}=${count}.abc`))).toEqual([""]);
    }
    const parts = Array.from({ length: 9 }, (_, index) => `${cookie.name}.${index + 1}=p${index + 1}`);
    expect(transport.values(requestWith(`${cookie.name}=9.abc; ${parts.join("; ")}`))).toEqual(["abcp1p2"]);
    expect(transport.values(requestWith(`${cookie.name}=9.abc`))).toEqual([""]);
    expect(transport.values(requestWith(`${cookie.name}=abc`))).toEqual([""]);
  });

  it("is looked for a few times at most, however many cookies of the name came", () => {
    const header = Array.from({ length: 50 }, (_, index) => `${cookie.name}=1.${index}`).join("; ");
    expect(transport.values(requestWith(header))).toHaveLength(MAX_VALUES + 1);
  });

  it("is found, or not, in any header, and nothing throws", () => {
    const name = fc.constantFrom(
      cookie.name,
      `${cookie.name}.1`,
      `${cookie.name}.2`,
      `${cookie.name}.3`,
      "sid",
    );
    const value = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom("1.", "2.x", "3.x", "9.x", "2."));
    const pairs = fc.array(
      fc.tuple(name, value).map((pair) => pair.join("=")),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(pairs, (parts) => {
        const values = transport.values(requestWith(parts.join("; ")));
        expect(values.every((each) => typeof each === "string")).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it("passes through a real response and a real request", async () => {
    const overHttp = cookiesTransport(createCookiePolicy({ secure: false }).overHttp, 3);
    const lengths = [1, 4000, 8000, 12_000, 4100, 10];
    const server = await listen((request, response) => {
      const came = overHttp.values(new NodeRequest(request));
      const length = Number(request.url!.slice(1));
      if (length > 0) {
        const headers = {
          get: () => undefined,
          set: () => {},
          append: (name: string, line: string) => void response.appendHeader(name, line),
        };
        overHttp.send(headers, text(length, length), undefined, new NodeRequest(request));
      }
      response.end(came.join("|"));
    });
    const browser = new Browser(server.url);
    for (const length of lengths) {
      await browser.get(`/${length}`);
      expect((await browser.get("/0")).body).toBe(text(length, length));
    }
    expect(browser.cookies.size).toBe(1);
    await server.close();
  });
});

describe("a bearer token", () => {
  const values = (authorization: string | undefined) =>
    bearerTransport.values(requestWith(undefined, authorization === undefined ? {} : { authorization }));

  it.each<[string, string | undefined, string[]]>([
    ["no header", undefined, []],
    ["one token", "Bearer abc", ["abc"]],
    ["the scheme in another case (RFC 9110 11.1)", "bEARER abc", ["abc"]],
    ["several blanks", "Bearer   abc  ", ["abc"]],
    ["another scheme", "Basic abc", []],
    ["a scheme that starts like ours", "Bearers abc", []],
    ["no token", "Bearer", []],
    ["only a blank", "Bearer ", []],
    ["no blank", "Bearerabc", []],
    ["a blank in front", " Bearer abc", []],
    ["two tokens", "Bearer abc def", []],
    ["two headers, as a list", "Bearer abc, Bearer def", []],
    ["a tab", "Bearer\tabc", []],
    ["a line feed after it", "Bearer abc\n", []],
    ["a token of dots", "Bearer a.b.c", ["a.b.c"]],
  ])("%s", (_name, header, expected) => {
    expect(values(header)).toEqual(expected);
  });

  it("is parsed from any header, and nothing throws", () => {
    const unit = fc.oneof(
      fc.nat(0xff).map((code) => String.fromCharCode(code)),
      fc.constantFrom("Bearer", " "),
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 40 }), (parts) => {
        for (const value of values(`Bearer ${parts.join("")}`)) expect(value).toMatch(/^\S+$/);
        expect(values(parts.join("")).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 1000 },
    );
  });

  // Each would take minutes if its cost grew with the square of its length.
  it.each<[string, string]>([
    ["blanks", `Bearer${" ".repeat(1_000_000)}`],
    ["blanks after the token", `Bearer a${" ".repeat(1_000_000)}b`],
    ["letters", `Bearer ${"a".repeat(1_000_000)} b`],
  ])("takes a million %s", (_name, header) => {
    expect(values(header)).toEqual([]);
  });

  it("goes out in Session-Token, which is empty when the session has ended", () => {
    const lines = new Lines();
    bearerTransport.send(lines, "signed", 1000, requestWith(undefined));
    expect([...lines.others]).toEqual([["Session-Token", "signed"]]);
    bearerTransport.erase(lines, requestWith(undefined));
    expect([...lines.others]).toEqual([["Session-Token", ""]]);
    expect(lines.setCookie).toEqual([]);
  });
});

describe("the choice of the transport", () => {
  const policy = createCookiePolicy();
  const choice = (option: any) => transportChoice(option, policy, cookieTransport, () => false, false);

  it("is what the option says, for every request", () => {
    expect(choice("bearer")(requestWith(undefined))).toBe(bearerTransport);
    expect(choice("cookie")(requestWith(undefined)).name).toBe("__Host-sid");
    expect(choice("cookie")(requestWith(undefined, {}, false)).name).toBe("__Host-sid");
    const local = { ...requestWith(undefined, { host: "localhost" }, false), remoteAddress: "127.0.0.1" };
    expect(choice("cookie")(local).name).toBe("sid");
  });

  it("is a function's, for each request", () => {
    const choose = choice((request: any) => (request.header("x-app") ? "bearer" : "cookie"));
    expect(choose(requestWith(undefined, { "x-app": "1" })).name).toBe("bearer");
    expect(choose(requestWith(undefined)).name).toBe("__Host-sid");
  });

  it("that is none is an error: at the start, or, of a function, at the request", () => {
    for (const option of ["header", "", null, 1, true, {}])
      expect(() => choice(option)).toThrow(/transport: expected "cookie", "bearer" or a function/);
    for (const answer of [undefined, null, "header", Promise.resolve("bearer")])
      expect(() => choice(() => answer)(requestWith(undefined))).toThrow(/transport: the function gave/);
  });
});
