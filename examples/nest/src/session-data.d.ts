export {};

declare module "holdfast" {
  /** What a session of this application holds. */
  interface SessionData {
    visits?: number;
  }
}
