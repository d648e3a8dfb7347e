import { isPlainObject } from "../../engine/codec.js";
import type { OldRecord } from "../../engine/migration.js";
import { ConfigurationError } from "../../errors.js";
import { passportUser } from "../passport-user.js";
import type { SourceOptions } from "./options.js";

/** An old session's data, with what the application's functions are to make of it. */
export function oldRecord(
  option: string,
  old: Record<string, any>,
  expires: number | undefined,
  { data = (session) => session, userId = passportUser }: SourceOptions,
): OldRecord {
  return {
    expires,
    contents() {
      const contents = data(old);
      if (contents === undefined) return undefined;
      if (!isPlainObject(contents))
        throw new ConfigurationError(`${option}.data`, "must give a plain object");
      return { data: contents, userId: userId(old) ?? undefined };
    },
  };
}
