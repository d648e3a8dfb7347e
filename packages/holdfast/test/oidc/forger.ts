import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { listen } from "../support/browser.js";

/** An answer of the token endpoint. */
export interface TokenAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body: unknown;
}

/** A hostile identity provider: its papers are in order, and its token endpoint answers what the test says. */
export interface Forger {
  readonly issuer: string;
  /** What the token endpoint answers. */
  answer: (form: URLSearchParams) => TokenAnswer | Promise<TokenAnswer>;
  /** The forms that the token endpoint was sent. */
  readonly asked: URLSearchParams[];
  /** How often its keys were fetched. */
  keysFetched: number;
  /** Claims as a genuine ID token has them. */
  claims(nonce: string, more?: JWTPayload): JWTPayload;
  /** A token signed with its own key, or another. */
  sign(
    claims: JWTPayload,
    options?: { key?: Parameters<SignJWT["sign"]>[0]; alg?: string; kid?: string },
  ): Promise<string>;
  /** Its public key, as it is published. */
  readonly published: object;
  close(): Promise<void>;
}

export const FORGER_KID = "the forger's key";

export async function startForger(): Promise<Forger> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const published = { ...(await exportJWK(publicKey)), kid: FORGER_KID, alg: "ES256", use: "sig" };
  const asked: URLSearchParams[] = [];
  const { url: issuer, close } = await listen(async (request, response) => {
    const json = (body: unknown, status = 200, headers: Record<string, string> = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    switch (request.url) {
      case "/.well-known/openid-configuration":
        return json({
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/keys`,
          response_types_supported: ["code"],
          subject_types_supported: ["public"],
          id_token_signing_alg_values_supported: ["ES256", "HS256", "none"],
          authorization_response_iss_parameter_supported: true,
        });
      case "/keys":
        forger.keysFetched++;
        return json({ keys: [published] });
      case "/token": {
        const form = new URLSearchParams(Buffer.concat(chunks).toString());
        asked.push(form);
        const { body, status, headers } = await forger.answer(form);
        return json(body, status, headers);
      }
      default:
        return json({}, 404);
    }
  });
  const forger: Forger = {
    issuer,
    asked,
    published,
    keysFetched: 0,
    answer: () => ({ status: 400, body: { error: "invalid_grant" } }),
    claims(nonce, more = {}) {
      const now = Math.floor(Date.now() / 1000);
      return { iss: issuer, sub: "ann", aud: "shop", iat: now, exp: now + 300, nonce, ...more };
    },
    sign(claims, { key = privateKey, alg = "ES256", kid = FORGER_KID } = {}) {
      return new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(key);
    },
    close,
  };
  return forger;
}
