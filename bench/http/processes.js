/** The processes of a measurement: the servers, and the one that makes the load. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const pathOf = (file) => fileURLToPath(new URL(file, import.meta.url));

/** A variant's server, with the addresses of the database servers in its environment. */
export async function startServer(name, env, execArgv = []) {
  const child = fork(pathOf("servers/start.js"), [name], {
    execArgv,
    env: { ...process.env, NODE_ENV: "production", NODE_NO_WARNINGS: "1", ...env },
  });
  const { port } = await nextMessage(child, name);
  const ask = (question) => {
    const answer = nextMessage(child, name);
    child.send(question);
    return answer;
  };
  return {
    name,
    port,
    /** Processor time in microseconds, and memory in bytes, used so far. */
    usage: () => ask("usage"),
    /** Bytes of the heap and of the process, once everything is collected (needs `--expose-gc`). */
    memory: () => ask("memory"),
    stop: () => stop(child),
  };
}

/** Commands for `load-generator.js`, each with a promise for its result. */
export function startLoadGenerator() {
  const child = fork(pathOf("load-generator.js"));
  const waiting = new Map();
  let number = 0;
  child.on("message", ({ number, result, error }) => {
    const { resolve, reject } = waiting.get(number);
    waiting.delete(number);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  });
  child.once("exit", (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the load generator ended with ${code}`));
  });
  const command = (name) => (settings) =>
    new Promise((resolve, reject) => {
      waiting.set(++number, { resolve, reject });
      child.send({ number, command: name, settings });
    });
  return {
    browsers: command("browsers"),
    once: command("once"),
    load: command("load"),
    stop: () => stop(child),
  };
}

/** What a process of `node:child_process` or `node:cluster` says next. */
export function nextMessage(child, name) {
  return new Promise((resolve, reject) => {
    const ended = (code) => reject(new Error(`${name} ended with ${code}`));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message);
    });
  });
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  await ended;
}
