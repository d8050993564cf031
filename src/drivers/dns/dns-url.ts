import type { Protocol } from "../../core/endpoint.ts";
import { isServiceName } from "../../registry/validate.ts";
import { DriverUrl } from "../driver-url.ts";

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
export function parseDnsUrl(text: string): DnsTarget {
  const shape = { scheme: "dns", vendor: "a registry in DNS", looks: LOOKS, parameters: PARAMETERS, maxLength: 8_192 };
  const url = new DriverUrl(text, shape);
  if (url.login !== null || url.path === "") throw url.bad(`it looks like ${LOOKS}`);
  const domain = url.path
    .slice(1)
    .replace(/\.?\/?$/, "")
    .toLowerCase();
  if (domain.length > 180 || !/^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*$/.test(domain))
    throw url.bad("behind the servers belongs the domain of the services, such as service.consul");
  const services = (url.parameter("services") ?? "").split(",").filter((name) => name !== "");
  for (const name of services)
    if (!isServiceName(name))
      throw url.bad(
        `services are DNS labels in lower case with commas between them, not ${JSON.stringify(name.slice(0, 80))}`,
      );
  const refresh = Number(url.parameter("refresh") ?? "30");
  if (!(refresh >= 1 && refresh <= 3_600)) throw url.bad("refresh is a number of seconds from 1 to 3600");
  const port = url.parameter("port");
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
    throw url.bad("port is a number from 1 to 65535");
  const protocol = url.parameter("protocol") ?? "h2c";
  if (!PROTOCOLS.includes(protocol)) throw url.bad(`protocol is one of ${PROTOCOLS.join(", ")}`);
  return {
    servers: url.addresses(53, MAX_SERVERS),
    domain: `${domain}.`,
    services: [...new Set(services)],
    refreshMs: refresh * 1_000,
    port: port === undefined ? null : Number(port),
    protocol: protocol as Protocol,
  };
}

const LOOKS = "dns://HOST:PORT,HOST:PORT/DOMAIN?services=NAME,NAME&refresh=SECONDS&port=PORT&protocol=PROTOCOL";
const PARAMETERS = ["services", "refresh", "port", "protocol"];
const PROTOCOLS = ["h2c", "h2", "http1", "tcp", "udp"];
const MAX_SERVERS = 8;
