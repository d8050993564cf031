import { readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import { WeftError } from "../../core/errors.ts";
import type { ZookeeperTarget } from "./zookeeper-url.ts";

/** What a connection over TLS is made with, PEM. */
export interface UpstreamTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

/** Reads the files; null for plain text. Throws `invalid_argument` that names the file. */
export function readTls(tls: ZookeeperTarget["tls"]): UpstreamTls | null {
  if (tls === null) return null;
  const { ca, cert, key, serverName } = tls;
  return {
    ...(ca !== "" && { ca: read("ca", ca, "CERTIFICATE") }),
    ...(cert !== "" && { cert: read("cert", cert, "CERTIFICATE"), key: read("key", key, "PRIVATE KEY") }),
    ...(serverName !== "" && { serverName }),
  };
}

/** A socket that connects to "HOST:PORT", which is said by "connect", or "secureConnect" over TLS. */
export async function dial(address: string, tls: UpstreamTls | null): Promise<Socket> {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(at + 1));
  if (tls === null) return connect({ host, port });
  const { connect: connectTls } = await import("node:tls");
  const { serverName: servername = host, ...files } = tls;
  // A name is not sent for what is an address; its certificate is held against it all the same.
  return connectTls({ host, port, ...files, ...(isIP(servername) === 0 && { servername }), minVersion: "TLSv1.2" });
}

function read(name: string, file: string, what: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? "unreadable";
    throw bad(`${name} of ZooKeeper's url, ${file}, cannot be read (${why})`);
  }
  if (!text.includes(`${what}-----`))
    throw bad(`${name} of ZooKeeper's url, ${file}, holds no PEM ${what.toLowerCase()}`);
  return text;
}

function bad(message: string): WeftError {
  return new WeftError("invalid_argument", message, { reason: "BAD_CERTIFICATE" });
}
