import type { IncomingMessage } from "node:http";
import type { SessionRequest } from "../engine/request.js";

/** A request of `node:http` or a framework on it, as the engine reads it. */
export class NodeRequest<Message extends IncomingMessage = IncomingMessage> implements SessionRequest {
  protected readonly request: Message;

  constructor(request: Message) {
    this.request = request;
  }

  get method(): string {
    return this.request.method ?? "GET";
  }

  get target(): string {
    // Where a router is mounted, it takes its path off the url.
    const { originalUrl, url } = this.request as { originalUrl?: string; url?: string };
    return originalUrl ?? url ?? "/";
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
