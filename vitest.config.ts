import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: [
      "packages/*/src/**/*.test.ts",
      "packages/*/test/**/*.test.ts",
      "examples/*/**/*.test.js",
      "bench/**/*.test.js",
    ],
    reporters: ["default", "./scripts/services-reporter.mjs"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
