import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import { type AnySessionEvent, DIAGNOSTICS_CHANNEL, EventBus, type SessionEvents } from "./events.js";

const EVENT: SessionEvents["created"] = { at: new Date(0), sessionId: "id" };

let warning: MockInstance;
beforeEach(() => {
  warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
});
afterEach(() => {
  warning.mockRestore();
});

const warnings = () => warning.mock.calls.map(([text]) => String(text));
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("EventBus", () => {
  it("tells every listener of the event, in their order, and none of another", () => {
    const bus = new EventBus();
    const log: unknown[] = [];
    bus.on("created", (event) => log.push(["first", event]));
    bus.on("login", () => log.push("login"));
    bus.on("created", (event) => log.push(["second", event]));
    bus.emit("created", EVENT);
    expect(log).toEqual([
      ["first", EVENT],
      ["second", EVENT],
    ]);
  });

  it("takes an event that nobody listens to", () => {
    expect(() => new EventBus().emit("created", EVENT)).not.toThrow();
  });

  it("tells a listener once, however often it was added", () => {
    const bus = new EventBus();
    const listener = vi.fn();
    bus.on("created", listener);
    bus.on("created", listener);
    bus.emit("created", EVENT);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it("tells a listener no more after off", () => {
    const bus = new EventBus();
    const [gone, stays] = [vi.fn(), vi.fn()];
    bus.on("created", gone);
    bus.on("created", stays);
    bus.off("created", gone);
    bus.off("created", () => {});
    bus.off("login", gone);
    bus.emit("created", EVENT);
    expect(gone).not.toHaveBeenCalled();
    expect(stays).toHaveBeenCalledTimes(1);
  });

  it("takes a listener that removes itself", () => {
    const bus = new EventBus();
    const once = vi.fn(() => bus.off("created", once));
    const other = vi.fn();
    bus.on("created", once);
    bus.on("created", other);
    bus.emit("created", EVENT);
    bus.emit("created", EVENT);
    expect(once).toHaveBeenCalledTimes(1);
    expect(other).toHaveBeenCalledTimes(2);
  });

  it("tells a listener that was added during the event of the next one only", () => {
    const bus = new EventBus();
    let calls = 0;
    const again = () => {
      calls++;
      bus.off("created", again);
      if (calls < 10) bus.on("created", again); // else it would go on for ever
    };
    bus.on("created", again);
    bus.emit("created", EVENT);
    expect(calls).toBe(1);
  });
});

describe("a listener of all events", () => {
  it("is told each with its name, after those of the one event, until it is taken off", () => {
    const bus = new EventBus();
    const log: unknown[] = [];
    const all = (event: AnySessionEvent) => void log.push(event);
    bus.on("*", all);
    bus.on("created", () => log.push("created"));
    bus.emit("created", EVENT);
    bus.off("*", all);
    bus.emit("created", EVENT);
    expect(log).toEqual(["created", { name: "created", ...EVENT }, "created"]);
    expect(EVENT).not.toHaveProperty("name");
  });

  it("breaks nothing where it fails, and the warning names the event", () => {
    const bus = new EventBus();
    bus.on("*", () => {
      throw new Error("listener broke");
    });
    expect(() => bus.emit("created", EVENT)).not.toThrow();
    expect(warnings()[0]).toContain('"created"');
  });
});

describe("the diagnostics channel", () => {
  it("gets every event of every bus with its name, while somebody subscribes", () => {
    const log: unknown[] = [];
    const subscriber = (message: unknown) => void log.push(message);
    subscribe(DIAGNOSTICS_CHANNEL, subscriber);
    new EventBus().emit("created", EVENT);
    new EventBus().emit("login", { at: EVENT.at, sessionId: "id", userId: "ada" });
    unsubscribe(DIAGNOSTICS_CHANNEL, subscriber);
    new EventBus().emit("created", EVENT);
    expect(log).toEqual([
      { name: "created", ...EVENT },
      { name: "login", at: EVENT.at, sessionId: "id", userId: "ada" },
    ]);
  });

  it("costs nothing while nobody does: the event is not even read", () => {
    const event = Object.defineProperty({ at: EVENT.at }, "sessionId", {
      enumerable: true,
      get: () => expect.fail("read"),
    }) as SessionEvents["created"];
    expect(() => new EventBus().emit("created", event)).not.toThrow();
  });
});

describe("a listener that fails", () => {
  it.each<[string, unknown]>([
    ["an Error", new Error("listener broke")],
    ["text", "listener broke"],
    ["undefined", undefined],
    ["null", null],
    ["a symbol", Symbol("listener broke")],
    ["an object that can't be text", Object.create(null)],
    [
      "an object whose text throws",
      {
        toString: () => {
          throw new Error("again");
        },
      },
    ],
  ])("breaks neither the others nor the request, when it throws %s", (_name, thrown) => {
    const bus = new EventBus();
    const other = vi.fn();
    bus.on("created", () => {
      throw thrown;
    });
    bus.on("created", other);
    expect(() => bus.emit("created", EVENT)).not.toThrow();
    expect(other).toHaveBeenCalledWith(EVENT);
    expect(warnings()).toHaveLength(1);
  });

  it("is told of in a warning with the event's name and its error", () => {
    const bus = new EventBus();
    bus.on("created", () => {
      throw new Error("listener broke");
    });
    bus.emit("created", EVENT);
    expect(warnings()[0]).toContain('"created"');
    expect(warnings()[0]).toContain("listener broke");
    expect(warning.mock.calls[0]![1]).toEqual({ type: "HoldfastWarning", code: "HOLDFAST_LISTENER" });
  });

  it("doesn't end the process when it is asynchronous and rejects", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const bus = new EventBus();
    bus.on("created", async () => {
      throw new Error("listener broke later");
    });
    bus.emit("created", EVENT);
    await settled();
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]).toContain("listener broke later");
  });

  it("doesn't let others wait when it is asynchronous", () => {
    const bus = new EventBus();
    const other = vi.fn();
    bus.on("created", () => new Promise<void>(() => {}));
    bus.on("created", other);
    bus.emit("created", EVENT);
    expect(other).toHaveBeenCalledTimes(1);
    expect(warnings()).toEqual([]);
  });
});
