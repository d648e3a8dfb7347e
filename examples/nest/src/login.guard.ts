import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from "@nestjs/common";
import type { RequestWithSession } from "./session.decorator.js";

/** Lets only users in who are logged in: `@UseGuards(LoginGuard)`. Everybody else gets a 401. */
@Injectable()
export class LoginGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { session } = context.switchToHttp().getRequest<RequestWithSession>();
    if (session.userId === undefined) throw new UnauthorizedException();
    return true;
  }
}
