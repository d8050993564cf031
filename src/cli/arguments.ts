import { isIP } from "node:net";
import type { Command } from "commander";
import { CONTROL_ADDRESSES_WANTED, parseControlAddresses } from "../core/control-addresses.ts";
import { parseNetwork } from "../core/network.ts";
import { parseAddress } from "../host/address.ts";
import { LISTENER_NAME, parseSessionListener, type SessionListener } from "../host/session-listener.ts";
import { isServiceName } from "../registry/validate.ts";

/** How the values of options are read. */

/** What commander takes for a value that is none, without loading it. */
class InvalidArgumentError extends Error {
  readonly code = "commander.invalidArgument";
}

interface Address {
  host: string;
  port: number;
}

/** PORT or HOST:PORT. */
export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === null)
    throw new InvalidArgumentError("It must be PORT or HOST:PORT, for example 8080 or 0.0.0.0:8080.");
  return parsed;
}

/** The same as text, HOST:PORT. */
export function addressText(text: string): string {
  const bare = text.replace(/^https?:\/\//, "").replace(/\/$/, "");
  address(bare);
  return bare.includes(":") ? bare : `127.0.0.1:${bare}`;
}

/** Control planes: PORT or HOST:PORT, or several of these separated by commas, as WEFT_CONTROL has them. */
export function controlAddresses(text: string): string {
  const list = text.split(",").map(addressText).join(",");
  if (parseControlAddresses(list) !== null) return list;
  throw new InvalidArgumentError(`It must be ${CONTROL_ADDRESSES_WANTED}.`);
}

/** A service as it stands in the registry. */
export function serviceName(text: string): string {
  if (isServiceName(text)) return text;
  throw new InvalidArgumentError(
    "It must be a DNS label: lower-case letters, digits and inner hyphens, at most 63 characters.",
  );
}

export function addresses(text: string, previous: Address[] | undefined): Address[] {
  return [...(previous ?? []), address(text)];
}

/** Networks in CIDR notation, separated by commas. */
export function networks(text: string): string[] {
  const given = text.split(",").map((network) => network.trim());
  for (const network of given)
    if (parseNetwork(network) === undefined)
      throw new InvalidArgumentError(`"${network}" is no address or network in CIDR notation, such as 10.0.0.0/8.`);
  return given;
}

/** "80,8080": ports, separated by commas. */
export function ports(text: string): number[] {
  return text.split(",").map((part) => {
    const port = Number(part);
    if (!/^\d{1,5}$/.test(part) || port < 1 || port > 65_535)
      throw new InvalidArgumentError(`"${part}" is no port; write PORT,... for example 80,50051.`);
    return port;
  });
}

/** NAME=PROTOCOL:ADDRESS; each adds one. */
export function sessionListener(text: string, previous: SessionListener[] | undefined): SessionListener[] {
  const [, name = "", written = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  const listener = LISTENER_NAME.test(name) ? parseSessionListener(name, written) : null;
  if (listener === null)
    throw new InvalidArgumentError("It must be NAME=PROTOCOL:ADDRESS, for example db=tcp:5432 or tls=tls:0.0.0.0:443.");
  if (previous?.some((other) => other.name === name))
    throw new InvalidArgumentError(`There are two listeners called ${name}.`);
  return [...(previous ?? []), listener];
}

/** DNS servers, separated by commas: HOST or HOST:PORT by IP address; "none". */
export function resolvers(text: string): Address[] {
  if (text === "none") return [];
  return text.split(",").map((part) => {
    const parsed = isIP(part) === 0 ? parseAddress(part) : { host: part, port: 53 };
    if (parsed === null || isIP(parsed.host) === 0)
      throw new InvalidArgumentError(`"${part}" is no IP address of a DNS server, such as 10.0.0.2 or 127.0.0.1:5300.`);
    return parsed;
  });
}

export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || value > 1e9) throw new InvalidArgumentError("It must be a number above 0.");
  return value;
}

export function count(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

/** Commands that talk to a running system find it by its folder. */
export function inDir(command: Command): Command {
  return command
    .option("-C, --dir <dir>", "folder of the running system, or its file", ".")
    .option("--state <folder>", "the folder that weft up was given with --state");
}

/** 0 to 1, or "10%". */
export function share(text: string): number {
  const value = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError("It must be a share above 0: 0.1 or 10%.");
  return value;
}

/** "tcp", "http:/healthz", "grpc", "grpc:orders.v1.Orders" */
export function healthCheck(text: string): string {
  if (/^(?:tcp|http:\/\S*|grpc(?::[A-Za-z_][\w.]*)?)$/.test(text)) return text;
  throw new InvalidArgumentError("It must be tcp, http:/PATH, grpc or grpc:SERVICE.");
}
