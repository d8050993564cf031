import { SubjectAltNameMatcher_SanType } from "../../../contract/gen/envoy/extensions/transport_sockets/tls/v3/common.ts";
import { secretResource } from "../resource.ts";
import type { XdsResource } from "../types.ts";

/** What a secret holds, as PEM: an own certificate with its key, or authorities to trust. */
export type SecretOptions =
  | { readonly certificate: string; readonly privateKey: string }
  | {
      readonly trust: string;
      /** The SPIFFE ids (or other URI names) that a peer may have; without it any certificate of these authorities will do. */
      readonly uris?: readonly string[];
    };

/** Certificates that listeners and clusters name. Whoever reaches the server can ask for them: serve them to machines that may have them. */
export function secret(name: string, options: SecretOptions): XdsResource {
  if ("trust" in options) {
    return secretResource({
      name,
      type: {
        case: "validationContext",
        value: {
          trustedCa: inline(options.trust),
          matchTypedSubjectAltNames: (options.uris ?? []).map((uri) => ({
            sanType: SubjectAltNameMatcher_SanType.URI,
            matcher: { matchPattern: { case: "exact", value: uri } },
          })),
        },
      },
    });
  }
  const { certificate, privateKey } = options;
  return secretResource({
    name,
    type: { case: "tlsCertificate", value: { certificateChain: inline(certificate), privateKey: inline(privateKey) } },
  });
}

function inline(value: string) {
  return { specifier: { case: "inlineString" as const, value } };
}
