/** CommonJS, typed: Node 20.19 and later load ESM by require. */
import holdfast = require("holdfast");
import adapter = require("holdfast/express");

const sessions: holdfast.Sessions = holdfast.createSessions({
  secrets: ["a secret of thirty-two bytes or more"],
  store: holdfast.memoryStore(),
  initial: () => ({ cart: [] }),
});
adapter.expressSessions(sessions);
