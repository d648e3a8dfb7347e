/** A response, read to its end. */
export interface Page {
  readonly url: string;
  readonly status: number;
  readonly body: string;
  readonly headers: Headers;
  readonly setCookie: string[];
}

/** Somebody with a browser that visits several sites, over real HTTP: it keeps cookies by host, port and path. */
export class Person {
  /** By origin: the cookies as name, value and path. */
  readonly cookies = new Map<string, Map<string, { name: string; value: string; path: string }>>();
  readonly #home: string;
  /** The addresses that were visited, in order. */
  readonly visited: string[] = [];

  constructor(home: string) {
    this.#home = home;
  }

  /** The cookies of the application itself. */
  get home(): Map<string, { name: string; value: string; path: string }> {
    return this.#jar(this.#home);
  }

  /** One page; redirects are not followed. */
  async open(
    address: string,
    {
      method = "GET",
      headers = {},
      form,
    }: { method?: string; headers?: Record<string, string>; form?: object } = {},
  ): Promise<Page> {
    const url = new URL(address, this.#home);
    const jar = this.#jar(url.origin);
    const cookie = [...jar.values()]
      .filter(({ path }) => url.pathname === path || url.pathname.startsWith(path.replace(/\/?$/, "/")))
      .map(({ name, value }) => `${name}=${value}`)
      .join("; ");
    this.visited.push(url.href);
    const response = await fetch(url, {
      method,
      redirect: "manual",
      headers: { accept: "text/html", ...(cookie && { cookie }), ...headers },
      ...(form && { body: new URLSearchParams(form as Record<string, string>) }),
    });
    const setCookie = response.headers.getSetCookie();
    for (const line of setCookie) take(jar, line);
    return {
      url: url.href,
      status: response.status,
      body: await response.text(),
      headers: response.headers,
      setCookie,
    };
  }

  /** Goes where redirects lead, up to the page that `until` says, or the last one. */
  async visit(address: string, until: (url: string) => boolean = () => false): Promise<Page> {
    let page = await this.open(address);
    for (let hops = 0; hops < 20 && page.status >= 300 && page.status < 400; hops++) {
      const next = new URL(page.headers.get("location")!, page.url).href;
      if (until(next)) return { ...page, url: next };
      page = await this.open(next);
    }
    return page;
  }

  post(address: string, form: object = {}, headers: Record<string, string> = {}): Promise<Page> {
    return this.open(address, { method: "POST", form, headers });
  }

  /** Another browser with the same cookies. */
  twin(): Person {
    const twin = new Person(this.#home);
    for (const [origin, jar] of this.cookies) twin.cookies.set(origin, new Map(jar));
    return twin;
  }

  #jar(address: string) {
    const { origin } = new URL(address);
    const jar = this.cookies.get(origin) ?? new Map();
    this.cookies.set(origin, jar);
    return jar;
  }
}

function take(jar: Map<string, { name: string; value: string; path: string }>, line: string): void {
  const [pair = "", ...attributes] = line.split(/; */);
  const at = pair.indexOf("=");
  const name = pair.slice(0, at);
  const path = attributes.find((each) => /^path=/i.test(each))?.slice(5) ?? "/";
  const isPast = attributes.some((each) => /^max-age=0$|^expires=Thu, 01 Jan 1970/i.test(each));
  const key = `${name} ${path}`;
  if (isPast) jar.delete(key);
  else jar.set(key, { name, path, value: pair.slice(at + 1) });
}
