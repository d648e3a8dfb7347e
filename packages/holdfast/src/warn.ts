/** Tells the developer something, by the way of the runtime (`process.on("warning")` can collect it). */
export function warn(code: string, message: string): void {
  process.emitWarning(message, { type: "HoldfastWarning", code });
}

/** True where `NODE_ENV` says production: weak settings are refused there, and only warned about elsewhere. */
export function inProduction(): boolean {
  return process.env.NODE_ENV === "production";
}
