import { hostPort } from "../../core/address.ts";
import { DriverUrl, TLS_PARAMETERS, type TlsFiles } from "../driver-url.ts";

/** Where a ZooKeeper is and how to speak with it. */
export interface ZookeeperTarget {
  /** "10.0.0.1:2181", in the order in which they are written. */
  readonly addresses: readonly string[];
  /** What all paths begin with: "/weft". */
  readonly prefix: string;
  /** Scheme "digest": what it makes nobody else may read or write. Null: anybody may. */
  readonly login: { readonly name: string; readonly password: string } | null;
  /** Null: plain text. */
  readonly tls: TlsFiles | null;
}

/**
 * "zookeeper://user:password@h1:2181,h2:2181/PREFIX?ca=ca.pem": one to 16 servers (port 2181 unless said), a prefix of paths (default "weft"), and the parameters of TLS (driver-url.ts). Throws
 * `invalid_argument`.
 */
export function parseZookeeperUrl(text: string): ZookeeperTarget {
  const shape = { scheme: "zookeeper", vendor: "ZooKeeper", looks: LOOKS, parameters: TLS_PARAMETERS };
  const url = new DriverUrl(text, shape);
  const prefix = url.prefix();
  if (/^zookeeper(?:\/|$)/.test(prefix)) throw url.bad("paths below /zookeeper are its own; choose another prefix");
  const login = url.credentials();
  if (login?.name.includes(":")) throw url.bad("a user's name has no colon");
  return {
    addresses: url.addresses(2_181, MAX_ADDRESSES).map(({ host, port }) => hostPort(host, port)),
    prefix: `/${prefix}`,
    login,
    tls: url.tls(),
  };
}

const LOOKS = '"zookeeper://127.0.0.1:2181" or "zookeeper://user:password@h1:2181,h2:2181/prefix?ca=ca.pem"';
const MAX_ADDRESSES = 16;
