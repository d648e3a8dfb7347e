import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import {
  exclusively,
  findProgram,
  freePort,
  noteService,
  type Running,
  startProcess,
  temporaryFolder,
} from "./provision.js";

/**
 * Keycloak: KEYCLOAK_URL, with KEYCLOAK_ADMIN and KEYCLOAK_ADMIN_PASSWORD; else a `kc.sh` on PATH; else the archive from
 * Maven Central, which Maven fetches, as it is set up on this machine. The latter two need Java, and about 460 MB of memory.
 */
export interface KeycloakService {
  /** Program and version, for messages. */
  readonly what: string;
  /** Without a slash at its end. */
  readonly url: string;
  /** Asks its administration interface. @throws Error for any answer but 2xx. */
  admin(method: string, path: string, body?: unknown): Promise<any>;
  /** Stops and starts it; undefined for a server that isn't this run's own. */
  readonly control: { stop(): Promise<void>; start(): Promise<void> } | undefined;
  close(): Promise<void>;
}

const run = promisify(execFile);
/** The last line whose releases still run on Java 17. */
const VERSION = "26.0.8";
const CACHE = join(homedir(), ".cache", "holdfast");

/** Undefined where there is none to be had: then the reason is noted for the closing summary. */
export async function provideKeycloak(): Promise<KeycloakService | undefined> {
  const { KEYCLOAK_URL, KEYCLOAK_ADMIN = "admin", KEYCLOAK_ADMIN_PASSWORD = "admin" } = process.env;
  try {
    const service =
      KEYCLOAK_URL === undefined
        ? await startOwn()
        : describeService(
            "KEYCLOAK_URL",
            KEYCLOAK_URL.replace(/\/$/, ""),
            KEYCLOAK_ADMIN,
            KEYCLOAK_ADMIN_PASSWORD,
          );
    noteService("keycloak", service.what);
    return service;
  } catch (error) {
    noteService("keycloak", `SKIPPED, none is to be had (${(error as Error).message.split("\n")[0]})`);
    return undefined;
  }
}

async function startOwn(): Promise<KeycloakService> {
  if (findProgram("java") === undefined) throw new Error("there is no Java");
  const installed = findProgram("kc.sh");
  const home = installed === undefined ? await fetchArchive() : dirname(dirname(installed));
  const name = installed === undefined ? `Keycloak ${VERSION}` : `Keycloak (${installed})`;

  const port = await freePort();
  // Another site than the applications at 127.0.0.1, as a provider is in life.
  const url = `http://localhost:${port}`;
  const options = [
    "--http-host=127.0.0.1",
    `--http-port=${port}`,
    `--hostname=${url}`,
    "--db=dev-file",
    // Apart from the archive, so that each run begins with an empty one, and a restart doesn't.
    `--db-url=jdbc:h2:file:${temporaryFolder()}/keycloak;NON_KEYWORDS=VALUE`,
  ];
  const env = {
    ...process.env,
    KC_BOOTSTRAP_ADMIN_USERNAME: "admin",
    KC_BOOTSTRAP_ADMIN_PASSWORD: "admin",
    JAVA_OPTS_KC_HEAP: "-Xms64m -Xmx384m",
    // It runs for a minute or two: what the compiler's last stage costs is never earned.
    JAVA_OPTS_APPEND: "-XX:TieredStopAtLevel=1",
  };
  const ready = async () => {
    // It takes half a minute to start; asking often makes it slower.
    await delay(400);
    const { ok } = await fetch(`${url}/realms/master`);
    if (!ok) throw new Error("it is not ready yet");
  };
  const start = () =>
    startProcess("sh", [join(home, "bin", "kc.sh"), "start-dev", ...options], ready, { env });
  let running: Running = await start();
  const control = {
    stop: () => running.stop(),
    start: async () => {
      running = await start();
    },
  };
  return { ...describeService(name, url, "admin", "admin"), control, close: () => running.stop() };
}

/** The folder of the archive, unpacked once. */
async function fetchArchive(): Promise<string> {
  const home = join(CACHE, `keycloak-${VERSION}`);
  await exclusively("keycloak", async () => {
    if (existsSync(home)) return;
    const maven = findProgram("mvn");
    if (maven === undefined) throw new Error("there is no mvn to fetch it with");
    const part = `${home}.part`;
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true });
    const artifact = `-Dartifact=org.keycloak:keycloak-quarkus-dist:${VERSION}:zip`;
    const unpack = ["-q", "-B", "dependency:unpack", artifact, `-DoutputDirectory=${part}`];
    // Where it works it leaves notes of its own.
    await run(maven, unpack, { cwd: part, timeout: 5 * 60_000 }).catch(({ killed, stdout, message }) => {
      const answer = killed ? "it took more than five minutes" : String(stdout || message).split("\n")[0];
      throw new Error(`Maven could not fetch it: ${answer}`);
    });
    renameSync(join(part, `keycloak-${VERSION}`), home);
    rmSync(part, { recursive: true });
  });
  return home;
}

function describeService(what: string, url: string, username: string, password: string): KeycloakService {
  return {
    what,
    url,
    async admin(method, path, body) {
      const authorization = `Bearer ${await adminToken(url, username, password)}`;
      const response = await fetch(`${url}/admin${path}`, {
        method,
        headers: { authorization, "content-type": "application/json" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text === "" ? undefined : JSON.parse(text);
    },
    control: undefined,
    async close() {},
  };
}

async function adminToken(url: string, username: string, password: string): Promise<string> {
  const response = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "password", client_id: "admin-cli", username, password }),
  });
  if (!response.ok) throw new Error(`no administrator's token: ${response.status}`);
  return ((await response.json()) as { access_token: string }).access_token;
}
