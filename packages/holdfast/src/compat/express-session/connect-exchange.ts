import type { HeldExchange } from "../../adapters/held-response.js";
import type { ResponseHeaders } from "../../engine/transport.js";
import type { Awaitable } from "../../stores/contract.js";
import { cookieValues } from "../../token/cookie.js";
import { unescaped } from "./cookie.js";
import { deprecate } from "./deprecate.js";
import type { Settings } from "./index.js";
import { type Callback, type ConnectRequest, type Session, savedTexts, textOf } from "./session.js";
import { type ConnectSecret, signConnectId, verifyConnectId } from "./signature.js";
import type { StoredData } from "./store.js";

/**
 * One request's session by the rules of express-session: what is saved or touched, and when its cookie is set. Held back like
 * any other: the response leaves when the store has answered.
 */
export class ConnectExchange implements HeldExchange {
  readonly #settings: Settings;
  readonly #secrets: readonly ConnectSecret[];
  readonly #req: ConnectRequest;
  readonly #isSecure: (req: ConnectRequest, proxy: boolean | undefined) => boolean;
  /** The id that came with the cookie. */
  #cookieId: string | undefined;
  #originalId: string | undefined;
  #originalText: string | undefined;
  /** What a session that was found holds in the store, where it isn't saved again unchanged. */
  #storedText: string | undefined;
  /** What the session held when the headers left. */
  #committed: { id: string; text: string } | undefined;
  #destroyed = false;
  #setCookie: string | undefined;

  constructor(
    settings: Settings,
    secrets: readonly ConnectSecret[],
    req: ConnectRequest,
    isSecure: (req: ConnectRequest, proxy: boolean | undefined) => boolean,
  ) {
    this.#settings = settings;
    this.#secrets = secrets;
    this.#req = req;
    this.#isSecure = isSecure;
  }

  /** Finds the session of the request's cookie, or begins a new one. */
  open(done: Callback): void {
    const { store, resave } = this.#settings;
    const req = this.#req;
    req.sessionStore = store;
    this.#cookieId = this.#idFromCookie();
    if (this.#cookieId === undefined) {
      delete req.sessionID;
      this.#begin(() => store.generate(req), done);
      return;
    }
    req.sessionID = this.#cookieId;
    store.get(this.#cookieId, (error, data) => {
      if (error && (error as { code?: unknown }).code !== "ENOENT") return done(error);
      if (error || !data) return this.#begin(() => store.generate(req), done);
      this.#begin(() => {
        store.createSession(req, data);
        // Of what the store holds, not of the session: data under the name of a method is left out there.
        this.#originalText = textOf(data);
        if (!resave) this.#storedText = this.#originalText;
      }, done);
    });
  }

  #begin(start: () => void, done: Callback): void {
    try {
      start();
      this.#originalId = this.#req.sessionID;
      this.#originalText ??= textOf(this.#req.session!);
    } catch (error) {
      done(error);
      return;
    }
    done();
  }

  commit(): Awaitable<void> {
    const { store } = this.#settings;
    const { session, sessionID } = this.#req;
    if (!session) return this.#destroyUnset();
    // By the cookie as the handler has left it, which the touch may change.
    const isCookieDue = typeof sessionID === "string" && this.#isCookieDue(session, textOf(session));
    session.touch();
    // An id that is no text can't be put into a cookie: such a session is left alone.
    if (typeof sessionID !== "string") return;
    const text = textOf(session);
    this.#committed = { id: session.id, text };
    if (isCookieDue) this.#setCookie = this.#cookieLine(session, sessionID);
    if (this.#isToBeSaved(session, text)) return promised((done) => void session.save(done));
    if (typeof store.touch === "function" && this.#cookieId === sessionID)
      return promised((done) => store.touch!(sessionID, session as StoredData, done));
  }

  /** What changed after the headers had left: it is stored before the response ends. */
  commitLate(): Awaitable<void> {
    const { session, sessionID } = this.#req;
    try {
      if (!session) return this.#destroyUnset();
      if (typeof sessionID !== "string") return;
      const text = textOf(session);
      const hasChanged = session.id !== this.#committed?.id || text !== this.#committed.text;
      if (hasChanged && this.#isToBeSaved(session, text)) return promised((done) => void session.save(done));
    } catch (error) {
      // The headers have left: whoever ends the response can't answer it any more.
      return Promise.reject(error);
    }
  }

  /** Where the application has removed `req.session`, and asked for it to end by that. */
  #destroyUnset(): Awaitable<void> {
    const { store, unsetDestroys } = this.#settings;
    const { session, sessionID } = this.#req;
    if (!unsetDestroys || !sessionID || (session !== undefined && session !== null) || this.#destroyed)
      return;
    this.#destroyed = true;
    return promised((done) => store.destroy(sessionID, done));
  }

  #isModified(session: Session, text: string): boolean {
    return this.#originalId !== session.id || this.#originalText !== text;
  }

  #isToBeSaved(session: Session, text: string): boolean {
    const savedText = savedTexts.get(this.#req) ?? this.#storedText;
    const isSaved = this.#originalId === session.id && savedText === text;
    const isNew = this.#cookieId !== this.#req.sessionID;
    return !this.#settings.saveUninitialized && savedText === undefined && isNew
      ? this.#isModified(session, text)
      : !isSaved;
  }

  #isCookieDue(session: Session, text: string): boolean {
    const { proxy, rolling, saveUninitialized } = this.#settings;
    const { cookie } = session;
    const isModified = this.#isModified(session, text);
    const isDue =
      this.#cookieId !== this.#req.sessionID
        ? saveUninitialized || isModified
        : rolling || (cookie.expires !== undefined && cookie.expires !== null && isModified);
    return isDue && !(cookie.secure && !this.#isSecure(this.#req, proxy));
  }

  #cookieLine({ cookie }: Session, sessionID: string): string {
    return cookie.serialize(this.#settings.name, signConnectId(sessionID, this.#secrets[0]!));
  }

  /** From the Cookie header, or from what cookie-parser has made of it. */
  #idFromCookie(): string | undefined {
    const { name } = this.#settings;
    const { headers, signedCookies, cookies } = this.#req;
    const [raw] = cookieValues(headers.cookie, name, 1);
    const id = raw === undefined ? undefined : verifyConnectId(unescaped(raw), this.#secrets);
    if (id !== undefined) return id;
    const parsed = signedCookies?.[name] || this.#verified(cookies?.[name]);
    if (typeof parsed !== "string") return undefined;
    deprecate("cookie should be available in req.headers.cookie");
    return parsed;
  }

  #verified(value: unknown): string | undefined {
    return typeof value === "string" ? verifyConnectId(value, this.#secrets) : undefined;
  }

  writeHeaders(headers: ResponseHeaders): void {
    if (this.#setCookie !== undefined) headers.append("Set-Cookie", this.#setCookie);
  }

  reportLateChanges(): void {}
}

function promised(run: (done: Callback) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    run((error) => (error ? reject(error) : resolve()));
  });
}
