import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from "@nestjs/common";
import { APP_FILTER } from "@nestjs/core";
import type { Sessions } from "holdfast";
import { SessionErrorFilter } from "./session-error.filter.js";

/** Injects the sessions, as in `@Inject(SESSIONS) sessions: Sessions`, for `sessions.ofUser(…)`. */
export const SESSIONS = Symbol("sessions");

@Module({})
export class SessionModule implements OnApplicationShutdown {
  readonly #sessions: Sessions;

  constructor(@Inject(SESSIONS) sessions: Sessions) {
    this.#sessions = sessions;
  }

  static forRoot(sessions: Sessions): DynamicModule {
    return {
      module: SessionModule,
      global: true,
      providers: [
        { provide: SESSIONS, useValue: sessions },
        { provide: APP_FILTER, useClass: SessionErrorFilter },
      ],
      exports: [SESSIONS],
    };
  }

  /** Comes after the last response of `app.close()`. */
  async onApplicationShutdown(): Promise<void> {
    await this.#sessions.close();
  }
}
