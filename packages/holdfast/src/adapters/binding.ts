import type { Exchange } from "../engine/exchange.js";
import type { SessionSource } from "../engine/sessions.js";
import type { HeldResponse } from "./held-response.js";

/** What an adapter notes with a request. */
export interface Binding {
  readonly sessions: SessionSource<any>;
  readonly exchange: Exchange<any>;
  /** Undefined where there is no response of Node's to hold. */
  readonly held: HeldResponse | undefined;
}

/** On the request itself: a WeakMap would keep every request in memory until the next full collection. */
const BINDING = Symbol("holdfast");

export function bindingOf(request: object): Binding | undefined {
  return (request as { [BINDING]?: Binding })[BINDING];
}

export function bind(request: object, binding: Binding): void {
  (request as { [BINDING]?: Binding })[BINDING] = binding;
}
