import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigurationError } from "../errors.js";
import { createCookiePolicy } from "../token/cookie.js";
import {
  cookieFor,
  isHttps,
  isLocalhost,
  proxyTrust,
  type SessionRequest,
  type TrustProxy,
} from "./request.js";

/** Any unit of UTF-16, lone surrogates too. (fast-check's own "binary" takes a second to start.) */
const CODE_UNIT = fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code));

interface Given {
  headers?: Record<string, string>;
  encrypted?: boolean;
  remoteAddress?: string | undefined;
}

function request({ headers = {}, encrypted = false, ...given }: Given = {}): SessionRequest {
  const remoteAddress = "remoteAddress" in given ? given.remoteAddress : "127.0.0.1";
  return {
    method: "GET",
    target: "/",
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
    encrypted,
    remoteAddress,
  };
}

const everybody = () => true;
const nobody = () => false;

describe("proxyTrust", () => {
  it.each<[TrustProxy, string | undefined, boolean]>([
    [true, "8.8.8.8", true],
    [true, undefined, true],
    [false, "127.0.0.1", false],
    [false, undefined, false],
    [[], "127.0.0.1", false],
    [["10.0.0.1"], "10.0.0.1", true],
    [["10.0.0.1"], "10.0.0.2", false],
    [["10.0.0.1"], "::ffff:10.0.0.1", true],
    [["10.0.0.1"], "::ffff:a00:1", true],
    [["10.0.0.1"], "::FFFF:10.0.0.1", true],
    [["10.0.0.1"], "::ffff:10.0.0.2", false],
    [["::ffff:10.0.0.1"], "10.0.0.1", true],
    [["10.0.0.0/8"], "10.255.255.255", true],
    [["10.0.0.0/8"], "11.0.0.0", false],
    [["10.0.0.0/8"], "::ffff:10.1.2.3", true],
    [["10.0.0.0/8"], "::a01:203", false],
    [["192.168.1.7/32"], "192.168.1.7", true],
    [["192.168.1.7/32"], "192.168.1.8", false],
    [["192.168.1.7/31"], "192.168.1.6", true],
    [["0.0.0.0/0"], "8.8.8.8", true],
    [["::1"], "::1", true],
    [["::1"], "0:0:0:0:0:0:0:1", true],
    [["::1"], "127.0.0.1", false],
    [["127.0.0.1"], "::1", false],
    [["fd00::/8"], "fd12:3456::1", true],
    [["fd00::/8"], "fe80::1", false],
    [["fe80::/10"], "fe80::1%eth0", true],
    [["2001:DB8::/32"], "2001:db8::1", true],
    [["10.0.0.1", "fd00::/8", "192.168.0.0/16"], "192.168.3.4", true],
    [["10.0.0.1"], undefined, false],
    [["10.0.0.1"], "", false],
    [["10.0.0.1"], "10.0.0.1:443", false],
    [["10.0.0.1"], "10.0.0.1, 8.8.8.8", false],
    [["10.0.0.1"], "localhost", false],
    [["10.0.0.1"], "::ffff:", false],
    [["10.0.0.1"], "::ffff:::ffff:10.0.0.1", false],
    [["10.0.0.1"], "\0", false],
  ])("%j, %s: %s", (option, address, expected) => {
    expect(proxyTrust(option)(address)).toBe(expected);
  });

  it.each([
    "",
    " ",
    "localhost",
    "loopback",
    "10.0.0",
    "10.0.0.256",
    "10.0.0.1 ",
    "10.0.0.1:80",
    "10.0.0.0/",
    "10.0.0.0/ 8",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/8.5",
    "10.0.0.0/1e1",
    "10.0.0.0/0x8",
    "10.0.0.0/8/8",
    "10.0.0.0/255.0.0.0",
    "fd00::/129",
    "fd00::/",
    "/8",
    "*",
    "example.com",
    "10.0.0.1,10.0.0.2",
    "::ffff:999.0.0.1",
    "[::1]",
  ])("refuses the entry %j, and quotes it", (entry) => {
    let error: unknown;
    try {
      proxyTrust(["127.0.0.1", entry]);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as ConfigurationError).option).toBe("trustProxy");
    expect((error as ConfigurationError).message).toContain(JSON.stringify(entry));
  });

  it.each([undefined, null, 1, 10n, {}, ["10.0.0.0/8"], Symbol("x")])(
    "refuses an entry that is %o",
    (entry) => {
      expect(() => proxyTrust([entry as string])).toThrow(ConfigurationError);
    },
  );

  it.each(["loopback", "10.0.0.1", 1, null, undefined, {}, 10n])("refuses %o for the option", (option) => {
    expect(() => proxyTrust(option as TrustProxy)).toThrow(ConfigurationError);
  });

  it("asks a function, with the peer's address", () => {
    const trusts = proxyTrust((address) => address === "10.0.0.1");
    expect(trusts("10.0.0.1")).toBe(true);
    expect(trusts("10.0.0.2")).toBe(false);
    expect(trusts(undefined)).toBe(false);
  });

  it.each([
    ["a promise", Promise.resolve(false)],
    ["text", "no"],
    ["1", 1],
    ["an object", {}],
  ])("takes nothing but true of a function for yes: not %s", (_name, answer) => {
    expect(proxyTrust((() => answer) as unknown as TrustProxy)("10.0.0.1")).toBe(false);
  });

  it("trusts no address outside of the blocks, and never throws", () => {
    const trusts = proxyTrust(["10.0.0.0/8", "fd00::/8"]);
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: CODE_UNIT })), (address) => {
        if (trusts(address)) expect(address).toMatch(/^10\.|^fd|^::ffff:(10\.|a)/i);
      }),
      { numRuns: 200 },
    );
  });
});

