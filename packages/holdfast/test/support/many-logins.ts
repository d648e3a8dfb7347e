import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { createSessions } from "../../src/engine/create-sessions.js";
import type { Store } from "../../src/stores/contract.js";
import { requestWith } from "./exchange.js";
import { SECRET } from "./shop.js";

const PROCESSES = 4;
const LOGINS = 5;

/**
 * Twenty logins of one user at once, in four processes on one store: as many sessions are left as may be, no more, and never
 * none. The workers run the built package.
 */
export async function checkManyLogins(
  location: string,
  store: Store,
  most: number,
  atSessionLimit: "end-oldest" | "refuse",
): Promise<void> {
  const sessions = createSessions<any>({ secrets: [SECRET], store, sweepInterval: false });
  await sessions.ofUser("ada").revokeAll();
  const workers = Array.from({ length: PROCESSES }, () => {
    const path = fileURLToPath(new URL("../workers/logins.mjs", import.meta.url));
    const env = {
      STORE: location,
      SECRET,
      TIMES: String(LOGINS),
      MOST: String(most),
      AT_LIMIT: atSessionLimit,
    };
    const child = spawn(process.execPath, [path], {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    return { child, ready: once(child.stdout, "data") };
  });
  await Promise.all(workers.map(({ ready }) => ready));
  const outputs = workers.map(async ({ child }) => {
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.stdin.end("go\n");
    await once(child, "close");
    return JSON.parse(text) as string[];
  });
  const results = (await Promise.all(outputs)).flat();
  expect(results).toHaveLength(PROCESSES * LOGINS);

  const listed = await sessions.ofUser("ada").list();
  expect(listed).toHaveLength(most);
  const cookies = results.filter((result) => result.includes("="));
  const opened = await Promise.all(
    cookies.map(async (cookie) => (await sessions.open(requestWith(cookie))).session),
  );
  const alive = opened.filter(({ userId }) => userId === "ada");
  expect(alive.map(({ id }) => id).sort()).toEqual(listed.map(({ id }) => id).sort());
  if (atSessionLimit === "refuse") {
    expect(cookies).toHaveLength(most);
    const codes = new Set(results.filter((result) => !result.includes("=")));
    expect([...codes]).toEqual(["ERR_HOLDFAST_TOO_MANY_SESSIONS"]);
  } else {
    expect(cookies).toHaveLength(PROCESSES * LOGINS);
    const reasons = new Set(opened.filter(({ isNew }) => isNew).map(({ reason }) => reason));
    expect([...reasons]).toEqual(["limit"]);
  }
  await sessions.ofUser("ada").revokeAll();
  await sessions.close();
}
