// @ts-check
import { test } from "vitest";
import { tellStory } from "./test/story.js";

// Bun and Deno: scripts/test-on-runtimes.mjs.
test("the example runs on Node", () => tellStory(process.execPath, [], "server-node.js"));
