import { memoryStore } from "../../../src/stores/memory.js";
import { describeApi } from "./api.js";
import { describeBehaviour } from "./behaviour.js";
import { describeStoreCalls } from "./store-calls.js";
import { DROP_IN, FRAMEWORKS, ORIGINAL } from "./subject.js";

/** The same cases for both, in one run. Where they differ on purpose is in `differences.test.ts`. */

describeApi(ORIGINAL);
describeApi(DROP_IN);

for (const framework of FRAMEWORKS) {
  describeBehaviour(ORIGINAL, framework);
  describeBehaviour(DROP_IN, framework);
  const store = () => memoryStore();
  describeBehaviour({ ...DROP_IN, name: "the drop-in with a Holdfast store", store }, framework);
  describeStoreCalls(ORIGINAL, framework);
  describeStoreCalls(DROP_IN, framework);
}
