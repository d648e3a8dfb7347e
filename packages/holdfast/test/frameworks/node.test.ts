import { createServer } from "node:http";
import { ANSWER } from "./framework.js";
import { nodeApplication, nodeWays } from "./node-application.js";
import { testFramework } from "./suite.js";

const ways: typeof nodeWays = {
  ...nodeWays,
  "writeHead-with-list": {
    respond: (response) => response.writeHead(200, "Fine", ["X-Own", "1", "X-Own", "2"]).end(ANSWER),
  },
};

testFramework({
  name: "node:http",
  ways,
  lacks: ["proxy setting"],
  serve: (setup) => createServer(nodeApplication(setup, ways)),
});
