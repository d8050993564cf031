import { readFileSync } from "node:fs";
import { WeftError } from "../core/errors.ts";
import type { TlsFiles } from "./driver-url.ts";

/** What a connection over TLS is made with, PEM. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

/** Reads the files. Throws `invalid_argument` (BAD_CERTIFICATE) that names the file, and the vendor whose url it is of. */
export function readTls({ ca, cert, key, serverName }: TlsFiles, vendor: string): TlsMaterial {
  const read = (name: string, file: string, what: string): string => {
    const bad = (why: string): WeftError =>
      new WeftError("invalid_argument", `${name} of ${vendor}'s url, ${file}, ${why}`, { reason: "BAD_CERTIFICATE" });
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (cause) {
      throw bad(`cannot be read (${(cause as NodeJS.ErrnoException).code ?? "unreadable"})`);
    }
    if (!text.includes(`${what}-----`)) throw bad(`holds no PEM ${what.toLowerCase()}`);
    return text;
  };
  return {
    ...(ca !== "" && { ca: read("ca", ca, "CERTIFICATE") }),
    ...(cert !== "" && { cert: read("cert", cert, "CERTIFICATE"), key: read("key", key, "PRIVATE KEY") }),
    ...(serverName !== "" && { serverName }),
  };
}
