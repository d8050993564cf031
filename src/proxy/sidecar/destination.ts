/** Where a call or a connection is to go: a service of the mesh, or a host that may be outside of it. */
export type Destination = ServiceDestination | HostDestination;

export interface ServiceDestination {
  readonly kind: "service";
  /** As policy names it: "orders", "orders@v2", or a contract's full name ("counter.v1.Counter"). */
  readonly service: string;
  /** What has to be followed for it: "orders", "counter.v1.Counter". */
  readonly follow: string;
  /** The name can only be the mesh's (NAME.weft); otherwise it is taken for a host's when the mesh has no such service. */
  readonly certain: boolean;
  readonly host: string;
  readonly port: number;
}

export interface HostDestination {
  readonly kind: "host";
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Reads an authority: what a Host field, an absolute target or CONNECT names.
 *
 *     orders.weft  orders.weft:8080     the service orders; ports mean nothing to the mesh
 *     v2.orders.weft                    its version v2
 *     orders                            the service orders, if the mesh has one
 *     counter.v1.Counter                whoever serves this contract, if somebody does
 *     anything else                     a host
 *
 * Null when it cannot be read.
 */
export function parseDestination(authority: string, standardPort = 80): Destination | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/?#@\s]+))(?::(\d{1,5}))?$/.exec(authority);
  if (match === null) return null;
  const port = match[3] === undefined ? standardPort : Number(match[3]);
  if (port < 1 || port > 65_535) return null;
  const host = match[1] ?? match[2];
  const name = host.toLowerCase().replace(/\.$/, "");
  const mesh = /^(?:([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)\.)?([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.weft$/.exec(name);
  if (mesh !== null) {
    const [, version, service] = mesh;
    return {
      kind: "service",
      service: version === undefined ? service : `${service}@${version}`,
      follow: service,
      certain: true,
      host,
      port,
    };
  }
  if (LABEL.test(name) && name !== "localhost" && !/^\d+$/.test(name))
    return { kind: "service", service: name, follow: name, certain: false, host, port };
  // A contract's last part begins with a capital, which hosts are not written with.
  if (CONTRACT.test(host)) return { kind: "service", service: host, follow: host, certain: false, host, port };
  return { kind: "host", host, port };
}

const CONTRACT = /^(?=.{1,200}$)[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\.[A-Z]\w*$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
