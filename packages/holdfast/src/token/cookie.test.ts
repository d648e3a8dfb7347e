import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigurationError, HoldfastError } from "../errors.js";
import { type CookieOptions, CookieTooLargeError, cookieValues, createCookiePolicy } from "./cookie.js";

/** Any unit of UTF-16, lone surrogates too. (fast-check's own "binary" takes a second to start.) */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));

const DAY = 86_400_000;
const PAST = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";

function refusedOption(options: unknown): string {
  try {
    createCookiePolicy(options as CookieOptions);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message.startsWith(`${(error as ConfigurationError).option}: `)).toBe(true);
    return (error as ConfigurationError).option;
  }
  throw new Error("the options were taken");
}

/** Every combination of the values that each key may have. */
function combinations<T extends Record<string, readonly unknown[]>>(
  choices: T,
): { [K in keyof T]: T[K][number] }[] {
  return Object.entries(choices).reduce<any[]>(
    (all, [key, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [key]: value }))),
    [{}],
  );
}

describe("the Set-Cookie lines", () => {
  it.each<[string, CookieOptions, { https: string; http: string }]>([
    [
      "by default",
      {},
      {
        https: "__Host-sid=TOKEN; Path=/; HttpOnly; Secure; SameSite=Lax",
        http: "sid=TOKEN; Path=/; HttpOnly; SameSite=Lax",
      },
    ],
    [
      "with another name",
      { name: "shop" },
      {
        https: "__Host-shop=TOKEN; Path=/; HttpOnly; Secure; SameSite=Lax",
        http: "shop=TOKEN; Path=/; HttpOnly; SameSite=Lax",
      },
    ],
    [
      "with a path",
      { path: "/app" },
      {
        https: "__Secure-sid=TOKEN; Path=/app; HttpOnly; Secure; SameSite=Lax",
        http: "sid=TOKEN; Path=/app; HttpOnly; SameSite=Lax",
      },
    ],
    [
      "with a domain",
      { domain: "example.com" },
      {
        https: "__Secure-sid=TOKEN; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax",
        http: "sid=TOKEN; Path=/; Domain=example.com; HttpOnly; SameSite=Lax",
      },
    ],
    [
      "for an app embedded in others",
      { sameSite: "none", partitioned: true },
      {
        https: "__Host-sid=TOKEN; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
        http: "sid=TOKEN; Path=/; HttpOnly; SameSite=None; Partitioned",
      },
    ],
    [
      "with everything",
      { name: "s", path: "/a", domain: "a.example", sameSite: "strict", partitioned: true, priority: "high" },
      {
        https:
          "__Secure-s=TOKEN; Path=/a; Domain=a.example; HttpOnly; Secure; SameSite=Strict; Partitioned; Priority=High",
        http: "s=TOKEN; Path=/a; Domain=a.example; HttpOnly; SameSite=Strict; Partitioned; Priority=High",
      },
    ],
  ])("are written %s", (_name, options, { https, http }) => {
    const policy = createCookiePolicy(options);
    expect(policy.overHttps.set("TOKEN", undefined)).toBe(https);
    expect(policy.overHttp.set("TOKEN", undefined)).toBe(http);
  });

  const EVERY = combinations({
    name: ["sid", "__Host-sid", "__Secure-sid", "__hOsT-sid"],
    path: ["/", "/app"],
    domain: [undefined, "example.com"],
    sameSite: ["lax", "strict", "none"],
    secure: [true, false, "auto"],
    partitioned: [false, true],
    priority: [undefined, "low", "medium", "high"],
  } as const);

  it("hold every attribute that is asked for, once, whatever the combination; and HttpOnly always", () => {
    let taken = 0;
    for (const options of EVERY) {
      if (isImpossible(options)) continue;
      taken++;
      const policy = createCookiePolicy(options);
      for (const cookie of [policy.overHttps, policy.overHttp]) {
        const expected = [
          `${cookie.name}=V`,
          `Path=${options.path}`,
          ...(options.domain ? [`Domain=${options.domain}`] : []),
          "HttpOnly",
          ...(cookie.secure ? ["Secure"] : []),
          `SameSite=${{ lax: "Lax", strict: "Strict", none: "None" }[options.sameSite]}`,
          ...(options.partitioned ? ["Partitioned"] : []),
          ...(options.priority
            ? [`Priority=${{ low: "Low", medium: "Medium", high: "High" }[options.priority]}`]
            : []),
        ];
        expect(cookie.set("V", undefined)).toBe(expected.join("; "));
        expect(cookie.set("V", 90_500)).toBe([expected[0], "Max-Age=90", ...expected.slice(1)].join("; "));
        expect(cookie.deletion).toBe([`${cookie.name}=`, PAST, ...expected.slice(1)].join("; "));
      }
    }
    expect(taken).toBeGreaterThan(100);
  });

  it("are refused in every combination that browsers refuse, by the name of an option in it", () => {
    let refused = 0;
    for (const options of EVERY) {
      if (!isImpossible(options)) continue;
      refused++;
      expect(["cookie.name", "cookie.secure"]).toContain(refusedOption(options));
    }
    expect(refused).toBeGreaterThan(100);
  });

  it("let every Secure form through a browser's prefix rules (RFC 6265bis 4.1.3)", () => {
    for (const options of EVERY) {
      if (isImpossible(options)) continue;
      const { overHttps } = createCookiePolicy(options);
      const line = overHttps.set("V", undefined);
      expect(line).toMatch(/^__(host|secure)-/i);
      expect(line).toContain("; Secure");
      if (/^__host-/i.test(line)) {
        expect(line).toContain("; Path=/;");
        expect(line).not.toContain("Domain=");
      }
    }
  });

  it("have the prefix __Host- wherever browsers take it", () => {
    expect(createCookiePolicy().overHttps.name).toBe("__Host-sid");
    expect(createCookiePolicy({ path: "/", sameSite: "none" }).overHttps.name).toBe("__Host-sid");
    expect(createCookiePolicy({ path: "/app" }).overHttps.name).toBe("__Secure-sid");
    expect(createCookiePolicy({ domain: "example.com" }).overHttps.name).toBe("__Secure-sid");
  });

  it("keep a prefix that the name already has", () => {
    expect(createCookiePolicy({ name: "__Host-id" }).overHttps.name).toBe("__Host-id");
    expect(createCookiePolicy({ name: "__Secure-id" }).overHttps.name).toBe("__Secure-id");
  });

  function isImpossible({
    name,
    path,
    domain,
    sameSite,
    secure,
    partitioned,
  }: (typeof EVERY)[number]): boolean {
    const host = name.toLowerCase().startsWith("__host-");
    const prefixed = name.startsWith("__");
    if (host && (domain !== undefined || path !== "/")) return true;
    return secure === false && (prefixed || sameSite === "none" || partitioned);
  }
});

