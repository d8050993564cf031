import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { PeerInfo } from "../wire/stream.ts";
import { meshIdentity } from "./mesh-tls.ts";

/** Addresses and verified identity of the other end of a connected (for TLS: handshaken) socket. */
export function peerOf(socket: Socket): PeerInfo {
  const secure = isTls(socket);
  return {
    address: addressOf(socket),
    localAddress: formatAddress(socket.localAddress, socket.localPort),
    secure,
    identity: secure ? (meshIdentity(socket) ?? identityOf(socket)) : "",
  };
}

/** From now on the other end of this connection is said to be at `address`, since a proxy that is believed says so. */
export function tellAddress(socket: Socket, address: string): void {
  told.set(socket, address);
}

const told = new WeakMap<Socket, string>();

function addressOf(socket: Socket): string {
  // A TLS socket is on the one that was accepted.
  const { _parent: under } = socket as Socket & { _parent?: Socket };
  const known = told.get(socket) ?? (under ? told.get(under) : undefined);
  return known ?? formatAddress(socket.remoteAddress, socket.remotePort);
}

function isTls(socket: Socket): socket is TLSSocket {
  return (socket as Partial<TLSSocket>).encrypted === true;
}

/** "127.0.0.1:80", "[::1]:80"; an IPv4 address that arrived on an IPv6 socket is written as IPv4. */
export function formatAddress(host: string | undefined, port: number | undefined): string {
  if (host === undefined) return "unknown";
  const plain = host.startsWith("::ffff:") && host.includes(".") ? host.slice(7) : host;
  return plain.includes(":") ? `[${plain}]:${port ?? 0}` : `${plain}:${port ?? 0}`;
}

/**
 * The SPIFFE id in the certificate's URI names, otherwise its subject's common name; "" when the peer showed none that was verified.
 * More than one URI name is not a SPIFFE certificate (X509-SVID, section 2) and gives no SPIFFE id; nor does a
 * common name that is written like one.
 */
function identityOf(socket: TLSSocket): string {
  if (!socket.authorized) return "";
  const certificate = socket.getPeerCertificate();
  if (certificate === null || Object.keys(certificate).length === 0) return "";
  const uris = (certificate.subjectaltname ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  if (uris.length === 1 && /^URI:spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(uris[0])) return uris[0].slice(4);
  const commonName: string | string[] | undefined = certificate.subject?.CN;
  // Whoever signs names of people and machines does not check whether one reads like the identity of a service.
  return typeof commonName === "string" && !commonName.includes("://") ? commonName : "";
}
