import { describe, expect, it } from "vitest";
import { testStore } from "../testing/store.js";
import { memoryStore } from "./memory.js";

testStore("memoryStore", () => memoryStore(), { describe, it });