describe("whether the cookie is Secure", () => {
  it.each<[CookieOptions, string]>([
    [{}, "auto"],
    [{ secure: "auto" }, "auto"],
    [{ secure: true }, "always"],
    [{ secure: false }, "never"],
    [{ sameSite: "none" }, "always"],
    [{ partitioned: true }, "always"],
    [{ name: "__Host-sid" }, "always"],
    [{ name: "__secure-sid" }, "always"],
    [{ domain: "example.com" }, "auto"],
  ])("%j: %s", (options, expected) => {
    expect(createCookiePolicy(options).secure).toBe(expected);
  });

  it.each<[string, CookieOptions, string]>([
    ["__Host- with a domain", { name: "__Host-sid", domain: "example.com" }, "cookie.name"],
    ["__Host- with another path", { name: "__Host-sid", path: "/app" }, "cookie.name"],
    ["__host- in another case, with a domain", { name: "__HOST-sid", domain: "a.example" }, "cookie.name"],
    ["__Host- without Secure", { name: "__Host-sid", secure: false }, "cookie.secure"],
    ["__Secure- without Secure", { name: "__Secure-sid", secure: false }, "cookie.secure"],
    ["SameSite=None without Secure", { sameSite: "none", secure: false }, "cookie.secure"],
    ["Partitioned without Secure", { partitioned: true, secure: false }, "cookie.secure"],
  ])("refuses %s", (_name, options, option) => {
    expect(refusedOption(options)).toBe(option);
  });
});

