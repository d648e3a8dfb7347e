import { createServer } from "node:net";

const ANSWER = '{"name":"nobody"}';
const RESPONSE = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${ANSWER.length}\r\n\r\n${ANSWER}`,
);

/**
 * How many requests a second the load generator can make at most: against a server that does nothing but send the same bytes
 * for whatever comes. A server that is measured near this figure has been held up by its load.
 */
export async function measureCeiling(generator) {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", () => socket.write(RESPONSE));
    socket.on("error", () => {});
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await generator.browsers({ group: "ceiling", count: 32 });
  const load = {
    group: "ceiling",
    port,
    method: "GET",
    path: "/read",
    answer: '{"name":"nobody"',
    connections: 32,
  };
  await generator.load({ ...load, seconds: 0.5 });
  const { requests, seconds } = await generator.load({ ...load, seconds: 1 });
  server.close();
  return requests / seconds;
}
