/** Bridges between Holdfast's stores and those for express-session, both ways. */
export { type AnyConnectStore, fromConnectStore } from "./from-connect-store.js";
export { type ToConnectStoreOptions, toConnectStore } from "./to-connect-store.js";
