import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ConfigurationError } from "../errors.js";
import { createKeyring } from "./keyring.js";
import { secretsFrom } from "./refreshed-secrets.js";
import { secretsFromFile } from "./secret-file.js";
import type { SecretSource } from "./secret-source.js";
import { newToken } from "./token.js";

const OLD = "Tq8wE1rY5uI3oP7aS9dF2gH6jK4lZ0xC-vBnM_QwErT";
const NEW = "Zk3vQ9xT7mLw2Rb8Yc5Nd1Hf6Js4Gp0Ue-aVi_oXqK";

let directory: string;
let keyrings: Array<{ close(): void }>;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-secrets-"));
  keyrings = [];
});
afterEach(() => {
  for (const keyring of keyrings) keyring.close();
  rmSync(directory, { recursive: true });
});

/** A keyring on a source, and a promise of what it tells next. */
function watched(source: SecretSource) {
  const told: string[] = [];
  let wake: () => void = () => {};
  const tell = (text: string) => {
    told.push(text);
    wake();
  };
  const keyring = createKeyring(source, true, {
    onChange: (count) => tell(`changed: ${count}`),
    onRefusal: (reason) => tell(reason),
  });
  keyrings.push(keyring);
  const next = async (count: number) => {
    while (told.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return told[count - 1];
  };
  return { keyring, told, next };
}

const signed = (secret: string) => createKeyring([secret], true).sign(newToken());

describe("secrets from a file", () => {
  it("are read now, and again when it is written to", async () => {
    const path = join(directory, "secrets");
    writeFileSync(path, `${OLD}\n`);
    const { keyring, next } = watched(secretsFromFile(path, { refresh: 50 }));
    expect(keyring.verify(signed(OLD))).toMatchObject({ signedByOlderKey: false });
    writeFileSync(path, `# new\n${NEW}\n${OLD}\n`);
    expect(await next(1)).toBe("changed: 2");
    expect(keyring.verify(signed(NEW))).toMatchObject({ signedByOlderKey: false });
    expect(keyring.verify(signed(OLD))).toMatchObject({ signedByOlderKey: true });
  });

  it("follow a file that is replaced by another", async () => {
    const path = join(directory, "secrets");
    writeFileSync(path, OLD);
    const { keyring, next } = watched(secretsFromFile(path, { refresh: 50 }));
    writeFileSync(`${path}.new`, NEW);
    renameSync(`${path}.new`, path);
    expect(await next(1)).toBe("changed: 1");
    expect(keyring.verify(signed(NEW))).toHaveProperty("id");
    expect(keyring.verify(signed(OLD))).toHaveProperty("refused");
  });

  it("follow links as Kubernetes lays them: a link to ..data/secrets, and ..data leads to another directory", async () => {
    const publish = (version: string, text: string) => {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, "secrets"), text);
      symlinkSync(version, join(directory, "..data_tmp"));
      renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    };
    publish("..2026_11_25", OLD);
    symlinkSync(join("..data", "secrets"), join(directory, "secrets"));
    const { keyring, next } = watched(secretsFromFile(join(directory, "secrets"), { refresh: 50 }));
    for (const [round, secrets] of [[NEW, OLD], [NEW], [OLD, NEW]].entries()) {
      publish(`..2026_11_26_${round}`, secrets.join("\n"));
      expect(await next(round + 1)).toBe(`changed: ${secrets.length}`);
      expect(keyring.verify(signed(secrets[0]!))).toMatchObject({ signedByOlderKey: false });
    }
  });

  it("stay when the file is gone, empty, or weak; each is told once, and the next good ones are taken", async () => {
    const path = join(directory, "secrets");
    writeFileSync(path, OLD);
    const { keyring, told, next } = watched(secretsFromFile(path, { refresh: 50 }));
    unlinkSync(path);
    expect(await next(1)).toMatch(/can't be read \(ENOENT\)/);
    writeFileSync(path, "# nothing here\n");
    expect(await next(2)).toContain("gave no secret");
    writeFileSync(path, "keyboard cat\n");
    expect(await next(3)).toMatch(/^secrets\[0\]: the secret \(by the file .*secrets\) /);
    writeFileSync(path, "2027-99-99 hidden-words\n");
    expect(await next(4)).toContain("secrets, line 1: 2027-99-99 is not a date");
    expect(keyring.verify(signed(OLD))).toMatchObject({ signedByOlderKey: false });
    writeFileSync(path, NEW);
    expect(await next(5)).toBe("changed: 1");
    expect(keyring.verify(signed(NEW))).toHaveProperty("id");
    expect(told.join()).not.toMatch(/keyboard|hidden/);
  });

  it("that is just being written is read when it stands still", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const path = join(directory, "secrets");
    writeFileSync(path, OLD);
    const { keyring, told } = watched(secretsFromFile(path, { refresh: "1s" }));
    // A secret cut off is a good one of fewer characters.
    const long = `${NEW}${NEW}`;
    for (let length = 40; length <= long.length; length++) {
      writeFileSync(path, long.slice(0, length));
      await vi.advanceTimersByTimeAsync(200);
      expect(told).toEqual([]);
    }
    await vi.advanceTimersByTimeAsync(2000);
    vi.useRealTimers();
    expect(told).toEqual(["changed: 1"]);
    expect(keyring.verify(signed(long))).toHaveProperty("id");
  });

  it("must be there at the start", () => {
    const path = join(directory, "none");
    expect(() => secretsFromFile(path)).toThrow(ConfigurationError);
    expect(() => secretsFromFile(path)).toThrow(/none can't be read \(ENOENT\)/);
    expect(() => secretsFromFile(directory)).toThrow(/EISDIR/);
    expect(() => secretsFromFile("")).toThrow(ConfigurationError);
    writeFileSync(path, OLD);
    expect(() => secretsFromFile(path, { refresh: "0s" })).toThrow(/^secretsFromFile.refresh/);
  });

  it("can be asked for at once", async () => {
    const path = join(directory, "secrets");
    writeFileSync(path, OLD);
    const source = secretsFromFile(path);
    const { keyring } = watched(source);
    writeFileSync(path, NEW);
    await source.refresh();
    expect(keyring.verify(signed(NEW))).toHaveProperty("id");
  });
});

