import type { Protocol } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";
import { isServiceName } from "../../registry/validate.ts";

/** Which names of which servers are services. */
export interface DnsTarget {
  /** Asked in turns: one until it fails, then the next. */
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  /** What stands behind a service's name, with a dot at its end: "service.consul." */
  readonly domain: string;
  /** Services that are there from the start. */
  readonly services: readonly string[];
  /** Names are looked up again after their TTL, and at the latest then, ms. */
  readonly refreshMs: number;
  /** Of names that have addresses and no SRV records; null: those are not used. */
  readonly port: number | null;
  /** What endpoints speak. */
  readonly protocol: Protocol;
}

/**
 * "dns://10.0.0.2:53,10.0.0.3/service.consul?services=web,orders&refresh=30&port=8080&protocol=http1": one to eight servers (port 53 unless said), the domain below which
 * services' names are, and as parameters `services`, `refresh` (seconds, default 30), `port` and `protocol` (default h2c). Throws `invalid_argument`.
 */
export function parseDnsUrl(url: string): DnsTarget {
  const match = /^dns:\/\/([^@/?#]+)\/([^/?#]+)\/?(?:\?([^#]*))?$/.exec(url);
  if (match === null || url.length > MAX_URL) throw bad(`it looks like ${LOOKS}`);
  const [, hosts, path, query = ""] = match;
  const servers = hosts.split(",").map(serverOf);
  if (servers.length > MAX_SERVERS) throw bad(`at most ${MAX_SERVERS} servers are allowed`);
  const domain = path.replace(/\.$/, "").toLowerCase();
  if (domain.length > 180 || !/^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*$/.test(domain))
    throw bad("behind the servers belongs the domain of the services, such as service.consul");
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!PARAMETERS.includes(name)) throw bad(`parameters are ${PARAMETERS.join(", ")}`);
    if (given.has(name)) throw bad(`${name} is given twice`);
    given.set(name, value);
  }
  const services = (given.get("services") ?? "").split(",").filter((name) => name !== "");
  for (const name of services)
    if (!isServiceName(name))
      throw bad(
        `services are DNS labels in lower case with commas between them, not ${JSON.stringify(name.slice(0, 80))}`,
      );
  const refresh = Number(given.get("refresh") ?? "30");
  if (!(refresh >= 1 && refresh <= 3_600)) throw bad("refresh is a number of seconds from 1 to 3600");
  const port = given.get("port");
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
    throw bad("port is a number from 1 to 65535");
  const protocol = given.get("protocol") ?? "h2c";
  if (!PROTOCOLS.includes(protocol)) throw bad(`protocol is one of ${PROTOCOLS.join(", ")}`);
  return {
    servers,
    domain: `${domain}.`,
    services: [...new Set(services)],
    refreshMs: refresh * 1_000,
    port: port === undefined ? null : Number(port),
    protocol: protocol as Protocol,
  };
}

function serverOf(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? "53");
  if (match === null || port < 1 || port > 65_535)
    throw bad("each server is HOST, HOST:PORT or [IPV6]:PORT, with commas between them");
  return { host: match[1] ?? match[2], port };
}

function bad(problem: string): WeftError {
  return new WeftError("invalid_argument", `the url of the registry in DNS: ${problem}`, {
    reason: "BAD_ADDRESS",
  });
}

const LOOKS = "dns://HOST:PORT,HOST:PORT/DOMAIN?services=NAME,NAME&refresh=SECONDS&port=PORT&protocol=PROTOCOL";
const PARAMETERS = ["services", "refresh", "port", "protocol"];
const PROTOCOLS = ["h2c", "h2", "http1", "tcp", "udp"];
const MAX_SERVERS = 8;
const MAX_URL = 8_192;
