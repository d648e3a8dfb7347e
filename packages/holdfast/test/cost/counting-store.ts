import type { Store } from "../../src/stores/contract.js";

/** A store that notes which of its methods are called, in order. It answers as the one that it stands before: at once, or later. */
export function countingStore(store: Store): { store: Store; calls(): string[] } {
  let calls: string[] = [];
  const counting = new Proxy(store, {
    get(target, property: string) {
      const member = Reflect.get(target, property);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        calls.push(property);
        return member.apply(target, args);
      };
    },
  });
  return {
    store: counting,
    /** Since this was last asked. */
    calls() {
      const noted = calls;
      calls = [];
      return noted;
    },
  };
}
