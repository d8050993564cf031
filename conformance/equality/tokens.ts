import { generateKeyPairSync, sign } from "node:crypto";
import type { AuthenticationProvider } from "../../src/policy/security/authentication-resource.ts";
import type { EqualityRequest, TokenName } from "./model.ts";

/* End users, and those who would like to be: made anew by each process, so that no key lies about. */

export const ISSUER = "https://issuer.test";
const AUDIENCE = "shop";
const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
const others = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** What verifies tokens of ours. */
const KEY_SET = { keys: [{ ...own.publicKey.export({ format: "jwk" }), kid: "one", alg: "ES256", use: "sig" }] };

const ANN = { sub: "ann", role: "admin", groups: ["a", "b"], scope: "read write", level: 3, team: { name: "red" } };
const BOB = { sub: "bob", role: "user", groups: ["b"], scope: "read", level: 1 };

const TOKENS: Readonly<Record<TokenName, string>> = {
  ann: token(ANN),
  bob: token(BOB),
  expired: token({ ...ANN, exp: Math.floor(Date.now() / 1000) - 3_600 }),
  forged: token(ANN, others.privateKey),
  strangers: token({ ...ANN, iss: "https://other.test" }),
  elsewhere: token({ ...ANN, aud: "bank" }),
  garbled: token(BOB).slice(0, -40),
};

/** Its fields as they are sent. */
export function sentHeaders({ headers, token }: EqualityRequest): readonly (readonly [string, string])[] {
  return token === undefined ? headers : [...headers, ["authorization", `Bearer ${TOKENS[token]}`]];
}

/** What an Authentication verifies them by: its keys are of this process, so that a case printed by another is run again by its seed and number. */
export const PROVIDER: AuthenticationProvider = {
  name: "shop",
  jwt: { issuer: ISSUER, audiences: [AUDIENCE], jwks: { inline: KEY_SET } },
};

function token(claims: Readonly<Record<string, unknown>>, key = own.privateKey): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const all = { iss: ISSUER, aud: AUDIENCE, iat: now - 60, exp: now + 86_400, ...claims };
  const signed = `${part({ alg: "ES256", kid: "one", typ: "JWT" })}.${part(all)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}