describe("isHttps", () => {
  const https = (headers: Record<string, string>, given: Given = {}) =>
    isHttps(request({ headers, ...given }), everybody);

  it("is true where the connection itself is encrypted", () => {
    expect(isHttps(request({ encrypted: true }), nobody)).toBe(true);
    expect(isHttps(request({ encrypted: true, headers: { "x-forwarded-proto": "http" } }), everybody)).toBe(
      true,
    );
  });

  it("is false without any sign of it", () => {
    expect(isHttps(request(), everybody)).toBe(false);
  });

  it("believes headers only where the peer is trusted", () => {
    const signs: Record<string, string>[] = [{ "x-forwarded-proto": "https" }, { forwarded: "proto=https" }];
    for (const headers of signs) {
      expect(isHttps(request({ headers }), nobody)).toBe(false);
      expect(isHttps(request({ headers }), everybody)).toBe(true);
    }
  });

  it("asks about the peer's address, not one in a header", () => {
    const asked: unknown[] = [];
    const headers = {
      "x-forwarded-proto": "https",
      "x-forwarded-for": "10.0.0.1",
      forwarded: "for=10.0.0.1",
    };
    const trusts = (address: string | undefined) => {
      asked.push(address);
      return address === "10.0.0.1";
    };
    expect(isHttps(request({ headers, remoteAddress: "8.8.8.8" }), trusts)).toBe(false);
    expect(asked).toEqual(["8.8.8.8"]);
  });

  it.each([
    ["https", true],
    ["HTTPS", true],
    [" https ", true],
    ["https,http", true],
    ["https , http", true],
    ["http", false],
    ["http,https", false],
    ["http, https", false],
    [",https", false],
    ["", false],
    ["httpsx", false],
    ["xhttps", false],
    ["wss", false],
    ["https;http", false],
    ['"https"', false],
    ["on", false],
  ])("X-Forwarded-Proto: %j is %s (the browser's side comes first)", (value, expected) => {
    expect(https({ "x-forwarded-proto": value })).toBe(expected);
  });

  it.each([
    ["proto=https", true],
    ["Proto=HTTPS", true],
    ['proto="https"', true],
    ['proto="h\\ttps"', true],
    ["for=192.0.2.60;proto=https;by=203.0.113.43", true],
    ["for=192.0.2.60; proto=https", true],
    [' for=192.0.2.60 ;  proto = "https"', false],
    ['for="[2001:db8::1]:4711";proto=https', true],
    ["proto=https, proto=http", true],
    ["for=1.2.3.4;proto=https,for=10.0.0.1;proto=http", true],
    ["proto=http", false],
    ["proto=http;proto=https", false],
    ["proto=http, proto=https", false],
    ["for=1.2.3.4;proto=http, for=10.0.0.1;proto=https", false],
    ["for=1.2.3.4, for=10.0.0.1;proto=https", false],
    ['for="x;proto=https"', false],
    ['for="x, proto=https";proto=http', false],
    ['for="\\";proto=https', false],
    ['for="a\\";proto=https";proto=http', false],
    ["xproto=https", false],
    ["for=proto=https", false],
    ["proto=httpsx", false],
    ["proto=https-ish", false],
    ["proto=https:", false],
    ['proto="https', false],
    ['proto=https"', false],
    ["proto=", false],
    ["proto", false],
    ["", false],
    [";", false],
    ["https", false],
    ["proto=https\u00a0", false],
  ])("Forwarded: %s is %s (RFC 7239, the first element)", (value, expected) => {
    expect(https({ forwarded: value })).toBe(expected);
  });

  it("prefers X-Forwarded-Proto, which proxies overwrite more often", () => {
    expect(https({ "x-forwarded-proto": "http", forwarded: "proto=https" })).toBe(false);
    expect(https({ "x-forwarded-proto": "https", forwarded: "proto=http" })).toBe(true);
  });

  it("takes a long Forwarded without end", () => {
    for (const part of ["a", ";", '"', "\\", ",", " ", "a=b;", 'a="', "proto", 'a="\\"'])
      expect(https({ forwarded: part.repeat(Math.ceil(64_000 / part.length)) })).toBe(false);
  });

  it("never throws, whatever the headers hold", () => {
    const part = fc.oneof(
      fc.string({ unit: CODE_UNIT, maxLength: 3 }),
      fc.constantFrom("proto", "=", "https", ";", ",", '"', "\\", " "),
    );
    const header = fc.array(part, { maxLength: 20 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(header, header, (forwarded, proto) => {
        expect(https({ forwarded })).toBeTypeOf("boolean");
        expect(https({ "x-forwarded-proto": proto })).toBe(/^\s*https\s*(,|$)/i.test(proto));
      }),
      { numRuns: 300 },
    );
  });
});

describe("isLocalhost", () => {
  it.each([
    "localhost",
    "localhost:3000",
    "LOCALHOST:3000",
    "shop.localhost",
    "a.b-c.localhost:8080",
    "127.0.0.1",
    "127.0.0.1:3000",
    "127.8.9.10",
    "[::1]",
    "[::1]:3000",
  ])("is true of the host %s, from this machine", (host) => {
    expect(isLocalhost(request({ headers: { host } }))).toBe(true);
  });

  it.each([
    "",
    "example.com",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.evil.example:3000",
    "evil.example/localhost",
    "evil.example#localhost",
    "evil.example?localhost",
    "evil.example\\localhost",
    "evil.example:80@localhost",
    "user@localhost",
    "localhost@evil.example",
    "evil-localhost",
    "mylocalhost",
    "localhost-evil",
    "localhost:3000.evil.example",
    "localhost:3000:80",
    "localhost:",
    "localhost:http",
    "localhost evil.example",
    "localhost, evil.example",
    "evil.example, localhost",
    "evil.example\nlocalhost",
    "localhost\nevil.example",
    "localhost\n",
    " localhost",
    ".localhost",
    "evil.example\u0000.localhost",
    "évil.localhost",
    "lo\u200bcalhost",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    "127.0.0.1\u0000",
    "127.0.0",
    "127.1",
    "127.0.0.1.1",
    "128.0.0.1",
    "0x7f000001",
    "2130706433",
    "0.0.0.0",
    "::1",
    "[::1].evil.example",
    "[::2]",
    "[::ffff:8.8.8.8]",
    "1127.0.0.1",
  ])("is false of the host %j", (host) => {
    expect(isLocalhost(request({ headers: { host } }))).toBe(false);
  });

  it.each(["127.0.0.1", "127.5.5.5", "::1", "::ffff:127.0.0.1", undefined])(
    "is true of a peer on this machine: %s",
    (remoteAddress) => {
      expect(isLocalhost(request({ headers: { host: "localhost" }, remoteAddress }))).toBe(true);
    },
  );

  it.each([
    "",
    "8.8.8.8",
    "192.168.1.2",
    "::ffff:8.8.8.8",
    "::12",
    "::1:2",
    "fe80::1",
    "128.0.0.1",
    "1127.0.0.1",
    "8.127.0.1",
    "::ffff:8.127.0.0",
    "::2",
  ])("is false of a peer elsewhere, whatever host it names: %j", (remoteAddress) => {
    expect(isLocalhost(request({ headers: { host: "localhost" }, remoteAddress }))).toBe(false);
  });

  it("takes :authority where there is no Host, as in HTTP/2", () => {
    expect(isLocalhost(request({ headers: { ":authority": "localhost:3000" } }))).toBe(true);
    expect(isLocalhost(request({ headers: { ":authority": "localhost", host: "evil.example" } }))).toBe(
      false,
    );
    expect(isLocalhost(request())).toBe(false);
  });

  it("looks at no forwarded host", () => {
    const headers = { host: "shop.example", "x-forwarded-host": "localhost", forwarded: "host=localhost" };
    expect(isLocalhost(request({ headers }))).toBe(false);
  });

  it("takes a host without end", () => {
    for (const part of ["a.", "a-", "localhost.", "127.", "1"])
      expect(isLocalhost(request({ headers: { host: part.repeat(30_000) } }))).toBe(false);
  });
});

describe("cookieFor", () => {
  const auto = createCookiePolicy();
  const always = createCookiePolicy({ secure: true });
  const never = createCookiePolicy({ secure: false });
  const localhost = { headers: { host: "localhost:3000" } };
  const forwarded = { headers: { host: "localhost:3000", "x-forwarded-proto": "https" } };
  const elsewhere = { headers: { host: "shop.example" }, remoteAddress: "8.8.8.8" };
  const spoofed = { headers: { host: "localhost" }, remoteAddress: "8.8.8.8" };

  it.each<[string, Given, boolean]>([
    ["plain HTTP on localhost", localhost, false],
    ["HTTPS on localhost", { ...localhost, encrypted: true }, true],
    ["HTTPS before a trusted proxy on localhost", forwarded, true],
    ["plain HTTP elsewhere", elsewhere, true],
    ["HTTPS elsewhere", { ...elsewhere, encrypted: true }, true],
    ["a peer elsewhere that calls the host localhost", spoofed, true],
  ])("auto, in development, over %s: Secure is %s", (_name, given, secure) => {
    const cookie = cookieFor(auto, request(given), everybody, false);
    expect(cookie.secure).toBe(secure);
    expect(cookie.name).toBe(secure ? "__Host-sid" : "sid");
  });

  it("auto, in development, doesn't believe a proxy that isn't trusted", () => {
    expect(cookieFor(auto, request(forwarded), nobody, false).secure).toBe(false);
  });

  it.each([localhost, forwarded, elsewhere, spoofed])("auto, in production, is Secure over %j", (given) => {
    expect(cookieFor(auto, request(given), everybody, true)).toBe(auto.overHttps);
  });

  it.each([true, false])("true and false hold wherever it is (production: %s)", (production) => {
    for (const given of [localhost, forwarded, elsewhere, spoofed, { ...elsewhere, encrypted: true }]) {
      expect(cookieFor(always, request(given), everybody, production)).toBe(always.overHttps);
      expect(cookieFor(never, request(given), everybody, production)).toBe(never.overHttp);
    }
  });
});
