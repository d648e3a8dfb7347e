import { expect, it } from "vitest";
import { requestWith } from "../../test/support/exchange.js";
import { Clock, SECRET } from "../../test/support/shop.js";
import { createSessions } from "../engine/create-sessions.js";
import { memoryStore } from "../stores/memory.js";
import type { OidcRequest } from "./exchange.js";
import { Transactions } from "./transaction.js";

const OTHER_SECRET = "another secret of thirty-two bytes or more";

async function open(baseUrl = "https://shop.example", secrets = [SECRET], clock = new Clock()) {
  const sessions = createSessions<any>({
    secrets,
    store: memoryStore(),
    clock: clock.read,
    sweepInterval: false,
  });
  const { session } = await sessions.open(requestWith(undefined));
  const transactions = new Transactions(new URL(baseUrl), 600_000, 3);
  const begun = (state: string) => ({ state, nonce: "n", verifier: "v", returnTo: "/", at: clock.time });
  return { clock, session, transactions, begun };
}

function requestOf(...cookies: string[]): OidcRequest {
  return {
    method: "GET",
    path: "/",
    header: (name) =>
      name === "cookie" ? cookies.map((line) => line.split(";", 1)[0]).join("; ") : undefined,
    form: async () => new URLSearchParams(),
  };
}

it("over HTTPS its cookie can be neither planted by another host nor read by scripts", async () => {
  const { session, transactions, begun } = await open();
  const [line, ...more] = transactions.begin(session, requestOf(), begun("one"));
  expect(more).toEqual([]);
  expect(line).toMatch(
    /^__Host-oidc-[\w-]{16}=[\w-]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
  );
});

it("is found by its state, and by no other", async () => {
  const { session, transactions, begun } = await open();
  const [one] = transactions.begin(session, requestOf(), begun("one"));
  const [two] = transactions.begin(session, requestOf(one!), begun("two"));
  const request = requestOf(one!, two!);
  expect(transactions.end(session, request, "one")?.transaction).toEqual(begun("one"));
  expect(transactions.end(session, request, "two")?.transaction).toEqual(begun("two"));
  for (const state of ["", "three", "ONE", "one "])
    expect(transactions.end(session, request, state)).toBeUndefined();
  expect(transactions.end(session, requestOf(two!), "one")).toBeUndefined();
  expect(transactions.end(session, requestOf(), "one")).toBeUndefined();
});

it("the line that ends it names the same cookie with the same attributes", async () => {
  const { session, transactions, begun } = await open();
  const [line] = transactions.begin(session, requestOf(), begun("one"));
  const { erase } = transactions.end(session, requestOf(line!), "one")!;
  expect(erase).toBe(
    `${line!.split("=", 1)[0]}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly; Secure; SameSite=Lax`,
  );
});

it("a cookie that was changed, moved to another name, sent twice or sealed by others is none", async () => {
  const { session, transactions, begun } = await open();
  const [one] = transactions.begin(session, requestOf(), begun("one"));
  const [two] = transactions.begin(session, requestOf(), begun("two"));
  const [name, value] = one!.split(";", 1)[0]!.split("=") as [string, string];
  const foreign = await open(undefined, [OTHER_SECRET]);
  const [forged] = foreign.transactions.begin(foreign.session, requestOf(), begun("one"));
  const wrong = [
    [`${name}=${value.slice(0, -1)}`],
    [`${name}=${value[0] === "A" ? "B" : "A"}${value.slice(1)}`],
    [`${name}=${two!.split(";", 1)[0]!.split("=")[1]}`],
    [`${name}=`],
    [`${name}=%00`],
    [one!, one!],
    [one!, forged!],
    [forged!],
  ];
  for (const cookies of wrong)
    expect(transactions.end(session, requestOf(...cookies), "one")).toBeUndefined();
});

it("ends with its time, whatever the cookie says", async () => {
  const { clock, session, transactions, begun } = await open();
  const [line] = transactions.begin(session, requestOf(), begun("one"));
  clock.advance(599_999);
  expect(transactions.end(session, requestOf(line!), "one")).toBeDefined();
  clock.advance(1);
  expect(transactions.end(session, requestOf(line!), "one")).toBeUndefined();
});

it("goes on under new secrets as long as the old one is known", async () => {
  const clock = new Clock();
  const before = await open(undefined, [SECRET], clock);
  const [line] = before.transactions.begin(before.session, requestOf(), before.begun("one"));
  const after = await open(undefined, [OTHER_SECRET, SECRET], clock);
  expect(after.transactions.end(after.session, requestOf(line!), "one")).toBeDefined();
});

it("beyond the limit the oldest end, what is no login before any other, and cookies of others never", async () => {
  const { clock, session, transactions, begun } = await open();
  const lines: string[] = [];
  for (const state of ["one", "two"]) {
    lines.push(transactions.begin(session, requestOf(...lines), begun(state)).at(-1)!);
    clock.advance(1000);
  }
  const junk = "__Host-oidc-junk=x";
  const first = transactions.begin(session, requestOf(...lines, junk, "other=y"), begun("three"));
  expect(first.map((line) => line.split("=", 1)[0])).toEqual([
    "__Host-oidc-junk",
    expect.stringContaining("oidc-"),
  ]);
  clock.advance(1000);
  const second = transactions.begin(session, requestOf(...lines, first[1]!, "other=y"), begun("four"));
  expect(second[0]).toMatch(new RegExp(`^${lines[0]!.split("=", 1)[0]}=; Max-Age=0;`));
  expect(second).toHaveLength(2);
});
