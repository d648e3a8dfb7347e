import { stat, statfs } from "node:fs/promises";
import type { Engine } from "../../engine/engine.js";
import type { Store, StoreCall, StoreInspection } from "../../stores/contract.js";
import { newToken, sessionIdOf } from "../../token/token.js";
import { failureOf } from "../failures.js";
import type { StoreFacts } from "./store.js";

const READS = 5;
/** File systems that several machines share, by their number in statfs(2). */
const SHARED: Readonly<Record<number, string>> = {
  26985: "NFS",
  20859: "SMB",
  4283649346: "CIFS",
  4266872130: "SMB",
};

/** Reads an id that nobody has, a few times, and asks the store what it can tell. It changes nothing. */
export async function askStore(engine: Engine): Promise<StoreFacts | undefined> {
  const { store: given } = engine.given.options;
  const store = engine.cookieHeld === undefined ? (given as Store) : undefined;
  if (store === undefined) return undefined;
  const nothing = {
    name: store.name,
    failure: undefined,
    latency: undefined,
    inspection: {},
    skew: undefined,
    fileMode: undefined,
    sharedFileSystem: undefined,
  };
  try {
    const times: number[] = [];
    // The first one connects.
    for (let read = 0; read <= READS; read++) {
      const start = performance.now();
      await engine.store.load(sessionIdOf(newToken()));
      times.push(performance.now() - start);
    }
    const latency = times.slice(1).sort((a, b) => a - b)[Math.floor(READS / 2)]!;
    const asked = Date.now();
    const inspection = await inspect(store, engine.storeTimeout);
    const now = (asked + Date.now()) / 2;
    return {
      ...nothing,
      latency,
      inspection,
      skew: inspection.clock === undefined ? undefined : inspection.clock - now,
      ...(await aboutFile(inspection.file)),
    };
  } catch (error) {
    return { ...nothing, failure: failureOf(error, "").message };
  }
}

async function inspect(store: Store, timeout: number): Promise<StoreInspection> {
  const call: StoreCall = { now: Date.now(), signal: AbortSignal.timeout(timeout) };
  try {
    return (await store.inspect?.(call)) ?? {};
  } catch {
    // A managed server may forbid the questions; that it answers is known by now.
    return {};
  }
}

async function aboutFile(
  file: string | undefined,
): Promise<Partial<Pick<StoreFacts, "fileMode" | "sharedFileSystem">>> {
  if (file === undefined || process.platform === "win32") return {};
  const { mode } = await stat(file);
  const { type } = await statfs(file);
  return { fileMode: mode, sharedFileSystem: SHARED[type] };
}
