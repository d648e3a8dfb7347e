import {
  Body,
  Controller,
  Get,
  HttpCode,
  Inject,
  Post,
  UnauthorizedException,
  UseGuards,
} from "@nestjs/common";
import type { Session, SessionSummary, Sessions } from "holdfast";
import { LoginGuard } from "./login.guard.js";
import { CurrentSession } from "./session.decorator.js";
import { SESSIONS } from "./session.module.js";
import { Users } from "./users.js";

interface Credentials {
  readonly name?: unknown;
  readonly password?: unknown;
}

@Controller()
export class AccountController {
  readonly #users: Users;
  readonly #sessions: Sessions;

  constructor(users: Users, @Inject(SESSIONS) sessions: Sessions) {
    this.#users = users;
    this.#sessions = sessions;
  }

  @Get()
  visit(@CurrentSession() session: Session) {
    session.data.visits = (session.data.visits ?? 0) + 1;
    return { visits: session.data.visits, user: session.userId ?? null };
  }

  @Post("login")
  @HttpCode(204)
  async login(@CurrentSession() session: Session, @Body() { name, password }: Credentials): Promise<void> {
    const user = this.#users.findByPassword(String(name), String(password));
    if (user === undefined) throw new UnauthorizedException("Wrong name or password.");
    // Whoever was logged in before.
    if (session.userId !== undefined) await session.logout();
    await session.login(user.id);
  }

  @Post("logout")
  @HttpCode(204)
  async logout(@CurrentSession() session: Session): Promise<void> {
    await session.logout();
  }

  @Get("account")
  @UseGuards(LoginGuard)
  async account(@CurrentSession() session: Session): Promise<{ user: string; devices: SessionSummary[] }> {
    const user = session.userId!;
    return { user, devices: await this.#sessions.ofUser(user).list() };
  }
}
