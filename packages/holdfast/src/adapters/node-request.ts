import type { IncomingMessage } from "node:http";
import type { SessionRequest } from "../engine/request.js";

/** A request of `node:http` or a framework on it, as the engine reads it. */
export class NodeRequest<Message extends IncomingMessage = IncomingMessage> implements SessionRequest {
  protected readonly request: Message;

  constructor(request: Message) {
    this.request = request;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  get encrypted(): boolean {
    return (this.request.socket as { encrypted?: boolean }).encrypted === true;
  }

  get remoteAddress(): string | undefined {
    return this.request.socket.remoteAddress;
  }
}
