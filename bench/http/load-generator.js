/**
 * Makes the load, in a process of its own: browsers that each send a request, wait for the whole answer and send the next one.
 * It writes and reads plain sockets, for an HTTP client costs about as much as the fastest of the servers that it would
 * measure. Every answer's status and body are checked, and cookies are kept as a browser keeps them.
 *
 * Told by messages: `browsers` makes some, `once` sends one request with each, `load` sends them for some seconds.
 */
import { Socket } from "node:net";

const HEADERS =
  "Host: 127.0.0.1\r\n" +
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n" +
  "Accept: application/json\r\n";

/** One browser's cookies, and what it has seen of its session. */
class Browser {
  id;
  cookies = new Map();
  /** Writes that were acknowledged. */
  writes = 0;
  /** The request of the running scenario, until a cookie changes. */
  #request;

  constructor(id) {
    this.id = id;
  }

  prepare(method, path) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    this.#request = Buffer.from(
      `${method} ${path.replace("{user}", `user-${this.id}`)} HTTP/1.1\r\n${HEADERS}` +
        (cookie === "" ? "" : `Cookie: ${cookie}\r\n`) +
        (method === "POST" ? "Content-Length: 0\r\n\r\n" : "\r\n"),
      "latin1",
    );
  }

  requestFor({ method, path }) {
    if (this.#request === undefined) this.prepare(method, path);
    return this.#request;
  }

  forgetRequest() {
    this.#request = undefined;
  }

  keepCookies(head) {
    for (const [, name, value, attributes] of head.matchAll(/\r\nset-cookie: ([^=]+)=([^;\r]*)([^\r]*)/gi)) {
      const isRemoved = /max-age=0\b/i.test(attributes) || (value === "" && /expires=/i.test(attributes));
      if (isRemoved) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    this.forgetRequest();
  }
}

/** A connection, whose browsers take turns. */
class Connection {
  #socket = new Socket();
  #browsers;
  #turn = -1;
  #scenario;
  #run;
  #sentAt = 0;
  #received = "";
  /** The length of the answers so far, while they are all alike and in one piece. */
  #usualLength = -1;
  #done;

  constructor(browsers) {
    this.#browsers = browsers;
  }

  async open(port) {
    this.#socket.setNoDelay(true);
    await new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.connect(port, "127.0.0.1", resolve);
    });
    this.#socket.on("data", (chunk) => this.#receive(chunk));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  /** Sends while `run.goesOn` says so. Resolves when the last answer is there. */
  work(scenario, run) {
    this.#scenario = scenario;
    this.#run = run;
    return new Promise((resolve, reject) => {
      this.#done = { resolve, reject };
      this.#send();
    });
  }

  close() {
    this.#done = undefined;
    this.#socket.destroy();
  }

  #send() {
    if (++this.#turn === this.#browsers.length) {
      if (this.#run.onlyOneRound) return this.#end();
      this.#turn = 0;
    }
    this.#sentAt = performance.now();
    this.#socket.write(this.#browsers[this.#turn].requestFor(this.#scenario));
  }

  #receive(chunk) {
    const { answer } = this.#scenario;
    if (chunk.length === this.#usualLength && this.#received === "") {
      // The same headers in the same length: only the status and the end of the body can tell a difference.
      const isGood =
        chunk[9] === 50 && chunk.latin1Slice(chunk.length - answer.length - 1, chunk.length - 1) === answer;
      if (isGood) return this.#answered();
    }
    this.#received += chunk.latin1Slice();
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd === -1) return;
    const head = this.#received.slice(0, headEnd);
    const body = bodyOf(head, this.#received.slice(headEnd + 4));
    if (body === undefined) return;
    this.#received = "";
    const browser = this.#browsers[this.#turn];
    const setsCookie = /\r\nset-cookie: /i.test(head);
    if (setsCookie) browser.keepCookies(head);
    if (head.slice(9, 12) !== "200" || !body.startsWith(answer)) {
      return this.#fail(new Error(`${head.slice(0, 12)} ${body.slice(0, 200)} in place of ${answer}`));
    }
    // One byte more than the answer says is the bracket that closes it.
    const isUsual =
      !setsCookie && chunk.length === headEnd + 4 + body.length && body.length === answer.length + 1;
    this.#usualLength = isUsual ? chunk.length : -1;
    this.#run.keep?.(browser, body);
    this.#answered();
  }

  #answered() {
    const now = performance.now();
    this.#run.note(now - this.#sentAt);
    if (this.#scenario.path === "/write") this.#browsers[this.#turn].writes++;
    if (now < this.#run.endsAt) this.#send();
    else this.#end();
  }

  #end() {
    this.#done?.resolve();
  }

  #fail(error) {
    this.#done?.reject(error);
  }
}

