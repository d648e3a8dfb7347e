import { type DynamicModule, Module } from "@nestjs/common";
import type { Sessions } from "holdfast";
import { AccountController } from "./account.controller.js";
import { SessionModule } from "./session.module.js";
import { Users } from "./users.js";

@Module({ controllers: [AccountController], providers: [Users] })
export class AppModule {
  static with(sessions: Sessions): DynamicModule {
    return { module: AppModule, imports: [SessionModule.forRoot(sessions)] };
  }
}
