import { connect, isIP, type Socket } from "node:net";
import type { TlsMaterial } from "../driver-tls.ts";

/** A socket that connects to "HOST:PORT", which is said by "connect", or "secureConnect" over TLS. */
export async function dial(address: string, tls: TlsMaterial | null): Promise<Socket> {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(at + 1));
  if (tls === null) return connect({ host, port });
  const { connect: connectTls } = await import("node:tls");
  const { serverName: servername = host, ...files } = tls;
  // A name is not sent for what is an address; its certificate is held against it all the same.
  return connectTls({ host, port, ...files, ...(isIP(servername) === 0 && { servername }), minVersion: "TLSv1.2" });
}
