/** A process that has just started, with compression before the sessions: prints what its very first request gets. */
import { Readable } from "node:stream";
import compression from "compression";
import express from "express";
import { createSessions, memoryStore } from "holdfast";
import { expressSessions } from "holdfast/express";

const store = memoryStore();
const app = express();
app.use(compression({ threshold: 0 }));
app.use(expressSessions(createSessions({ secrets: [process.env.SECRET], store })));
app.get("/", (req, res) => {
  req.session.data.written = true;
  res.type("text/plain");
  Readable.from(Array.from({ length: 1000 }, () => "done")).pipe(res);
});
const server = app.listen(0, "127.0.0.1", async () => {
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
  const body = await response.text();
  console.log(
    response.status,
    response.headers.get("content-encoding"),
    response.headers.getSetCookie().length,
    body.length,
  );
  server.close();
});
