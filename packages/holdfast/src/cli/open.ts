import { randomBytes } from "node:crypto";
import { createSessions } from "../engine/create-sessions.js";
import { isSealed } from "../engine/encryption/sealed-store.js";
import type { Engine } from "../engine/engine.js";
import { behind } from "../engine/given.js";
import type { Sessions } from "../engine/sessions.js";
import { StoreError } from "../errors.js";
import type { Store } from "../stores/contract.js";
import { openStore } from "../stores/url.js";
import { secretsFromFile } from "../token/secret-file.js";
import type { SecretSource } from "../token/secret-source.js";
import { secretsFromEnv } from "../token/secret-text.js";
import { FailureError, type Invocation, text, UsageError } from "./command.js";
import { shownLocation } from "./location.js";
import { type ConfiguredSessions, sessionsOf } from "./module.js";

/** The sessions that a command works on. */
export interface OpenSessions {
  readonly sessions: Sessions<any>;
  readonly engine: Engine;
  /** Where they are, as it may be shown. */
  readonly where: string;
  /** Whether the application's own settings are known. Without, a session was last seen at its last write. */
  readonly configured: boolean;
  close(): Promise<void>;
}

/** A hundred years. */
const FOR_EVER = "36500d";
/** Milliseconds. */
const PATIENCE = 30_000;

/** What the invocation says of where its sessions are. */
export function locationOf(invocation: Invocation): { store?: string; config?: string } {
  const store = text(invocation, "store");
  const config = text(invocation, "config");
  if (store !== undefined && config !== undefined)
    throw new UsageError("--store and --config both say where the sessions are: give one of them");
  if (store !== undefined) return { store };
  if (config !== undefined) return { config };
  const { HOLDFAST_STORE, HOLDFAST_CONFIG } = process.env;
  if (HOLDFAST_STORE) return { store: HOLDFAST_STORE };
  if (HOLDFAST_CONFIG) return { config: HOLDFAST_CONFIG };
  throw new UsageError(
    "Where are the sessions? Give --store URL (or the path of a SQLite file), --config MODULE, or set HOLDFAST_STORE",
  );
}

/** Opens what `--store` or `--config` names, does the work, and closes it. */
export async function withSessions<T>(
  invocation: Invocation,
  work: (open: OpenSessions) => Promise<T>,
): Promise<T> {
  const open = await openSessions(invocation);
  try {
    return await work(open);
  } finally {
    await open.close();
  }
}

async function openSessions(invocation: Invocation): Promise<OpenSessions> {
  const { store, config } = locationOf(invocation);
  const settings = { table: text(invocation, "table"), schema: text(invocation, "schema") };
  const prefix = text(invocation, "prefix");
  if (config !== undefined) {
    for (const name of ["table", "schema", "prefix", "secrets-file"])
      if (text(invocation, name) !== undefined)
        throw new UsageError(`--${name} goes with --store: with --config, the module says it`);
    return fromModule(await sessionsOf(config, text(invocation, "export")));
  }
  const keys = keysOf(invocation);
  const opened = await openStore(store!, { ...settings, prefix, create: false });
  const encrypted = await isEncrypted(opened);
  if (encrypted && keys === undefined) {
    await opened.close();
    throw new FailureError(
      "These sessions are encrypted: set SESSION_SECRETS to the secrets (or the keys of `encrypt`), or give --secrets-file PATH",
    );
  }
  const sessions = createSessions({
    // Nothing is signed here.
    secrets: keys ?? [randomBytes(32)],
    store: opened,
    // What is written here must be what the application can read: plain, where it may not have sealed anything yet.
    encrypt: encrypted || (keys !== undefined && { seal: false }),
    // A store can't tell of the application's timeouts: with the longest, none is held against its sessions.
    idleTimeout: FOR_EVER,
    absoluteTimeout: FOR_EVER,
    storeTimeout: PATIENCE,
    sweepInterval: false,
  });
  return {
    sessions,
    engine: behind(sessions)!,
    where: `${opened.name} at ${shownLocation(store!)}`,
    configured: false,
    close: () => sessions.close(),
  };
}

/** Never from the arguments, which every user of the machine can read. */
function keysOf(invocation: Invocation): SecretSource | undefined {
  const path = text(invocation, "secrets-file");
  if (path !== undefined) return secretsFromFile(path);
  const name = ["SESSION_SECRETS", "SESSION_SECRET"].find((name) => process.env[name]);
  return name === undefined ? undefined : secretsFromEnv(name);
}

/** Whether there is a sealed record among the first. */
async function isEncrypted(store: Store): Promise<boolean> {
  const call = { now: Date.now(), signal: AbortSignal.timeout(PATIENCE) };
  try {
    let cursor: string | undefined;
    let looked = 0;
    do {
      const page = await store.scan!(cursor, 200, call);
      if (page.sessions.some(({ record }) => isSealed(record))) return true;
      looked += page.sessions.length;
      cursor = page.next;
    } while (cursor !== undefined && looked < 200);
    return false;
  } catch (error) {
    await store.close();
    throw new StoreError(store.name, "scan", "failed", error);
  }
}

function fromModule({ sessions, engine, file }: ConfiguredSessions): OpenSessions {
  const { options } = engine.given;
  if (engine.cookieHeld !== undefined)
    throw new FailureError(
      `The sessions of ${file} live in their cookies, where nobody can list them; the application can end those of a user`,
    );
  const store = (options.store as { name?: string } | undefined)?.name;
  if (store === "memory")
    throw new FailureError(
      `The sessions of ${file} are in the memory of the application's process, where no other can see them`,
    );
  return {
    sessions: sessions as Sessions<any>,
    engine,
    where: `${store} of ${file}`,
    configured: true,
    close: () => sessions.close(),
  };
}