describe("secrets from a function", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("are asked for now, and again at intervals, one question at a time", async () => {
    const ask = vi.fn(async () => [OLD] as string[]);
    const { keyring, told } = watched(await secretsFrom(ask, { refresh: "5m" }));
    expect(ask).toHaveBeenCalledOnce();
    ask.mockResolvedValue([NEW, OLD]);
    await vi.advanceTimersByTimeAsync(5 * 60_000);
    expect(told).toEqual(["changed: 2"]);
    expect(keyring.verify(signed(NEW))).toMatchObject({ signedByOlderKey: false });
    const asked = ask.mock.calls.length;
    keyring.close();
    await vi.advanceTimersByTimeAsync(60 * 60_000);
    expect(ask).toHaveBeenCalledTimes(asked);
  });

  it("stay when it fails, gives none, or takes too long; told without a word of what was read", async () => {
    const ask = vi.fn(async (_call: { signal: AbortSignal }): Promise<any> => [OLD]);
    const source = await secretsFrom(ask, { refresh: "1m", timeout: "5s" });
    const { keyring, told } = watched(source);
    ask.mockImplementation(async () => JSON.parse(`[${NEW}`));
    await vi.advanceTimersByTimeAsync(60_000);
    ask.mockImplementation(async () => {
      throw Object.assign(new Error(`vault ${NEW}`), { code: "ECONNREFUSED" });
    });
    await vi.advanceTimersByTimeAsync(60_000);
    ask.mockResolvedValue([]);
    await vi.advanceTimersByTimeAsync(60_000);
    ask.mockResolvedValue({ secret: NEW });
    await vi.advanceTimersByTimeAsync(60_000);
    let signal: AbortSignal | undefined;
    ask.mockImplementation((call) => {
      signal = call.signal;
      return new Promise(() => {});
    });
    await vi.advanceTimersByTimeAsync(70_000);
    expect(signal?.aborted).toBe(true);
    expect(told.filter((text, index) => told.indexOf(text) === index)).toEqual([
      "secretsFrom: the function failed (SyntaxError)",
      "secretsFrom: the function failed (Error ECONNREFUSED)",
      "secrets: the function of secretsFrom gave no secret",
      "secretsFrom: the function gave no list of secrets",
      "secretsFrom: the function gave no answer within 5000 ms",
    ]);
    expect(keyring.verify(signed(OLD))).toMatchObject({ signedByOlderKey: false });
    ask.mockResolvedValue([NEW]);
    await vi.advanceTimersByTimeAsync(70_000);
    expect(keyring.verify(signed(NEW))).toHaveProperty("id");
  });

  it("fail at the start where it fails", async () => {
    await expect(secretsFrom(async () => Promise.reject(new Error("down")))).rejects.toThrow("down");
    await expect(secretsFrom((async () => "text") as never)).rejects.toThrow(ConfigurationError);
    await expect(secretsFrom("text" as never)).rejects.toThrow(ConfigurationError);
    await expect(secretsFrom(async () => [OLD], { refresh: "1ms" })).rejects.toThrow(/^secretsFrom.refresh/);
  });

  it("a source that two use asks once for both, and ends with the last", async () => {
    const ask = vi.fn(async () => [OLD] as string[]);
    const source = await secretsFrom(ask, { refresh: "1m" });
    const [one, other] = [watched(source), watched(source)];
    ask.mockResolvedValue([NEW]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(2);
    expect([one.told, other.told]).toEqual([["changed: 1"], ["changed: 1"]]);
    one.keyring.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(3);
    other.keyring.close();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(ask).toHaveBeenCalledTimes(3);
    expect(createKeyring(source, true).verify(signed(NEW))).toHaveProperty("id");
  });
});