/** The body that follows a head; undefined while some of it is missing. */
function bodyOf(head, rest) {
  const length = /\r\ncontent-length: (\d+)/i.exec(head);
  if (length !== null) return rest.length >= Number(length[1]) ? rest.slice(0, Number(length[1])) : undefined;
  if (!/\r\ntransfer-encoding: chunked/i.test(head)) return rest;
  if (!rest.endsWith("0\r\n\r\n")) return undefined;
  let body = "";
  for (let at = 0; ; ) {
    const lineEnd = rest.indexOf("\r\n", at);
    const size = Number.parseInt(rest.slice(at, lineEnd), 16);
    if (size === 0) return body;
    body += rest.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 4 + size;
  }
}

/** Their browsers by name. */
const groups = new Map();

async function withConnections(port, browsers, count, work) {
  const connections = Array.from(
    { length: Math.min(count, browsers.length) },
    (_, n) => new Connection(browsers.filter((_browser, index) => index % count === n)),
  );
  try {
    await Promise.all(connections.map((connection) => connection.open(port)));
    return await work(connections);
  } finally {
    for (const connection of connections) connection.close();
  }
}

const COMMANDS = {
  /** Makes new browsers, in place of what was under this name. They may bring a cookie. */
  browsers({ group, count, cookie }) {
    const browsers = Array.from({ length: count }, (_, id) => new Browser(id));
    if (cookie !== undefined) for (const browser of browsers) browser.cookies.set(...cookie.split("="));
    groups.set(group, browsers);
  },

  /** One request with each browser; every answer with the writes that its browser has seen acknowledged. */
  async once({ group, port, method, path, answer = "{" }) {
    const browsers = groups.get(group);
    for (const browser of browsers) browser.forgetRequest();
    const answers = [];
    const run = {
      onlyOneRound: true,
      endsAt: Number.POSITIVE_INFINITY,
      note() {},
      keep: ({ id, writes }, body) => answers.push({ id, writes, body }),
    };
    await withConnections(port, browsers, 32, (connections) =>
      Promise.all(connections.map((connection) => connection.work({ method, path, answer }, run))),
    );
    for (const browser of browsers) browser.forgetRequest();
    return answers;
  },

  /** Requests for so many seconds. */
  async load({ group, port, method, path, answer, connections: count, seconds }) {
    const browsers = groups.get(group);
    for (const browser of browsers) browser.prepare(method, path);
    return withConnections(port, browsers, count, async (connections) => {
      const milliseconds = new Samples();
      const cpuBefore = process.cpuUsage();
      const startedAt = performance.now();
      const run = { endsAt: startedAt + seconds * 1000, note: (latency) => milliseconds.add(latency) };
      await Promise.all(connections.map((connection) => connection.work({ method, path, answer }, run)));
      const elapsed = (performance.now() - startedAt) / 1000;
      const { user, system } = process.cpuUsage(cpuBefore);
      const [p50, p99] = milliseconds.percentiles(0.5, 0.99);
      return {
        requests: milliseconds.count,
        seconds: elapsed,
        p50,
        p99,
        busy: (user + system) / 1e6 / elapsed,
      };
    });
  },
};

class Samples {
  count = 0;
  #values = new Float64Array(1 << 16);

  add(value) {
    if (this.count === this.#values.length) {
      const larger = new Float64Array(this.count * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.count++] = value;
  }

  percentiles(...shares) {
    const sorted = this.#values.subarray(0, this.count).sort();
    return shares.map((share) => sorted[Math.min(Math.floor(this.count * share), this.count - 1)]);
  }
}

process.once("disconnect", () => process.exit(0));
process.on("message", async ({ number, command, settings }) => {
  try {
    process.send({ number, result: await COMMANDS[command](settings) });
  } catch (error) {
    process.send({ number, error: error.message });
  }
});
