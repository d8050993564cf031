import { hostPort } from "../../core/address.ts";
import { DriverUrl, TLS_PARAMETERS, type TlsFiles } from "../driver-url.ts";

/** Where an etcd is and how to speak with it. */
export interface EtcdTarget {
  /** "10.0.0.1:2379", in the order in which they are written. */
  readonly addresses: readonly string[];
  /** What all keys begin with: "/weft". */
  readonly prefix: string;
  readonly login: { readonly name: string; readonly password: string } | null;
  /** Null: plain text. */
  readonly tls: TlsFiles | null;
}

/**
 * "etcd://user:password@h1:2379,h2:2379/PREFIX?ca=ca.pem": one to 16 addresses (port 2379 unless said), a prefix of keys (default "weft"), and the parameters of TLS (driver-url.ts). Throws
 * `invalid_argument`.
 */
export function parseEtcdUrl(text: string): EtcdTarget {
  const url = new DriverUrl(text, { scheme: "etcd", vendor: "etcd", looks: LOOKS, parameters: TLS_PARAMETERS });
  return {
    addresses: url.addresses(2_379, MAX_ADDRESSES).map(({ host, port }) => hostPort(host, port)),
    prefix: `/${url.prefix()}`,
    login: url.credentials(),
    tls: url.tls(),
  };
}

const LOOKS = '"etcd://127.0.0.1:2379" or "etcd://user:password@h1:2379,h2:2379/prefix?ca=ca.pem"';
const MAX_ADDRESSES = 16;
