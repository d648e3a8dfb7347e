import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { relative } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { askForExplanations, type ExplainingProcess } from "../engine/explain/socket.js";
import { MODULE_OPTIONS } from "./arguments.js";
import { type Command, EXIT, type Invocation, text, UsageError } from "./command.js";
import { askSite, siteAddress } from "./doctor/ask-site.js";
import { askStore } from "./doctor/ask-store.js";
import { type Check, type Finding, findings, SEVERITIES, type Severity } from "./doctor/check.js";
import { SETTINGS_CHECKS } from "./doctor/settings.js";
import { SITE_CHECKS } from "./doctor/site.js";
import { STORE_CHECKS, type StoreFacts } from "./doctor/store.js";
import { type ConfiguredSessions, sessionsOf } from "./module.js";
import type { Terminal } from "./terminal.js";
import { visible } from "./visible.js";
import { counted } from "./wording.js";

/** In the table of checks, what is found where the module's own settings are refused. */
export const REFUSED: Check<{ readonly refusal: { readonly message: string } | undefined }> = {
  id: "settings-refused",
  severity: "error",
  about: "createSessions() takes the settings",
  fix: "Mend that option. What comes after it could not be looked at yet.",
  find: ({ refusal }) => refusal && `createSessions() refuses its settings: ${refusal.message}`,
};

const ALL_CHECKS: ReadonlyArray<Check<any>> = [REFUSED, ...SETTINGS_CHECKS, ...STORE_CHECKS, ...SITE_CHECKS];
const LEVELS = [...SEVERITIES, "never"] as const;

export const doctor: Command = {
  name: "doctor",
  about: "say what is weak in the setup of an application's sessions",
  takes: "MODULE",
  details: [
    "Imports the module that exports what createSessions() gives, and looks at its settings, its store and, with --url, at a running server. Each finding comes with its reason, the requirement of OWASP ASVS 5.0 and the fix. It changes nothing.",
    "The module's code runs. Let it make the sessions and nothing else: no server that listens.",
    "With --url, the page is requested without a cookie, with the one that came, and with a forged one. Where the server has `explain: true` and runs as the same user, its own explanation of these requests is shown.",
    "Exit code 1 where something is found that --fail-on names.",
  ],
  examples: [
    "npx holdfast doctor ./sessions.js",
    "npx holdfast doctor ./sessions.js --env production --fail-on warning --ignore no-csrf",
    "npx holdfast doctor ./sessions.js --url http://localhost:3000/",
  ],
  options: {
    env: { type: "string", value: "NAME", about: "the NODE_ENV to look at it with, as in production" },
    url: { type: "string", value: "URL", about: "a page of a running server to look at as well" },
    "fail-on": { type: "string", value: "LEVEL", about: "error (as it is), warning, note or never" },
    ignore: { type: "string", value: "IDS", about: "findings that you have decided to live with, by commas" },
    ...MODULE_OPTIONS,
  },
  positionals: 1,
  async run(invocation) {
    const { terminal } = invocation;
    const settings = checkedSettings(invocation);
    if (settings.environment !== undefined) process.env.NODE_ENV = settings.environment;
    const report = await examine(settings, text(invocation, "export"));
    report.findings = report.findings.filter(({ id }) => !settings.ignored.includes(id));
    report.findings.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
    if (terminal.json) await terminal.object(objectOf(report));
    else await print(terminal, report);
    const failing = SEVERITIES.slice(0, LEVELS.indexOf(settings.failOn) + 1);
    const fails =
      settings.failOn !== "never" && report.findings.some(({ severity }) => failing.includes(severity));
    return fails ? EXIT.findings : EXIT.ok;
  },
};

interface Settings {
  readonly module: string;
  readonly environment: string | undefined;
  readonly url: URL | undefined;
  readonly failOn: (typeof LEVELS)[number];
  readonly ignored: readonly string[];
}

function checkedSettings(invocation: Invocation): Settings {
  const module = invocation.positionals[0] ?? text(invocation, "config") ?? process.env.HOLDFAST_CONFIG;
  if (!module)
    throw new UsageError("Which module exports the sessions? As in npx holdfast doctor ./sessions.js");
  const failOn = LEVELS.find((level) => level === (text(invocation, "fail-on") ?? "error"));
  if (failOn === undefined) throw new UsageError(`--fail-on takes ${LEVELS.join(", ")}`);
  const ignored =
    text(invocation, "ignore")
      ?.split(",")
      .map((id) => id.trim()) ?? [];
  const unknown = ignored.find((id) => !ALL_CHECKS.some((check) => check.id === id));
  if (unknown !== undefined)
    throw new UsageError(`--ignore: there is no check "${unknown}"; docs/doctor.md lists them`);
  const address = text(invocation, "url");
  return {
    module,
    environment: text(invocation, "env"),
    url: address === undefined ? undefined : siteAddress(address),
    failOn,
    ignored,
  };
}

interface Report {
  readonly module: string;
  readonly exportName: string | undefined;
  readonly environment: string | undefined;
  readonly store: StoreFacts | undefined;
  readonly site: string | undefined;
  readonly explanations: readonly string[];
  /** How many checks were made. */
  readonly checks: number;
  findings: Finding[];
}

