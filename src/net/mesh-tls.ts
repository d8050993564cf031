import type { SecureContext, SecureContextOptions, TLSSocket } from "node:tls";
import type { IdentityMaterial } from "../core/identity.ts";
import { tlsModule } from "./tls-module.ts";

/**
 * Mutual TLS of the mesh, what both sides have in common: TLS 1.3 alone, the process's own certificate, and who is believed.
 *
 * Chains are checked by OpenSSL; what it found, and which SPIFFE id the peer showed, is judged here in one place, before a byte of the peer's is read. That is
 * why connections are made with `rejectUnauthorized: false`: Node's own refusal tells a server nothing of the peer, and so nobody could act on it.
 */
export function meshContextOptions({ certificate, privateKey, trust }: IdentityMaterial): SecureContextOptions {
  return {
    // Who has not joined yet shows none.
    ...(certificate !== "" && { cert: certificate, key: privateKey }),
    ca: trust,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    // No tickets, and no store of sessions either: one that is resumed would not be asked for its certificate again.
    secureOptions: SSL_OP_NO_TICKET,
  };
}

/** For dials. One for each material, which is replaced as a whole when the process's certificate or its trust changes. */
export function meshContext(material: IdentityMaterial): SecureContext {
  let context = contexts.get(material);
  if (context === undefined)
    contexts.set(material, (context = tlsModule().createSecureContext(meshContextOptions(material))));
  return context;
}

/**
 * Why the peer of a handshaken socket is not to be spoken with; null when it may be. `own` is this process's SPIFFE id; `expected` the one that the peer must
 * prove, null where any of the own system's will do.
 */
export function meshRefusal(socket: TLSSocket, own: string, expected: string | null): string | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined)
    return `it showed no certificate; ${expected ?? `one of ${systemOf(own)}/`} is required`;
  if (socket.isSessionReused()) return "it resumed an earlier session, which proves nothing of its certificate now";
  const names = (certificate.subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  const shown = names.length === 1 ? names[0].slice(4) : "";
  const whose = SPIFFE_ID.test(shown) && shown.length <= 2_048 ? shown : "";
  const required = expected === null ? "" : `, expected was ${expected}`;
  if (!socket.authorized) {
    const who = whose === "" ? "its certificate" : `its certificate for ${whose}`;
    const code = String(socket.authorizationError ?? "");
    if (code === "CERT_HAS_EXPIRED") return `${who} expired at ${certificate.validToDate.toISOString()}${required}`;
    if (code === "CERT_NOT_YET_VALID")
      return `${who} is valid only from ${certificate.validFromDate.toISOString()}; compare the clocks${required}`;
    if (whose !== "" && systemOf(whose) !== systemOf(own))
      return `it is of another system: ${whose}; this is ${systemOf(own)}${required}`;
    return `${who} is not signed by an authority that ${own} trusts (${code})${required}`;
  }
  // X509-SVID, section 5.2: who may sign others is no leaf, whatever it is called.
  if (certificate.ca) return `${whose || "its certificate"} is that of an authority, not of a process${required}`;
  if (whose === "")
    return `its certificate holds no SPIFFE id (${printable(certificate.subjectAltName ?? "no names")})${required}`;
  if (systemOf(whose) !== systemOf(own))
    return `it is of another system: ${whose}; this is ${systemOf(own)}${required}`;
  if (expected !== null && whose !== expected) return `it is ${whose}${required}`;
  proven.set(socket, whose);
  return null;
}

/** What meshRefusal() let pass: the peer's SPIFFE id. Undefined for sockets that are not of the mesh. */
export function meshIdentity(socket: TLSSocket): string | undefined {
  return proven.get(socket);
}

/** X509-SVID, section 2, and SPIFFE-ID, section 2: one URI with a trust domain and a path. */
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]+(\/(?!\.\.?(?:\/|$))[A-Za-z0-9._-]+)+$/;

const contexts = new WeakMap<IdentityMaterial, SecureContext>();

const proven = new WeakMap<TLSSocket, string>();

const SSL_OP_NO_TICKET = 0x4000;

/** "spiffe://shop" */
function systemOf(id: string): string {
  return id.slice(0, id.indexOf("/", "spiffe://".length));
}

/** Whoever connects chose these: no control characters, not much. */
function printable(text: string): string {
  const plain = text.replace(/[^\x20-\x7e]/g, "?");
  return plain.length > 200 ? `${plain.slice(0, 200)}...` : plain;
}

/** What connections of the mesh say they speak that carry bytes, whatever they mean. */
export const BYTES_ALPN = "weft-bytes";
