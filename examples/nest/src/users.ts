import { randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { Injectable } from "@nestjs/common";

export interface User {
  readonly id: string;
}

/** In place of a user database: one user, ada, whose password is "difference engine". */
@Injectable()
export class Users {
  readonly #salt = randomBytes(16);
  readonly #hashes = new Map([["ada", scryptSync("difference engine", this.#salt, 32)]]);

  findByPassword(name: string, password: string): User | undefined {
    const hash = scryptSync(password, this.#salt, 32);
    const right = this.#hashes.get(name);
    return right !== undefined && timingSafeEqual(hash, right) ? { id: name } : undefined;
  }
}
