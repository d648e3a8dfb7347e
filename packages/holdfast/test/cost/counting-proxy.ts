import { createConnection, createServer, type Socket } from "node:net";

/** What went over a wire. */
export interface Traffic {
  /** The commands, by name, in order. */
  readonly commands: string[];
  /** How often the client waited for the server: commands that left together count once. */
  readonly roundTrips: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** Stands between a Redis client and its server, and counts what passes. */
export async function countingProxy(port: number) {
  let commands: string[] = [];
  let roundTrips = 0;
  let bytesSent = 0;
  let bytesReceived = 0;
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    const upstream = createConnection(port, "127.0.0.1");
    let waiting = false;
    let rest = Buffer.alloc(0);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("data", (chunk) => {
      bytesSent += chunk.length;
      if (!waiting) roundTrips++;
      waiting = true;
      rest = Buffer.concat([rest, chunk]);
      for (let end = commandEnd(rest); end !== undefined; end = commandEnd(rest)) {
        commands.push(nameOf(rest));
        rest = rest.subarray(end);
      }
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      bytesReceived += chunk.length;
      waiting = false;
      client.write(chunk);
    });
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    port: (server.address() as { port: number }).port,
    /** Since this was last asked. */
    traffic(): Traffic {
      const seen = { commands, roundTrips, bytesSent, bytesReceived };
      commands = [];
      roundTrips = bytesSent = bytesReceived = 0;
      return seen;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Where the first command ends (RESP 2: "*<words>", then "$<bytes>" and the bytes of each); undefined while some is missing. */
function commandEnd(bytes: Buffer): number | undefined {
  let at = bytes.indexOf("\r\n");
  if (at === -1) return undefined;
  const words = Number(bytes.toString("latin1", 1, at));
  at += 2;
  for (let word = 0; word < words; word++) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    at = lineEnd + 2 + Number(bytes.toString("latin1", at + 1, lineEnd)) + 2;
    if (at > bytes.length) return undefined;
  }
  return at;
}

function nameOf(command: Buffer): string {
  return /^\*\d+\r\n\$\d+\r\n([^\r]+)/.exec(command.toString("latin1", 0, 64))![1]!.toUpperCase();
}
