import type { StoreInspection } from "../../stores/contract.js";
import type { Check } from "./check.js";

/** What was found out by asking the store. */
export interface StoreFacts {
  readonly name: string;
  /** Why it can't be used, in one line; undefined where it can. */
  readonly failure: string | undefined;
  /** The median of some reads, in milliseconds. */
  readonly latency: number | undefined;
  readonly inspection: StoreInspection;
  /** How far its clock is ahead of this machine's, in milliseconds; undefined where it has none. */
  readonly skew: number | undefined;
  /** The permissions of its file; undefined where there is none, or the system has no such thing. */
  readonly fileMode: number | undefined;
  /** The kind of a file system that other machines share; undefined for a disk of this one. */
  readonly sharedFileSystem: string | undefined;
}

/** Milliseconds that a read may take: each request has to wait for one. */
const SLOW = 50;
/** Milliseconds. */
const SKEW = 2000;

export const STORE_CHECKS: ReadonlyArray<Check<StoreFacts>> = [
  {
    id: "store-unreachable",
    severity: "error",
    about: "the store answers, and its schema fits",
    fix: "Start the store, check where the module says that it is, and run migrate() where the store has one.",
    find: ({ failure }) => failure,
  },
  {
    id: "store-slow",
    severity: "warning",
    about: "a read takes less than 50 ms",
    fix: "Bring the store nearer to the application, or find out what slows it down.",
    find: ({ latency }) =>
      latency !== undefined && latency > SLOW
        ? `A read of the store takes ${latency.toFixed(0)} ms, and every request with a session waits for one.`
        : undefined,
  },
  {
    id: "store-plaintext",
    severity: "error",
    about: "the connection to another machine is encrypted",
    asvs: "12.3.1",
    fix: "Use TLS: rediss:// for Redis, sslmode=verify-full for PostgreSQL, ssl for MySQL, tls=true for MongoDB.",
    find: ({ inspection }) =>
      inspection.encrypted === false && inspection.place === "another machine"
        ? "The connection to the store on another machine is not encrypted: session data, and the password, can be read on the way."
        : undefined,
  },
  {
    id: "clock-skew",
    severity: "warning",
    about: "this machine's clock and the store's agree",
    asvs: "16.2.2",
    fix: "Run NTP on both machines.",
    find: ({ skew }) =>
      skew !== undefined && Math.abs(skew) > SKEW
        ? `The store's clock is ${(Math.abs(skew) / 1000).toFixed(1)} s ${skew > 0 ? "ahead of" : "behind"} this machine's: sessions end too early or too late.`
        : undefined,
  },
  {
    id: "store-evicts",
    severity: "error",
    about: "Redis drops no living session when its memory is full",
    fix: "Set maxmemory-policy to noeviction, or give sessions a Redis of their own.",
    find: ({ inspection: { evicts } }) =>
      evicts === undefined
        ? undefined
        : `Redis has the maxmemory-policy ${evicts}: when its memory is full, it drops living sessions, and what remembers that others have ended.`,
  },
  {
    id: "store-not-durable",
    severity: "warning",
    about: "sessions survive a restart of the server",
    fix: "Turn on appendonly in Redis, or take UNLOGGED off the table in PostgreSQL; or accept that a restart logs everybody out.",
    find: ({ name, inspection: { durable } }) =>
      durable === false && name !== "memory"
        ? "Nothing that is stored survives a restart of the server: everybody is logged out."
        : undefined,
  },
  {
    id: "file-readable",
    severity: "error",
    about: "only its owner reads the SQLite file",
    asvs: "13.2.2",
    fix: "chmod 600 the file, and its -wal and -shm beside it.",
    find: ({ fileMode, inspection: { file } }) =>
      fileMode !== undefined && (fileMode & 0o077) !== 0
        ? `${file} has mode ${(fileMode & 0o777).toString(8)}: other users of this machine can read the sessions, or change them.`
        : undefined,
  },
  {
    id: "file-shared",
    severity: "error",
    about: "the SQLite file is on a disk of this machine",
    fix: "Move it to a local disk; for several machines take another store.",
    find: ({ sharedFileSystem, inspection: { file } }) =>
      sharedFileSystem === undefined
        ? undefined
        : `${file} is on ${sharedFileSystem}, where SQLite's locks don't hold: the file can be corrupted.`,
  },
];
