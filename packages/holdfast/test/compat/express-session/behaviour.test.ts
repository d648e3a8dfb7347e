import { memoryStore } from "../../../src/stores/memory.js";
import { describeBehaviour } from "./behaviour.js";
import { describeStoreCalls } from "./store-calls.js";
import { DROP_IN, FRAMEWORKS, ORIGINAL } from "./subject.js";

for (const framework of FRAMEWORKS) {
  describeBehaviour(ORIGINAL, framework);
  describeBehaviour(DROP_IN, framework);
  describeBehaviour(
    { ...DROP_IN, name: "the drop-in with a Holdfast store", store: () => memoryStore() },
    framework,
  );
  describeStoreCalls(ORIGINAL, framework);
  describeStoreCalls(DROP_IN, framework);
}
