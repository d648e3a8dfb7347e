/** What the original calls deprecated, in its words, as a warning of the runtime: `process.noDeprecation` silences it. */
export function deprecate(message: string): void {
  process.emitWarning(
    `express-session deprecated ${message}`,
    "DeprecationWarning",
    "HOLDFAST_EXPRESS_SESSION",
  );
}
