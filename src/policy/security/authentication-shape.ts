import { FIELD_NAME, NAME, POSITIVE, SWITCHABLE } from "../resource/common-shapes.ts";
import { bool, described, isObject, list, object, oneOf, text } from "../resource/shape.ts";
import { ASYMMETRIC, SYMMETRIC } from "./jwt-provider.ts";
import { PROVIDER_FIELDS } from "./providers.ts";
import { secretRef } from "./secret-ref.ts";
import { claimMatch, enforcedAt, exactlyOne, httpUrl, securityTargets, someText } from "./security-shapes.ts";

const claims = described(
  (value, path, report) => {
    if (!isObject(value)) return report(path, "must be an object");
    if (JSON.stringify(value).length > 8_192) report(path, "is larger than 8,192 bytes");
  },
  () => ({ type: "object" }),
);
const COOKIE_NAME = text("the name of a cookie", /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 128);

const place = object(
  {
    header: FIELD_NAME,
    scheme: text("an authentication scheme", /^[A-Za-z0-9_-]+$/, 64),
    cookie: COOKIE_NAME,
    query: someText,
  },
  [],
  (value, path, report) => {
    exactlyOne(["header", "cookie", "query"])(value, path, report);
    const { scheme, header } = value as { scheme?: string; header?: string };
    if (scheme !== undefined && header === undefined) report([...path, "scheme"], "is for headers only");
  },
);
const places = list(place, 1, 8);

const jwks = object(
  {
    url: httpUrl,
    file: someText,
    inline: object(
      {
        keys: list(
          described(publicKey, () => ({ type: "object", required: ["kty"] })),
          1,
          64,
        ),
      },
      ["keys"],
    ),
    refresh: POSITIVE,
    cooldown: POSITIVE,
  },
  [],
  exactlyOne(["url", "file", "inline"]),
);

function publicKey(
  value: unknown,
  path: readonly (string | number)[],
  report: (at: typeof path, message: string) => void,
): void {
  if (!isObject(value)) return report(path, "must be a JSON Web Key");
  if (value.kty === "oct" || value.k !== undefined)
    return report(path, "is a shared secret; use `secret` in place of jwks");
  if (value.d !== undefined) return report(path, "is a private key; only public keys belong here");
  if (typeof value.kty !== "string") return report(path, "has no kty");
  // One key that cannot be read would have Envoy refuse all that it is told with it.
  for (const member of KEY_MEMBERS.get(value.kty) ?? []) {
    const text = value[member];
    if (typeof text !== "string" || !/^[\w-]+$/.test(text))
      report(path, `has no ${member}, which a key of kty ${value.kty} needs`);
  }
}

/** RFC 7518 sections 6.2.1 and 6.3.1, RFC 8037 section 2. */
const KEY_MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["EC", ["crv", "x", "y"]],
  ["RSA", ["n", "e"]],
  ["OKP", ["crv", "x"]],
]);

const jwt = object(
  {
    issuer: someText,
    audiences: list(someText, 1, 64),
    jwks,
    secret: secretRef,
    algorithms: list(
      described(algorithm, () => ({ enum: [...ASYMMETRIC, ...SYMMETRIC] })),
      1,
      16,
    ),
    leeway: SWITCHABLE,
    requiredClaims: list(claimMatch, 0, 32),
    requireExpiry: bool,
    type: someText,
    from: places,
    cacheFor: POSITIVE,
  },
  ["issuer"],
  (value, path, report) => {
    exactlyOne(["jwks", "secret"])(value, path, report);
    const { secret, algorithms = [] } = value as { secret?: unknown; algorithms?: string[] };
    algorithms.forEach((name, i) => {
      if (SYMMETRIC.includes(name) !== (secret !== undefined)) {
        const instead =
          secret === undefined ? "needs `secret`: with public keys anyone could make such tokens" : "needs `jwks`";
        report([...path, "algorithms", i], `${name} ${instead}`);
      }
    });
  },
);

function algorithm(
  value: unknown,
  path: readonly (string | number)[],
  report: (at: typeof path, message: string) => void,
): void {
  if (typeof value === "string" && value.toLowerCase() === "none")
    return report(path, "unsigned tokens are never accepted");
  oneOf([...ASYMMETRIC, ...SYMMETRIC])(value, path, report);
}

