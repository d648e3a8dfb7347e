import { isPromise } from "../awaitable.js";
import type { Awaitable } from "../stores/contract.js";
import type { EngineStore } from "./store-client.js";

/** The calls to a store that can be observed. */
export const storeOperations = [
  "load",
  "create",
  "replace",
  "touch",
  "delete",
  "sweep",
  "listByUser",
  "deleteByUser",
  "scan",
] as const;

export type StoreOperation = (typeof storeOperations)[number];

/** Makes a call to the store, and may measure it: gives its answer, or throws its error, as it is. */
export type StoreObserver = <T>(operation: StoreOperation, call: () => Awaitable<T>) => Awaitable<T>;

const observers = new WeakMap<EngineStore, Set<StoreObserver>>();

/**
 * Puts an observer around every call to a store. The methods of this one client are replaced while it has observers, so that
 * a call costs nothing more while it has none. The returned function ends it.
 */
export function observeStore(client: EngineStore, observer: StoreObserver): () => void {
  const around = observers.get(client) ?? new Set();
  if (around.size === 0) install(client, around);
  observers.set(client, around.add(observer));
  return () => {
    if (around.delete(observer) && around.size === 0) uninstall(client);
  };
}

function install(client: EngineStore, around: ReadonlySet<StoreObserver>): void {
  for (const operation of storeOperations) {
    const method = client[operation] as (...args: any[]) => Awaitable<any>;
    const value = (...args: unknown[]) => {
      let call = () => method.apply(client, args);
      for (const observer of around) {
        const inner = call;
        call = () => observer(operation, inner);
      }
      return call();
    };
    Object.defineProperty(client, operation, { configurable: true, value });
  }
}

function uninstall(client: EngineStore): void {
  for (const operation of storeOperations) Reflect.deleteProperty(client, operation);
}

/** Makes a call and says when it has ended, and with what error. */
export function watched<T>(call: () => Awaitable<T>, ended: (error?: unknown) => void): Awaitable<T> {
  let answer: Awaitable<T>;
  try {
    answer = call();
  } catch (error) {
    ended(error ?? new Error());
    throw error;
  }
  if (!isPromise(answer)) {
    ended();
    return answer;
  }
  return answer.then(
    (value) => {
      ended();
      return value;
    },
    (error) => {
      ended(error ?? new Error());
      throw error;
    },
  );
}
