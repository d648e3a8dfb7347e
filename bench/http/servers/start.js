/** One variant of the benchmarked application in a process of its own: `fork("start.js", ["koa/bare"])`. It says its port. */
const [framework, variant] = process.argv[2].split("/");
process.once("SIGTERM", () => process.exit(0));
// The runner is gone.
process.once("disconnect", () => process.exit(0));

const { listen } = await import(`./${framework}.js`);
const server = await listen(variant);
if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
process.send({ port: server.address().port });

const ANSWERS = {
  /** Before and after each measurement: processor time in microseconds, memory in bytes. */
  usage() {
    const { user, system } = process.cpuUsage();
    return { cpu: user + system, memory: process.memoryUsage.rss() };
  },
  memory() {
    for (let n = 0; n < 3; n++) globalThis.gc();
    const { heapUsed, rss } = process.memoryUsage();
    return { heap: heapUsed, rss };
  },
};
process.on("message", (question) => process.send(ANSWERS[question]()));
