import { readFileSync } from "node:fs";
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
