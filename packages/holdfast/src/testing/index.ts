/** For the tests of an application: a session without a login page, and a clock that waits to be told. */

export { type TestClock, testClock } from "./clock.js";
export { type MintedSession, type MintOptions, mintSession } from "./mint.js";