describe("the cookie's options", () => {
  const CONTROLS = [...Array(32).keys(), 127].map((code) => String.fromCharCode(code));

  it.each(["name", "path", "domain"] as const)(
    "%s with a control character is refused, wherever it is",
    (option) => {
      const [start, rest] = { name: ["s", "id"], path: ["/a", "b"], domain: ["exam", "ple.com"] }[option] as [
        string,
        string,
      ];
      for (const control of CONTROLS) {
        for (const text of [start + control + rest, start + rest + control, control + start + rest])
          expect(refusedOption({ [option]: text })).toBe(`cookie.${option}`);
      }
    },
  );

  it.each(["name", "path", "domain"] as const)("%s can't start another attribute or header", (option) => {
    const start = option === "path" ? "/" : "a";
    for (const end of [
      "; Domain=evil.example",
      ";",
      "\r\nSet-Cookie: x=y",
      "\r\n\r\n<script>",
      "\u010d\u010a",
    ])
      expect(refusedOption({ [option]: start + end })).toBe(`cookie.${option}`);
  });

  it.each(["name", "path", "domain"] as const)("%s that isn't ASCII is refused", (option) => {
    const start = option === "path" ? "/" : "a";
    for (const sign of [
      "é",
      "ü",
      "\u0080",
      "\u00a0",
      "\u2028",
      "\u0131",
      "\u212a",
      "日",
      "😀",
      "\ud800",
      "\ufeff",
    ])
      expect(refusedOption({ [option]: start + sign })).toBe(`cookie.${option}`);
  });

  it.each([
    "",
    " ",
    "s id",
    "sid ",
    "sid=",
    "=sid",
    "a,b",
    'a"b',
    "a(b)",
    "a/b",
    "a[0]",
    "a:b",
    "a@b",
    "{a}",
    "a\\b",
    "a?b",
  ])("name %j is refused", (name) => {
    expect(refusedOption({ name })).toBe("cookie.name");
  });

  it("name may have every character of a token (RFC 6265 4.1.1)", () => {
    const name = "!#$%&'*+-.^_`|~0123456789AZaz";
    expect(createCookiePolicy({ name }).overHttp.set("V", undefined)).toMatch(`${name}=V; `);
  });

  it.each(["", "app", " /", "a/", `/${"a".repeat(1024)}`])("path %j is refused", (path) => {
    expect(refusedOption({ path })).toBe("cookie.path");
  });

  it.each([
    "",
    ".",
    "..",
    "-a.example",
    "a-.example",
    "a..example",
    "example.com.",
    "a b",
    "*.example.com",
    "a_b.example",
    "https://a.example",
    "a.example:80",
    "a.example/",
    "[::1]",
    `${"a".repeat(250)}.com`,
  ])("domain %j is refused", (domain) => {
    expect(refusedOption({ domain })).toBe("cookie.domain");
  });

  it.each([
    "example.com",
    ".example.com",
    "localhost",
    "a-b.example",
    "xn--bcher-kva.example",
    "EXAMPLE.com",
    "127.0.0.1",
  ])("domain %j is taken", (domain) => {
    expect(createCookiePolicy({ domain }).overHttp.deletion).toContain(`; Domain=${domain};`);
  });

  it.each<[keyof CookieOptions, readonly unknown[]]>([
    ["name", [5, null, true, {}, ["sid"], Symbol("sid"), 10n]],
    ["path", [5, null, true, {}, ["/"], Symbol("/"), 10n]],
    ["domain", [5, null, true, {}, ["example.com"], Symbol("x"), 10n]],
    ["sameSite", ["Lax", "LAX", "", true, false, null, 0, "none; Secure", ["lax"], {}, 10n]],
    ["secure", ["true", "always", 1, 0, null, "", [], 10n, () => true]],
    ["partitioned", ["true", 1, 0, null, "", {}, 10n]],
    ["persistent", ["true", 1, 0, null, "", {}, "30d", 10n]],
    ["priority", ["High", "", true, null, 1, "high; x", {}, 10n]],
  ])("%s of another kind is refused by name", (option, values) => {
    for (const value of values) expect(refusedOption({ [option]: value })).toBe(`cookie.${option}`);
  });

  it.each(["httpOnly", "maxAge", "expires", "samesite", "signed", "secret", "toString", "__proto__x"])(
    "there is no option %s, and a misspelled one would be a default in silence",
    (option) => {
      expect(refusedOption({ [option]: false })).toBe(`cookie.${option}`);
    },
  );

  it.each([null, "sid", 5, true, () => ({})])("have to be an object, not %o", (options) => {
    expect(refusedOption(options)).toBe("cookie");
  });

  it("that are undefined are defaults", () => {
    const undefineds = {
      name: undefined,
      path: undefined,
      domain: undefined,
      sameSite: undefined,
      secure: undefined,
    };
    expect(createCookiePolicy(undefineds as CookieOptions).overHttps.deletion).toBe(
      createCookiePolicy().overHttps.deletion,
    );
  });

  it("never throw anything but a ConfigurationError, and never make a line with a line feed or a new attribute", () => {
    const text = fc.string({ unit: CODE_UNIT, maxLength: 12 });
    const path = text.map((rest) => `/${rest}`);
    fc.assert(
      fc.property(fc.record({ name: text, path, domain: text }, { requiredKeys: [] }), (options) => {
        let line: string;
        try {
          line = createCookiePolicy(options).overHttps.set("V", 1000);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigurationError);
          return;
        }
        expect(line).toMatch(/^[\x20-\x7e]+$/);
        expect(line.split(";")).toHaveLength(options.domain === undefined ? 6 : 7);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a persistent cookie", () => {
  const { overHttps } = createCookiePolicy({ persistent: true });
  const maxAge = (milliseconds: number) => / Max-Age=(\d+);/.exec(overHttps.set("V", milliseconds))?.[1];

  it.each([
    [0, "0"],
    [1, "0"],
    [999, "0"],
    [1000, "1"],
    [1999, "1"],
    [1_800_000, "1800"],
    [-1, "0"],
    [-5000, "0"],
  ])("of %i ms has a Max-Age of %s: never more than is left, never negative", (left, expected) => {
    expect(maxAge(left)).toBe(expected);
  });

  it("lives 400 days at most (RFC 6265bis 5.5)", () => {
    expect(maxAge(400 * DAY)).toBe("34560000");
    expect(maxAge(400 * DAY + 1000)).toBe("34560000");
    expect(maxAge(Number.MAX_SAFE_INTEGER)).toBe("34560000");
    expect(maxAge(400 * DAY - 1000)).toBe("34559999");
  });

  it("is one by option only", () => {
    expect(createCookiePolicy().persistent).toBe(false);
    expect(createCookiePolicy({ persistent: true }).persistent).toBe(true);
    expect(createCookiePolicy().overHttps.set("V", undefined)).not.toContain("Max-Age");
  });
});

describe("the size of a cookie", () => {
  it("is 4096 bytes at most, name and value together (RFC 6265bis 5.7)", () => {
    const { overHttps } = createCookiePolicy(); // its name takes 10
    expect(overHttps.set("v".repeat(4086), undefined)).toContain("v".repeat(4086));
    expect(() => overHttps.set("v".repeat(4087), undefined)).toThrow(CookieTooLargeError);
  });

  it("beyond that is an error for the developer, with a code, and without the value", () => {
    let error: unknown;
    try {
      createCookiePolicy().overHttps.set(`${"v".repeat(5000)}`, 1000);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(HoldfastError);
    expect(error).toMatchObject({
      code: "ERR_HOLDFAST_COOKIE_TOO_LARGE",
      status: 500,
      name: "CookieTooLargeError",
    });
    expect((error as Error).message).toContain("5010 bytes");
    expect((error as Error).message).not.toContain("vvvv");
  });

  it("counts the prefix", () => {
    const policy = createCookiePolicy({ name: "n".repeat(96) });
    expect(() => policy.overHttp.set("v".repeat(4000), undefined)).not.toThrow();
    expect(() => policy.overHttps.set("v".repeat(4000), undefined)).toThrow(CookieTooLargeError);
  });

  it("leaves room for the token: a name that takes it is refused at start-up", () => {
    expect(() => createCookiePolicy({ name: "n".repeat(128) })).not.toThrow();
    expect(() => createCookiePolicy({ name: "n".repeat(129) })).toThrow("cookie.name");
  });
});

describe("cookieValues", () => {
  const LIMIT = 4;
  const sid = (header: string | undefined) => cookieValues(header, "sid", LIMIT);

  it.each<[string, string | undefined, string[]]>([
    ["no header", undefined, []],
    ["an empty header", "", []],
    ["one cookie", "sid=abc", ["abc"]],
    ["among others", "a=1; sid=abc; b=2", ["abc"]],
    ["without a blank after the semicolon", "a=1;sid=abc;b=2", ["abc"]],
    ["with blanks and tabs", "a=1; \t  sid=abc \t ; b=2", ["abc"]],
    ["several, in their order", "sid=1; sid=2; a=x; sid=3", ["1", "2", "3"]],
    ["the same one twice", "sid=1; sid=1", ["1", "1"]],
    ["an empty value", "sid=", [""]],
    ["an empty value among others", "sid=; a=1", [""]],
    ["= in the value", "sid=a=b==", ["a=b=="]],
    ["quotes around the value", 'sid="abc"', ["abc"]],
    ["quotes around nothing", 'sid=""', [""]],
    ["quotes and blanks", 'sid="abc"  ; a=1', ["abc"]],
    ["a blank within quotes", 'sid=" abc "', [" abc "]],
    ["one quote", 'sid="', ['"']],
    ["a quote at the start", 'sid="abc', ['"abc']],
    ["a quote at the end", 'sid=abc"', ['abc"']],
    ["quotes in quotes", 'sid=""abc""', ['"abc"']],
    ["a semicolon in quotes ends the cookie all the same", 'sid="a;b"', ['"a']],
    ["our name in another cookie's quoted value", 'a="; sid=planted; "; sid=abc', ["planted", "abc"]],
    ["percent signs are left alone", "sid=%61%3B", ["%61%3B"]],
    ["a name that ends like ours", "xsid=1; my-sid=2; __Host-sid=3", []],
    ["a name that starts like ours", "sid2=1; sid-x=2; sid.a=3; sid%3D=4", []],
    ["a name in another case", "SID=1; Sid=2", []],
    ["our name without =", "sid; sid ; a=1", []],
    ["our name as the last word", "a=1; sid", []],
    ["our name as a value", "a=sid; b=sid=1", []],
    ["a blank before =", "sid =1", []],
    ["a quoted name", '"sid"=1', []],
    ["a nameless cookie whose value looks like ours", "=sid=1", []],
    ["commas don't separate cookies", "a=1, sid=2", []],
    ["empty pairs", ";;; ; sid=1;; ;", ["1"]],
    ["other white space is no blank", "\u00a0sid=1; \vsid=2; \nsid=3", []],
    ["a semicolon at once after the name", "sid;=1", []],
  ])("%s", (_name, header, expected) => {
    expect(sid(header)).toEqual(expected);
  });

  it("takes a name for its letters, not as a pattern", () => {
    expect(cookieValues("sXd=1; s.d=2", "s.d", LIMIT)).toEqual(["2"]);
    expect(cookieValues("a=1; $&=2", "$&", LIMIT)).toEqual(["2"]);
    expect(cookieValues("constructor=1", "__proto__", LIMIT)).toEqual([]);
    expect(cookieValues("__proto__=1", "__proto__", LIMIT)).toEqual(["1"]);
  });

  it("stops one after the limit, which tells that there are too many", () => {
    const header = Array.from({ length: 50 }, (_, index) => `sid=${index}`).join("; ");
    expect(cookieValues(header, "sid", 4)).toEqual(["0", "1", "2", "3", "4"]);
    expect(cookieValues(header, "sid", 0)).toEqual(["0"]);
    expect(cookieValues("sid=0; sid=1; sid=2; sid=3", "sid", 4)).toEqual(["0", "1", "2", "3"]);
  });

  it("finds the cookie behind very many others", () => {
    const others = Array.from({ length: 50_000 }, (_, index) => `cookie${index}=value`).join("; ");
    expect(sid(`${others}; sid=abc`)).toEqual(["abc"]);
  });

  // Each would take minutes if its cost grew with the square of its length.
  it.each<[string, string, string[]]>([
    ["semicolons", ";".repeat(2_000_000), []],
    ["blanks", " ".repeat(2_000_000), []],
    ["blanks after the value", `sid=a${" ".repeat(2_000_000)}`, ["a"]],
    ["our name without =", "sid;".repeat(500_000), []],
    ["quotes", `sid=${'"'.repeat(2_000_000)}`, ['"'.repeat(1_999_998)]],
    ["equals signs", "=".repeat(2_000_000), []],
  ])("takes a header of two million %s", (_name, header, expected) => {
    expect(sid(header)).toEqual(expected);
  });

  it("gives exactly the values of the name from any header that browsers may send", () => {
    const name = fc.constantFrom("sid", "sid2", "xsid", "si", "SID", "s", "__Host-sid", "a");
    const octet = fc.constantFrom(...printable((code) => !' ",;\\'.includes(String.fromCharCode(code))));
    const pair = fc.tuple(name, fc.string({ unit: octet, maxLength: 8 }), fc.boolean());
    const separator = fc.constantFrom("; ", ";", " ; ", ";\t", ";  ");
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 20 }), separator, (pairs, between) => {
        const header = pairs
          .map(([key, value, quoted]) => `${key}=${quoted ? `"${value}"` : value}`)
          .join(between);
        const expected = pairs.filter(([key]) => key === "sid").map(([, value]) => value);
        expect(cookieValues(header, "sid", 100)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  it("never throws, and gives nothing that isn't in the header", () => {
    const unit = fc.oneof(
      fc.string({ unit: CODE_UNIT, minLength: 1, maxLength: 1 }),
      fc.constantFrom("sid", "=", ";", " ", '"', "\t", "sid="),
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 60 }), (parts) => {
        const header = parts.join("");
        for (const value of sid(header)) {
          expect(header).toContain(value);
          expect(value).not.toContain(";");
        }
      }),
      { numRuns: 500 },
    );
  });

  function printable(allowed: (code: number) => boolean): string[] {
    return Array.from({ length: 94 }, (_, index) => 0x21 + index)
      .filter(allowed)
      .map((code) => String.fromCharCode(code));
  }
});
