import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What passes between a driver and its server, on a port in between. */
export interface Wire {
  /** The URL of the server, by way of this. */
  readonly url: string;
  readonly port: number;
  /** How often the driver has sent something after the server had answered last, on all connections together. */
  readonly roundTrips: number;
  /** Counts from here on. */
  reset(): void;
  /** From here on answers are kept back until `until` is true of all that the driver has sent meanwhile. */
  holdAnswers(until: (sent: string) => boolean): void;
  close(): void;
}

export async function startWire(url: string): Promise<Wire> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let roundTrips = 0;
  let sent = "";
  let enough: ((sent: string) => boolean) | undefined;
  let kept: Array<() => void> = [];
  const release = () => {
    if (enough !== undefined && !enough(sent)) return;
    enough = undefined;
    for (const pass of kept.splice(0)) pass();
  };

  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: Number(port), host: hostname, noDelay: true });
    let answered = true;
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    near.on("data", (chunk) => {
      if (answered) roundTrips++;
      answered = false;
      sent += chunk.toString("latin1");
      far.write(chunk);
      release();
    });
    far.on("data", (chunk) => {
      answered = true;
      if (enough === undefined) near.write(chunk);
      else kept.push(() => near.write(chunk));
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const through = new URL(url);
  through.hostname = "127.0.0.1";
  through.port = String((server.address() as AddressInfo).port);

  return {
    url: through.href,
    port: Number(through.port),
    get roundTrips() {
      return roundTrips;
    },
    reset() {
      roundTrips = 0;
      sent = "";
      kept = [];
    },
    holdAnswers(until) {
      sent = "";
      enough = until;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