async function examine({ module, url }: Settings, wanted: string | undefined): Promise<Report> {
  const heard = hearWarnings();
  const report = {
    module,
    exportName: undefined,
    environment: process.env.NODE_ENV,
    store: undefined,
    site: url?.href,
    explanations: [],
    checks: 1,
  };
  let configured: ConfiguredSessions;
  try {
    configured = await sessionsOf(module, wanted);
  } catch (error) {
    // By its code, for the application may have a copy of the package of its own.
    const { code, message } = error as { code?: string; message: string };
    if (code !== "ERR_HOLDFAST_CONFIG") throw error;
    return { ...report, findings: findings([REFUSED], { refusal: { message } }) };
  }
  // Warnings come a turn later.
  await nextTurn();
  const { engine, sessions, file, name } = configured;
  const store = await askStore(engine);
  const start = Date.now();
  const site = url && (await askSite(url, engine.given.options.cookie));
  const found = [
    ...findings(SETTINGS_CHECKS, {
      engine,
      source: readFileSync(file, "utf8"),
      warnings: heard.end(),
      environment: process.env.NODE_ENV,
      nodeVersion: process.versions.node,
      now: Date.now(),
    }),
    ...(store === undefined ? [] : findings(STORE_CHECKS, store)),
    ...(site === undefined ? [] : findings(SITE_CHECKS, site)),
  ];
  const explanations = url === undefined ? [] : await explanationsOf(url, start);
  await sessions.close();
  return {
    ...report,
    exportName: name,
    store,
    explanations,
    checks: 1 + SETTINGS_CHECKS.length + (store ? STORE_CHECKS.length : 0) + (site ? SITE_CHECKS.length : 0),
    findings: found,
  };
}

function hearWarnings() {
  const warnings: Array<{ code: string; message: string }> = [];
  const others = process.listeners("warning");
  process.removeAllListeners("warning");
  const hear = (warning: Error & { code?: string }) => {
    if (warning.name === "HoldfastWarning")
      warnings.push({ code: warning.code ?? "", message: warning.message });
  };
  process.on("warning", hear);
  return {
    end() {
      process.off("warning", hear);
      for (const other of others) process.on("warning", other);
      return warnings;
    },
  };
}

/** What the server says of the requests that were just made. */
async function explanationsOf({ pathname }: URL, start: number): Promise<string[]> {
  const others = (await askForExplanations()).filter(({ pid }) => pid !== process.pid);
  const mine = ({ explanations }: ExplainingProcess) =>
    explanations.filter(({ at, path }) => path === pathname && Date.parse(at) >= start);
  return others.flatMap((process) => mine(process).map(({ line }) => line));
}

function tallied(list: readonly Finding[]): Record<Severity, number> {
  const tally = { error: 0, warning: 0, note: 0 };
  for (const { severity } of list) tally[severity]++;
  return tally;
}

function objectOf({ module, exportName, environment, store, site, explanations, checks, findings }: Report) {
  return {
    module,
    export: exportName ?? null,
    environment: environment ?? null,
    node: process.versions.node,
    holdfast: holdfastVersion(),
    store: store && {
      name: store.name,
      server: store.inspection.server ?? null,
      latencyMs: store.latency === undefined ? null : Number(store.latency.toFixed(2)),
      clockSkewMs: store.skew === undefined ? null : Math.round(store.skew),
    },
    site: site ?? null,
    checks,
    findings: findings.map((finding) => ({ ...finding, asvs: finding.asvs ?? null })),
    summary: tallied(findings),
    explanations,
  };
}

function holdfastVersion(): string {
  return createRequire(import.meta.url)("../../package.json").version;
}

const STYLES = { error: "red", warning: "yellow", note: "cyan" } as const;

async function print(terminal: Terminal, report: Report): Promise<void> {
  const { store } = report;
  const where = relative(process.cwd(), report.module) || report.module;
  const named = report.exportName === undefined ? "" : ` (${report.exportName})`;
  const versions = `Node ${process.versions.node}, holdfast ${holdfastVersion()}`;
  await terminal.line(visible(`${where}${named}, NODE_ENV ${report.environment ?? "not set"}, ${versions}`));
  if (store?.latency !== undefined) {
    const program = store.inspection.server ?? store.name;
    await terminal.line(visible(`store: ${program}, a read in ${store.latency.toFixed(1)} ms`));
  }
  for (const finding of report.findings) await printFinding(terminal, finding);
  if (report.explanations.length > 0) await terminal.line("\nWhat the server says of these requests:");
  for (const line of report.explanations) await terminal.line(`  ${visible(line)}`);
  const { error, warning, note } = tallied(report.findings);
  const parts = [counted(error, "error"), counted(warning, "warning"), counted(note, "note")];
  await terminal.line(`\n${counted(report.checks, "check")}: ${parts.join(", ")}`);
}

async function printFinding(terminal: Terminal, { id, severity, asvs, reason, fix }: Finding): Promise<void> {
  const section = asvs === undefined ? "" : `  OWASP ASVS 5.0, ${asvs}`;
  await terminal.line(
    `\n${terminal.style(STYLES[severity], severity)}  ${terminal.style("bold", id)}${section}`,
  );
  await terminal.line(`  ${visible(reason)}`);
  await terminal.line(`  ${terminal.style("green", "fix:")} ${visible(fix)}`);
}
