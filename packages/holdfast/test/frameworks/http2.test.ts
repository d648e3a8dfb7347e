import type { RequestListener } from "node:http";
import { createServer } from "node:http2";
import { nodeApplication, nodeWays } from "./node-application.js";
import { testFramework } from "./suite.js";

testFramework({
  name: "node:http2",
  http2: true,
  ways: nodeWays,
  lacks: ["proxy setting"],
  // One listener for both: what the compatibility API has no type for, the application doesn't use.
  serve: (setup) => createServer(nodeApplication(setup, nodeWays) as RequestListener as any),
});
