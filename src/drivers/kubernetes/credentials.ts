import type { SecureContextOptions } from "node:tls";
import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { type ClusterAccess, readSecret, type Secret } from "./cluster-access.ts";

/**
 * The token and certificates by which one is let in. Their files are read again from time to time: the token of a service account is written anew about once an hour, client certificates when they
 * are renewed. A file that cannot be read just then leaves what was read before in use.
 */
export class Credentials {
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  #read: Read;
  #readAt: number;
  #told: Read;

  /** Throws `invalid_argument` for files that cannot be read or hold something else. */
  constructor(access: ClusterAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
    this.#read = readAll(access);
    this.#told = this.#read;
    this.#readAt = clock.now();
  }

  /** What the header "authorization: Bearer" holds; null: there is none. */
  token(): string | null {
    if (this.#clock.now() - this.#readAt >= FRESH_MS) this.reload();
    return this.#read.token;
  }

  /** Whether certificates are others since this was asked last: connections are to be made anew. */
  changed(): boolean {
    const { ca, cert, key } = this.#told;
    this.#told = this.#read;
    return ca !== this.#read.ca || cert !== this.#read.cert || key !== this.#read.key;
  }

  tls(): SecureContextOptions & { servername?: string } {
    const { ca, cert, key } = this.#read;
    const serverName = this.#access.tls?.serverName ?? "";
    return {
      ...(ca !== null && { ca }),
      ...(cert !== null && { cert }),
      ...(key !== null && { key }),
      ...(serverName !== "" && { servername: serverName }),
    };
  }

  /** Reads files now; false: they hold what they held. */
  reload(): boolean {
    this.#readAt = this.#clock.now();
    const before = this.#read;
    try {
      this.#read = readAll(this.#access);
    } catch {
      return false;
    }
    return before.token !== this.#read.token || before.cert !== this.#read.cert || before.ca !== this.#read.ca;
  }
}

interface Read {
  readonly token: string | null;
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

function readAll({ tls, token }: ClusterAccess): Read {
  return {
    token: tokenOf(token),
    ca: pemOf(tls?.ca, "ca", "CERTIFICATE"),
    cert: pemOf(tls?.cert, "cert", "CERTIFICATE"),
    key: pemOf(tls?.key, "key", "PRIVATE KEY"),
  };
}

function tokenOf(secret: Secret | null): string | null {
  if (secret === null) return null;
  const text = readSecret(secret, "the token").trim();
  if (text.length <= MAX_TOKEN && /^[\x21-\x7e]+$/.test(text)) return text;
  throw bad("the token", secret, "holds no token: one line of printable characters");
}

function pemOf(secret: Secret | null | undefined, name: string, what: string): string | null {
  if (secret === null || secret === undefined) return null;
  const text = readSecret(secret, name);
  if (text.includes(`${what}-----`)) return text;
  throw bad(name, secret, `holds no PEM ${what.toLowerCase()}`);
}

function bad(name: string, secret: Secret, what: string): WeftError {
  const where = "file" in secret ? `, ${secret.file},` : " of the kubeconfig";
  return new WeftError("invalid_argument", `${name} for Kubernetes${where} ${what}`, { reason: "BAD_CREDENTIALS" });
}

const FRESH_MS = 10_000;
const MAX_TOKEN = 16_384;
