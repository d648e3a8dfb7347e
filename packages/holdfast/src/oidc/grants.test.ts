import { expect, it } from "vitest";
import { requestWith } from "../../test/support/exchange.js";
import { Clock, SECRET } from "../../test/support/shop.js";
import { createSessions } from "../engine/create-sessions.js";
import { activeOf } from "../engine/session.js";
import { memoryStore } from "../stores/memory.js";
import { Grants, type Tokens } from "./grants.js";

async function open() {
  const clock = new Clock();
  const sessions = createSessions<any>({
    secrets: [SECRET],
    store: memoryStore(),
    clock: clock.read,
    sweepInterval: false,
  });
  const { session } = await sessions.open(requestWith(undefined));
  return { clock, grants: new Grants(activeOf(session).engine) };
}

const isOld = ({ accessToken }: Tokens) => accessToken === "old";

it("a refresh whose process died is another's after the lease, and what comes too late changes nothing", async () => {
  const { clock, grants } = await open();
  await grants.add("a", { accessToken: "old" }, clock.time + 3_600_000);
  let arrive = (_: Tokens) => {};
  const dead = grants.refresh("a", isOld, () => new Promise((resolve) => (arrive = resolve)), 15_000);
  const waiting = grants.refresh("a", isOld, async () => ({ accessToken: "new" }), 15_000);
  await new Promise((resolve) => setTimeout(resolve, 150));
  clock.advance(15_001);
  expect(await waiting).toEqual({ accessToken: "new" });
  arrive({ accessToken: "too late" });
  await dead;
  expect(await grants.read("a")).toEqual({ accessToken: "new" });
});

it("a refresh that fails leaves the tokens, and the next one may try at once", async () => {
  const { clock, grants } = await open();
  await grants.add("a", { accessToken: "old" }, clock.time + 3_600_000);
  const failing = grants.refresh("a", isOld, () => Promise.reject(new Error("down")), 15_000);
  await expect(failing).rejects.toThrow("down");
  expect(await grants.refresh("a", isOld, async () => ({ accessToken: "new" }), 15_000)).toEqual({
    accessToken: "new",
  });
});

it("tokens that were retired are there for the requests under way, and then gone", async () => {
  const { clock, grants } = await open();
  await grants.add("a", { accessToken: "old" }, clock.time + 3_600_000);
  await grants.retire("a");
  clock.advance(29_999);
  expect(await grants.read("a")).toEqual({ accessToken: "old" });
  clock.advance(1);
  expect(await grants.read("a")).toBeUndefined();
  await grants.retire("a");
});

it("tokens that were removed while they are refreshed stay removed", async () => {
  const { clock, grants } = await open();
  await grants.add("a", { accessToken: "old" }, clock.time + 3_600_000);
  const refreshed = grants.refresh(
    "a",
    isOld,
    async () => {
      await grants.remove("a");
      return { accessToken: "new" };
    },
    15_000,
  );
  await refreshed;
  expect(await grants.read("a")).toBeUndefined();
  expect(await grants.refresh("a", isOld, async () => ({ accessToken: "new" }), 15_000)).toBeUndefined();
});
