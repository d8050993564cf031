import { WeftError } from "../core/errors.ts";
import { parseNetwork } from "../core/network.ts";

/** What is to be taken from an application, and where it goes. */
export interface InterceptPlan {
  /** Port of the sidecar's transparent listener: outgoing TCP goes there. */
  readonly outbound: number;
  /** Calls that come in for `app` go to this port of the sidecar; null: they are left alone. */
  readonly inbound: { readonly port: number; readonly app: number } | null;
  /** Port of the sidecar's DNS: queries to any resolver go there; null: they are left alone. */
  readonly dns: number | null;
  /** The group of the sidecar: what it sends is left alone. */
  readonly exemptGid: number;
  /** Networks in CIDR notation to which connections are left alone. */
  readonly exclude: readonly string[];
  /** Where the sidecar's virtual addresses lie: connections there keep their address and get the sidecar's port. */
  readonly virtual: string;
}

export const DEFAULT_EXEMPT_GID = 1_337;
export const DEFAULT_VIRTUAL = "127.80.0.0/16";

/** Throws `invalid_argument` (BAD_USAGE) for what cannot be meant. */
export function assertPlan(plan: InterceptPlan): void {
  const { outbound, inbound, dns, exemptGid, exclude, virtual } = plan;
  const ports: [name: string, port: number | undefined][] = [
    ["--outbound", outbound],
    ["--inbound", inbound?.port],
    ["--app", inbound?.app],
    ["--dns", dns ?? undefined],
  ];
  for (const [name, port] of ports) {
    if (port !== undefined && !(Number.isInteger(port) && port > 0 && port <= 65_535))
      throw badUsage(`${name} must be a port from 1 to 65535, not ${port}`);
  }
  if (inbound !== null && inbound.port === inbound.app)
    throw badUsage(`--inbound and --app are the same port (${inbound.app}); the sidecar listens at a port of its own`);
  if (!Number.isInteger(exemptGid) || exemptGid < 1 || exemptGid > 0xffff_fffe)
    throw badUsage(
      `--exempt-gid must be the number of a group other than 0 (which most programs of root are in), not ${exemptGid}`,
    );
  for (const network of [...exclude, virtual]) {
    if (parseNetwork(network) === undefined)
      throw badUsage(`"${network}" is no address or network in CIDR notation, such as 10.0.0.0/8`);
  }
  if (virtual.includes(":")) throw badUsage(`--virtual must be an IPv4 network, not ${virtual}`);
}

/** "BAD_USAGE": the exit status is that of wrong usage. */
export function badUsage(message: string): WeftError {
  return new WeftError("invalid_argument", message, { reason: "BAD_USAGE" });
}