const sha256 = text("a SHA-256 in hex (64 digits), not the key itself", /^[0-9a-fA-F]{64}$/);
/** The value may be the secret itself by mistake: it is not repeated. */
const digest = described(
  (value, path, report) => {
    sha256(value, path, (at) => report(at, "must be a SHA-256 in hex (64 digits), not the key itself"));
  },
  () => sha256.schema ?? {},
);
export const apiKeyConsumer = object(
  {
    name: someText,
    sha256: described(
      (value, path, report) => (Array.isArray(value) ? list(digest, 1, 8) : digest)(value, path, report),
      () => ({ anyOf: [digest.schema ?? {}, { type: "array", items: digest.schema ?? {} }] }),
    ),
    claims,
  },
  ["name", "sha256"],
);
const apiKey = object(
  { from: places, consumers: list(apiKeyConsumer, 1, 10_000), file: someText },
  [],
  (value, path, report) => {
    const { consumers, file } = value as Record<string, unknown>;
    if (consumers === undefined && file === undefined) report(path, "must have consumers or a file of them");
  },
);

const hmac = object(
  {
    keys: list(object({ id: someText, secret: secretRef, claims }, ["id", "secret"]), 1, 1_000),
    covers: list(text("a component of RFC 9421 such as @method or content-digest", /^@?[a-z0-9-]+$/, 128), 1, 32),
    maxAge: POSITIVE,
    leeway: SWITCHABLE,
    requireNonce: bool,
  },
  ["keys"],
);

export const SCRYPT = /^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/=]{8,128})\$([A-Za-z0-9+/=]{20,172})$/;
const password = described(
  (value, path, report) => {
    if (typeof value !== "string" || !SCRYPT.test(value)) {
      report(
        path,
        'must be "scrypt$N$r$p$SALT$HASH", not the password itself (scryptHash of weftmesh/system makes it)',
      );
    }
  },
  () => ({ type: "string", pattern: SCRYPT.source }),
);
export const basicUser = object({ name: text("a name without a colon", /^[^:]+$/u, 256), password, claims }, [
  "name",
  "password",
]);
const basic = object(
  { users: list(basicUser, 1, 1_000), file: someText, insecure: bool, cacheFor: POSITIVE },
  [],
  (value, path, report) => {
    const { users, file } = value as Record<string, unknown>;
    if (users === undefined && file === undefined) report(path, "must have users or a file of them");
  },
);

const mtls = object({
  trustDomains: list(text("a trust domain", /^[a-z0-9._-]+$/, 255), 1, 64),
  identities: list(someText, 1, 1_000),
});

const COOKIE_PATH = text("a path that begins with / and has no query", /^\/[^?#\s;]*$/, 512);
const oidc = object(
  {
    issuer: httpUrl,
    clientId: someText,
    clientSecret: secretRef,
    cookieKeys: list(secretRef, 1, 8),
    scopes: list(text("a scope", /^[!-~]+$/, 128), 0, 32),
    callbackPath: COOKIE_PATH,
    logoutPath: COOKIE_PATH,
    afterLogout: someText,
    cookieName: COOKIE_NAME,
    session: POSITIVE,
    baseUrl: httpUrl,
  },
  ["issuer", "clientId", "cookieKeys"],
);

const provider = object(
  {
    name: NAME,
    jwt,
    apiKey,
    hmac,
    basic,
    mtls,
    oidc,
    use: text('another provider, as "jwt:shop"', /^(jwt|api-key|hmac|basic|mtls|oidc):[a-z0-9.-]+$/, 300),
    claimHeaders: list(object({ claim: someText, header: FIELD_NAME }, ["claim", "header"]), 0, 32),
    forwardToken: bool,
  },
  [],
  (value, path, report) => {
    exactlyOne([...PROVIDER_FIELDS, "use"])(value, path, report);
    const {
      jwt: token,
      apiKey: key,
      forwardToken,
      claimHeaders = [],
    } = value as Record<string, never> & {
      claimHeaders?: { header: string }[];
    };
    const from = ((token ?? key) as { from?: { query?: string }[] } | undefined)?.from ?? [];
    const inQuery = from.some((one) => one.query !== undefined);
    const forwards = (forwardToken as boolean | undefined) ?? token !== undefined;
    if (inQuery && !forwards) {
      report(
        path,
        "a credential in the query is part of the path and cannot be taken out; say forwardToken: true, or use a header",
      );
    }
    claimHeaders.forEach(({ header }, i) => {
      if (OWN_FIELDS.test(header)) report([...path, "claimHeaders", i, "header"], "is a field of the protocol's own");
    });
  },
);

/** Fields that a claim must not overwrite. */
const OWN_FIELDS =
  /^(host|authorization|cookie|content-.*|transfer-encoding|connection|te|upgrade|trailer|keep-alive|proxy-.*|grpc-.*|x-weft-.*|x-request-id|x-forwarded-.*|via|traceparent)$/i;

/** Authentication.spec */
export const authenticationSpec = object(
  { targetRefs: securityTargets, providers: list(provider, 1, 16), optional: bool, at: enforcedAt },
  ["providers"],
);
