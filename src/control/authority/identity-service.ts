import { X509Certificate } from "node:crypto";
import {
  type AuthoritySchema,
  Identity,
  type IssueRequest,
  type IssueResponseSchema,
  type Renewal,
} from "../../contract/gen/weft/control/v1/identity.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { isProof } from "../../core/identity-proof.ts";
import { type ServiceDefinition, service } from "../../service/definition.ts";
import type { Authority } from "./authority.ts";
import type { JoinTokens } from "./join-tokens.ts";
import { parsePublicKey } from "./public-key.ts";

export interface IdentityServiceParts {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  /** Told who was refused, and why: never a token or a key. */
  readonly onRefused: (message: string) => void;
}

/** Issues identities: docs/identity.md. Who may make tokens and rotate is looked at before (access/access-control.ts). */
export function createIdentityService(parts: IdentityServiceParts): ServiceDefinition<typeof Identity> {
  const { authority, tokens, onRefused } = parts;
  const guarded = <A>(peer: string, what: string, body: () => A | Promise<A>): Promise<A> =>
    Promise.resolve()
      .then(body)
      .catch((thrown) => {
        const error = toWeftError(thrown);
        onRefused(`${what} refused to ${peer}: ${error.message} (${error.reason})`);
        throw error;
      });
  return service(
    Identity,
    {
      issue: (request, { peer }) => guarded(peer.address, "a certificate was", () => issue(request, parts)),
      createJoinToken: ({ service: name, ttlSeconds, uses }, { peer }) =>
        guarded(peer.address, "a join token was", () => {
          assertMost("ttl_seconds", ttlSeconds, MAX_TTL_SECONDS);
          assertMost("uses", uses, MAX_USES);
          const { token, expiresMs } = tokens.create(name, ttlSeconds || 3_600, uses || 1);
          return { token, expiresMs: BigInt(expiresMs) };
        }),
      getAuthority: () => authorityMessage(authority),
      rotateAuthority: (_request, { peer }) =>
        guarded(peer.address, "a rotation was", async () => {
          await authority.rotate();
          return authorityMessage(authority);
        }),
    },
    { maxRequestBytes: 65_536 },
  );
}

async function issue(
  { publicKey, proof, holder }: IssueRequest,
  { authority, tokens }: IdentityServiceParts,
): Promise<MessageInitShape<typeof IssueResponseSchema>> {
  const key = parsePublicKey(publicKey);
  if (!isProof("issue", publicKey, key, proof))
    throw refused("proof is no signature by the key that is to be certified", "BAD_PROOF");
  let name: string;
  if (holder.case === "joinToken") name = (await tokens.use(holder.value, publicKey)).service;
  else if (holder.case === "renewal") name = renewed(holder.value, publicKey, authority);
  else throw refused("neither a join token nor a certificate was shown", "NO_PROOF");
  const { notBeforeMs, notAfterMs, ...issued } = authority.issue(key, name);
  return { ...issued, notBeforeMs: BigInt(notBeforeMs), notAfterMs: BigInt(notAfterMs) };
}

function renewed({ certificate, proof }: Renewal, publicKey: Uint8Array, authority: Authority): string {
  let shown: X509Certificate;
  try {
    if (certificate.length > 16_384) throw new RangeError("it is too long");
    shown = new X509Certificate(certificate);
  } catch {
    throw refused("the certificate that was shown cannot be read", "BAD_CERTIFICATE");
  }
  const holder = authority.holderOf(shown, RENEWAL_GRACE_MS);
  if ("refusal" in holder) throw refused(`${holder.refusal}; join again with a new token`, "BAD_CERTIFICATE");
  if (shown.publicKey.asymmetricKeyType !== "ec" || !isProof("renew", publicKey, shown.publicKey, proof))
    throw refused(`the certificate of "${holder.service}" was shown without its key`, "BAD_PROOF");
  return holder.service;
}

function authorityMessage(authority: Authority): MessageInitShape<typeof AuthoritySchema> {
  return {
    system: authority.system,
    kind: authority.kind,
    leafLifetimeMs: BigInt(authority.leafLifetimeMs),
    trust: authority.trust,
    roots: authority.roots.map(({ id, state, notAfterMs, sinceMs, untilMs }) => ({
      id,
      state,
      notAfterMs: BigInt(notAfterMs),
      sinceMs: BigInt(sinceMs),
      untilMs: Number.isFinite(untilMs) ? BigInt(Math.ceil(untilMs)) : 0n,
    })),
  };
}

function assertMost(field: string, value: number, most: number): void {
  if (value <= most) return;
  throw new WeftError("invalid_argument", `${field} is at most ${most}, not ${value}`, {
    reason: "BAD_TOKEN_REQUEST",
    place: { field },
  });
}

function refused(message: string, reason: string): WeftError {
  return new WeftError("unauthenticated", message, { reason });
}

/** After the control plane was away for longer than a certificate lives, processes come back by themselves. */
export const RENEWAL_GRACE_MS = 7 * 24 * 3_600_000;
const MAX_TTL_SECONDS = 31_536_000;
const MAX_USES = 10_000;
