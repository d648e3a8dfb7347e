import { STATUS_CODES } from "node:http";
import { type ArgumentsHost, Catch, HttpException, Logger } from "@nestjs/common";
import { BaseExceptionFilter } from "@nestjs/core";
import { HoldfastError } from "holdfast";

/** Nest answers errors that it doesn't know with 500. Holdfast's carry the status that fits: 503 where the store failed. */
@Catch(HoldfastError)
export class SessionErrorFilter extends BaseExceptionFilter {
  readonly #logger = new Logger(SessionErrorFilter.name);

  override catch(error: HoldfastError, host: ArgumentsHost): void {
    const { status } = error;
    // Nest logs what it doesn't know, and not an HttpException.
    if (status >= 500) this.#logger.error(error);
    super.catch(new HttpException(STATUS_CODES[status] ?? "Error", status, { cause: error }), host);
  }
}
