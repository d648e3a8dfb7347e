/** A request, as the login needs it. An adapter makes one. */
export interface OidcRequest {
  readonly method: string;
  /** Path and query, as the browser asked for them. */
  readonly path: string;
  header(name: string): string | undefined;
  /** The fields of a posted form; empty for any other body, or one that is too large. */
  form(): Promise<URLSearchParams>;
}

/** A whole answer. An adapter sends it. */
export interface OidcAnswer {
  readonly status: number;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: string;
}

/** Whether a person opens a page by it: only they can be led to a login. */
export function isPageRequest(request: Pick<OidcRequest, "method" | "header">): boolean {
  return request.method === "GET" && /\btext\/html\b/.test(request.header("accept") ?? "");
}

/** 303 makes a GET of whatever came (RFC 9110 15.4.4). */
export function redirect(location: string, cookies: readonly string[] = []): OidcAnswer {
  return {
    status: 303,
    headers: [
      ["Location", location],
      ["Cache-Control", "no-store"],
      ...cookies.map((line) => ["Set-Cookie", line] as const),
    ],
    body: "",
  };
}

/** An answer for machines: no body. */
export function statusOnly(status: number, headers: OidcAnswer["headers"] = []): OidcAnswer {
  return { status, headers: [["Cache-Control", "no-store"], ...headers], body: "" };
}
