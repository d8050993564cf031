import { DriverUrl, TLS_PARAMETERS, type TlsFiles } from "../driver-url.ts";

/** Where a Consul is and how to speak with it. */
export interface ConsulTarget {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** What all keys begin with, without slashes at its ends: "weft". */
  readonly prefix: string;
  /** "": none. */
  readonly token: string;
  /** "": the agent's own. */
  readonly datacenter: string;
  /** Null: plain text. */
  readonly tls: TlsFiles | null;
}

/**
 * "consul://TOKEN@HOST:8500/PREFIX?dc=dc1&ca=ca.pem": the address of an agent, which knows the servers (port 8500 unless said, 8501 for TLS), a prefix of keys (default "weft"), and as
 * parameters `dc` and those of TLS (driver-url.ts). Throws `invalid_argument`.
 */
export function parseConsulUrl(text: string): ConsulTarget {
  const shape = { scheme: "consul", vendor: "Consul", looks: LOOKS, parameters: ["dc", ...TLS_PARAMETERS] };
  const url = new DriverUrl(text, shape);
  const tls = url.tls();
  const [address] = url.addresses(tls === null ? 8_500 : 8_501, 1);
  const token = url.decoded(url.login ?? "");
  if (url.login !== null && !/^[\x21-\x7e]{1,256}$/.test(token))
    throw url.bad("before the @ belongs an ACL token (its SecretID)");
  const datacenter = url.parameter("dc") ?? "";
  if (!/^[A-Za-z0-9_-]{0,128}$/.test(datacenter)) throw url.bad("dc is the name of a datacenter");
  return { ...address, prefix: url.prefix(), token, datacenter, tls };
}

const LOOKS = '"consul://127.0.0.1:8500" or "consul://token@127.0.0.1:8501/prefix?ca=ca.pem"';
