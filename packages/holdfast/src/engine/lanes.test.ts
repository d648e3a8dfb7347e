import { describe, expect, it } from "vitest";
import { Lanes } from "./lanes.js";

/** Longer than any of these tests may take. */
const PATIENT = 60_000;

function deferred<T = void>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}

/** True once a task starts without waiting: nobody is in the lane, and nothing of earlier ones is left. */
function isEmpty(lanes: Lanes, key: string): boolean {
  let started = false;
  void lanes.run(key, async () => {
    started = true;
  });
  return started;
}

/** Lets every microtask that is due run. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("Lanes", () => {
  it("gives a task's result", async () => {
    expect(await new Lanes(PATIENT).run("id", async () => 42)).toBe(42);
  });

  it("takes no promise where a task is done at once", () => {
    const lanes = new Lanes(PATIENT);
    expect(lanes.run("id", () => 42)).toBe(42);
    expect(isEmpty(lanes, "id")).toBe(true);
  });

  it("starts the first task at once", () => {
    expect(isEmpty(new Lanes(PATIENT), "id")).toBe(true);
  });

  it("lets the tasks of one key run one after the other, in the order in which they came", async () => {
    const lanes = new Lanes(PATIENT);
    const log: string[] = [];
    const gates = [deferred(), deferred(), deferred()];
    const runs = gates.map(({ promise }, index) =>
      lanes.run("id", async () => {
        log.push(`start ${index}`);
        await promise;
        log.push(`end ${index}`);
      }),
    );
    gates[2]!.resolve();
    gates[1]!.resolve();
    await settled();
    expect(log).toEqual(["start 0"]);
    gates[0]!.resolve();
    await Promise.all(runs);
    expect(log).toEqual(["start 0", "end 0", "start 1", "end 1", "start 2", "end 2"]);
  });

  it("never runs two of a hundred at once", async () => {
    const lanes = new Lanes(PATIENT);
    let running = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 100 }, () =>
        lanes.run("id", async () => {
          most = Math.max(most, ++running);
          await settled();
          running--;
        }),
      ),
    );
    expect(most).toBe(1);
  });

  it("doesn't let the tasks of one key wait for another's", async () => {
    const lanes = new Lanes(PATIENT);
    const gate = deferred();
    const slow = lanes.run("slow", () => gate.promise);
    expect(await lanes.run("quick", async () => "done")).toBe("done");
    gate.resolve();
    await slow;
  });

  it("takes any key", async () => {
    const lanes = new Lanes(PATIENT);
    for (const key of ["", "__proto__", "constructor", "\ud800"])
      expect(await lanes.run(key, async () => key)).toBe(key);
  });

  it("hands on a task's error, and goes on with the next", async () => {
    const lanes = new Lanes(PATIENT);
    const failure = new Error("first");
    const first = lanes.run("id", async () => {
      await settled();
      throw failure;
    });
    const second = lanes.run("id", async () => "second");
    await expect(first).rejects.toBe(failure);
    expect(await second).toBe("second");
    expect(isEmpty(lanes, "id")).toBe(true);
  });

  it("hands on the error of a task that throws before it gives a promise", async () => {
    const lanes = new Lanes(PATIENT);
    const failure = new Error("at once");
    const task = (): Promise<never> => {
      throw failure;
    };
    const gate = deferred();
    expect(() => lanes.run("id", task)).toThrow(failure);
    const ahead = lanes.run("id", () => gate.promise);
    const queued = lanes.run("id", task);
    const last = lanes.run("id", async () => "last");
    gate.resolve();
    await ahead;
    await expect(queued).rejects.toBe(failure);
    expect(await last).toBe("last");
  });

  it("doesn't wait for ever behind a task that never ends", async () => {
    const lanes = new Lanes(5);
    void lanes.run("id", () => new Promise(() => {}));
    expect(await lanes.run("id", async () => "second")).toBe("second");
    expect(await lanes.run("id", async () => "third")).toBe("third");
  });

  it("lets all go ahead in the end, where several never end", async () => {
    const lanes = new Lanes(5);
    let started = 0;
    for (let task = 0; task < 5; task++) {
      void lanes.run("id", () => {
        started++;
        return new Promise(() => {});
      });
    }
    expect(await lanes.run("id", async () => started)).toBe(5);
  });

  it("leaves nothing behind: a lane that is empty again is as good as new", async () => {
    const lanes = new Lanes(PATIENT);
    await Promise.allSettled([
      lanes.run("id", async () => settled()),
      lanes.run("id", async () => settled()),
      lanes.run("id", () => Promise.reject(new Error("third"))),
    ]);
    expect(isEmpty(lanes, "id")).toBe(true);
  });

  it("leaves nothing behind after impatience, either", async () => {
    const lanes = new Lanes(5);
    const gate = deferred();
    const hanging = lanes.run("id", () => gate.promise);
    await lanes.run("id", async () => "went ahead");
    expect(isEmpty(lanes, "id")).toBe(true);
    await settled();
    gate.resolve();
    await hanging;
    expect(isEmpty(lanes, "id")).toBe(true);
  });

  it("keeps the lane while a task is in it, though an earlier one that was overtaken ends", async () => {
    const lanes = new Lanes(5);
    const hanging = deferred();
    const current = deferred();
    const started = deferred();
    const first = lanes.run("id", () => hanging.promise);
    const second = lanes.run("id", () => {
      started.resolve();
      return current.promise;
    });
    await started.promise; // by impatience
    hanging.resolve();
    await first;
    expect(isEmpty(lanes, "id")).toBe(false);
    current.resolve();
    await second;
  });
});
