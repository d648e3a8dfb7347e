import { createParamDecorator, type ExecutionContext } from "@nestjs/common";
import type { Session } from "holdfast";

/** What the adapters of Express and of Fastify give a request. */
export interface RequestWithSession {
  readonly session: Session;
}

/** The session of the request, as a parameter of a route: `@CurrentSession() session: Session`. */
export const CurrentSession = createParamDecorator(
  (_: unknown, context: ExecutionContext): Session =>
    context.switchToHttp().getRequest<RequestWithSession>().session,
);
