import type { Awaitable } from "../../stores/contract.js";
import type { Engine } from "../engine.js";
import { Exchange } from "../exchange.js";
import type { SessionRequest } from "../request.js";
import type { DefaultData } from "../session.js";
import type { ResponseHeaders } from "../transport.js";
import type { Explainer } from "./explainer.js";
import { explain, type Observation } from "./explanation.js";

/** @throws CsrfError, of which it tells. */
export function explainedExchange<Data extends object>(
  engine: Engine,
  request: SessionRequest,
  explainer: Explainer,
): Exchange<Data> {
  try {
    return new ExplainedExchange<Data>(engine, request, explainer);
  } catch (error) {
    explainer.tell(explain(observation(engine, request, explainer, { failure: error })));
    throw error;
  }
}

/** An exchange that is watched, and explained when its response's headers leave: the same, but for what it tells. */
class ExplainedExchange<Data extends object = DefaultData> extends Exchange<Data> {
  readonly #engine: Engine;
  readonly #request: SessionRequest;
  readonly #explainer: Explainer;
  #found: Observation["found"];
  #failure: unknown;
  #isTold = false;

  /** @internal @throws CsrfError */
  constructor(engine: Engine, request: SessionRequest, explainer: Explainer) {
    super(engine, request);
    this.#engine = engine;
    this.#request = request;
    this.#explainer = explainer;
  }

  override open(): Awaitable<void> {
    try {
      const opened = super.open();
      if (!(opened instanceof Promise)) return this.#note();
      return opened.then(
        () => this.#note(),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  /** As the session is before the handler gets it. */
  #note(): void {
    const { active } = this;
    if (active === undefined || this.#found !== undefined) return;
    const { record, meta } = active;
    this.#found = { record, meta, id: record === undefined ? undefined : active.id };
  }

  /** No headers of the session's follow where it could not be opened. */
  #fail(error: unknown): never {
    this.#failure ??= error;
    this.#tell();
    throw error;
  }

  override confirm(token: unknown): void {
    try {
      super.confirm(token);
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }

  override commit(): Awaitable<void> {
    const note = (error: unknown) => {
      this.#failure ??= error;
      throw error;
    };
    try {
      const committing = super.commit();
      return committing instanceof Promise ? committing.catch(note) : committing;
    } catch (error) {
      note(error);
    }
  }

  override writeHeaders(headers: ResponseHeaders): void {
    const cookies: string[] = [];
    let sentToken = false;
    const watched: ResponseHeaders = {
      get: (name) => headers.get(name),
      set(name, value) {
        sentToken ||= name === "Session-Token" && value !== "";
        headers.set(name, value);
      },
      append(name, value) {
        if (name === "Set-Cookie") cookies.push(value);
        headers.append(name, value);
      },
    };
    try {
      super.writeHeaders(watched);
    } catch (error) {
      this.#failure ??= error;
      throw error;
    } finally {
      this.#tell({ cookies, sentToken });
    }
  }

  override withoutResponse(): this {
    this.#tell({ ending: "upgrade" });
    return super.withoutResponse();
  }

  override headersWereSent(): void {
    this.#tell({ ending: "headers-sent" });
  }

  override reportLateChanges(): void {
    super.reportLateChanges();
    if (this.active?.dropped === "headers-sent") {
      this.#isTold = false;
      this.#tell({ ending: "late" });
    }
  }

  #tell(more: Partial<Observation> = {}): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const seen = observation(this.#engine, this.#request, this.#explainer, {
      active: this.active,
      found: this.#found,
      failure: this.#failure,
      ...more,
    });
    this.#explainer.tell(explain(seen));
  }
}

function observation(
  engine: Engine,
  request: SessionRequest,
  { sameSite }: Explainer,
  more: Partial<Observation>,
): Observation {
  return {
    engine,
    request,
    sameSite,
    active: undefined,
    found: undefined,
    failure: undefined,
    cookies: [],
    sentToken: false,
    ending: undefined,
    ...more,
  };
}
