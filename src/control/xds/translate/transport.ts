import { getCACertificates } from "node:tls";
import { type Document, extension } from "./document.ts";

/* Transport sockets of the mesh: certificates and authorities come by SDS, and are replaced while connections stay. */

/** Names of the two secrets that a proven node gets. */
const IDENTITY_SECRET = "weft/identity";
const TRUST_SECRET = "weft/trust";

const TLS = "envoy.transport_sockets.tls";
const SDS: Document = { ads: {}, resource_api_version: "V3" };
const TLS_PARAMETERS: Document = { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" };

/** To endpoints that must prove to be exactly `identity`. What is spoken inside is settled by ALPN. */
export function upstreamTls(identity: string, alpn: readonly string[] = []): Document {
  return extension(TLS, "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    common_tls_context: {
      tls_params: TLS_PARAMETERS,
      tls_certificate_sds_secret_configs: [{ name: IDENTITY_SECRET, sds_config: SDS }],
      combined_validation_context: {
        default_validation_context: {
          match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: identity } }],
        },
        validation_context_sds_secret_config: { name: TRUST_SECRET, sds_config: SDS },
      },
      ...(alpn.length === 0 ? {} : { alpn_protocols: alpn }),
    },
  });
}

/** For callers of the own system alone. */
export function downstreamTls(system: string, alpn: readonly string[]): Document {
  return extension(TLS, "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      tls_params: TLS_PARAMETERS,
      alpn_protocols: alpn,
      tls_certificate_sds_secret_configs: [{ name: IDENTITY_SECRET, sds_config: SDS }],
      combined_validation_context: {
        default_validation_context: {
          match_typed_subject_alt_names: [{ san_type: "URI", matcher: { prefix: `spiffe://${system}/` } }],
        },
        validation_context_sds_secret_config: { name: TRUST_SECRET, sds_config: SDS },
      },
    },
    require_client_certificate: true,
  });
}

/** PEM, as the authority gave it. */
export function identitySecret(certificate: string, privateKey: string): Document {
  return {
    name: IDENTITY_SECRET,
    tls_certificate: {
      certificate_chain: { inline_string: certificate },
      private_key: { inline_string: privateKey },
    },
  };
}

export function trustSecret(trust: string): Document {
  return { name: TRUST_SECRET, validation_context: { trusted_ca: { inline_string: trust } } };
}

/** The authorities that this process believes servers outside the mesh by: where they are kept differs from one machine to the next, and Envoy wants to be told. */
export function publicAuthorities(): string {
  return (authorities ??= getCACertificates("default").join("\n"));
}

let authorities: string | null = null;
