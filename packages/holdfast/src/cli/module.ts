import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Engine } from "../engine/engine.js";
import { behind } from "../engine/given.js";
import type { BaseSessions } from "../engine/sessions.js";
import { FailureError, UsageError } from "./command.js";

/** An application's sessions, as its module exports them. */
export interface ConfiguredSessions {
  readonly sessions: BaseSessions<any>;
  readonly engine: Engine;
  /** The file that exports them. */
  readonly file: string;
  /** Under which name. */
  readonly name: string;
}

/**
 * The sessions of an application, from a module of its own. Its code runs.
 * @param wanted the export's name; else `sessions`, `default`, or the only one that is what `createSessions` gives.
 */
export async function sessionsOf(path: string, wanted?: string): Promise<ConfiguredSessions> {
  const file = resolve(path);
  if (!existsSync(file)) throw new FailureError(`There is no file ${path}`);
  const exported = await load(path, file);
  const found = new Map<string, BaseSessions<any>>();
  for (const [name, value] of Object.entries(exported)) {
    const sessions = await value;
    if (behind(sessions) !== undefined) found.set(name, sessions as BaseSessions<any>);
  }
  const name = chosen(path, [...found.keys()], wanted);
  const sessions = found.get(name)!;
  return { sessions, engine: behind(sessions)!, file, name };
}

async function load(path: string, file: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ERR_UNKNOWN_FILE_EXTENSION" && /\.[cm]?ts$/.test(path)) {
      throw new FailureError(
        `Node ${process.versions.node} doesn't run TypeScript: use Node 22.18 or later, or name the compiled module`,
      );
    }
    throw error;
  }
}

function chosen(path: string, names: readonly string[], wanted: string | undefined): string {
  const all = names.join(", ");
  if (wanted !== undefined) {
    if (names.includes(wanted)) return wanted;
    const there = names.length === 0 ? "" : `; there is ${all}`;
    throw new UsageError(`${path} exports nothing of createSessions() as "${wanted}"${there}`);
  }
  if (names.length === 0)
    throw new FailureError(
      `${path} exports nothing that createSessions() has given: export it, as in "export const sessions = createSessions(…)"`,
    );
  const usual = ["sessions", "default"].find((name) => names.includes(name));
  if (usual !== undefined) return usual;
  if (names.length > 1) throw new UsageError(`${path} exports several: choose one by --export (${all})`);
  return names[0]!;
}
