import { describeBehaviour } from "./behaviour.js";
import { DROP_IN, ORIGINAL, VERSIONS } from "./subject.js";

for (const version of VERSIONS) {
  describeBehaviour(ORIGINAL, version);
  describeBehaviour(DROP_IN, version);
}
