import { existsSync } from "node:fs";
import { parseNetwork } from "../core/network.ts";
import type { DescriptionReader } from "./description-reader.ts";
import type { FieldPath } from "./problems.ts";
import type { Dns, Gateway, System } from "./resolve-system.ts";
import { LISTENER_NAME, parseSessionListener, type SessionListener } from "./session-listener.ts";

/** What a description says of its gateway; null: there is none. */
export function readGateway(reader: DescriptionReader, value: unknown): Gateway | null {
  if (value === false) return null;
  const fields = value === undefined ? {} : reader.object(value, ["gateway"]);
  if (fields === null) return null;
  reader.problems.unknownFields(
    fields,
    ["gateway"],
    ["listen", "admin", "tls", "trustedProxies", "proxyProtocol", "listeners"],
  );
  const listen = reader.address(fields.listen ?? 8080, ["gateway", "listen"]);
  const admin = reader.address(fields.admin ?? 0, ["gateway", "admin"]);
  const tls = readTls(reader, fields.tls);
  const path: FieldPath = ["gateway", "trustedProxies"];
  const trustedProxies = readNetworks(reader, fields.trustedProxies, path);
  const proxyProtocol = readNetworks(reader, fields.proxyProtocol, ["gateway", "proxyProtocol"]);
  const listeners = readListeners(reader, fields.listeners, ["gateway", "listeners"]);
  const addresses = { host: listen.host, port: listen.port, adminHost: admin.host, adminPort: admin.port };
  return { ...addresses, tls, trustedProxies, proxyProtocol, listeners };
}

/** What it says of who answers DNS queries. */
export function readDns(reader: DescriptionReader, value: unknown): Dns | null {
  if (value === undefined) return null;
  const fields = reader.object(value, ["dns"]);
  if (fields === null) return null;
  reader.problems.unknownFields(fields, ["dns"], ["listen", "allow", "ttl"]);
  const { host, port } = reader.address(fields.listen ?? 5353, ["dns", "listen"]);
  const allow = readNetworks(reader, fields.allow, ["dns", "allow"]);
  return { host, port, allow, ttl: reader.number(fields.ttl, ["dns", "ttl"], 0, 86_400) ?? 5 };
}

/** What it says of where Consul's API is served. */
export function readConsul(reader: DescriptionReader, value: unknown): System["consul"] {
  if (value === undefined) return null;
  const fields = reader.object(value, ["consul"]);
  if (fields === null) return null;
  reader.problems.unknownFields(fields, ["consul"], ["listen"]);
  return reader.address(fields.listen ?? 8500, ["consul", "listen"]);
}

function readListeners(reader: DescriptionReader, value: unknown, path: FieldPath): SessionListener[] {
  const listeners: SessionListener[] = [];
  const fields = value === undefined ? {} : (reader.object(value, path) ?? {});
  for (const [name, written] of Object.entries(fields)) {
    const at = [...path, name];
    if (!LISTENER_NAME.test(name))
      reader.problems.add(at, `"${name}" is no name: lower-case letters and digits, with "-" or "." inside`);
    const text = reader.string(written, at);
    const listener = text === null ? null : parseSessionListener(name, text);
    if (listener !== null) listeners.push(listener);
    else if (text !== null)
      reader.problems.add(
        at,
        `"${text}" is no listener; write a protocol and where: "tcp:5432", "udp:53", "tls:0.0.0.0:443"`,
      );
  }
  return listeners;
}

function readTls(reader: DescriptionReader, value: unknown): Gateway["tls"] {
  if (value === undefined) return null;
  const path = ["gateway", "tls"];
  const fields = reader.object(value, path);
  if (fields === null) return null;
  reader.problems.unknownFields(fields, path, ["cert", "key"]);
  const file = (field: "cert" | "key"): string => {
    if (fields[field] === undefined)
      reader.problems.add(path, `${field} is missing; name a PEM file: ${field}: "gateway.${field}.pem"`);
    const name = fields[field] === undefined ? null : reader.string(fields[field], [...path, field]);
    if (name !== null && !existsSync(reader.path(name)))
      reader.problems.add([...path, field], `no file ${name} in ${reader.dir}`);
    return reader.path(name ?? "");
  };
  return { cert: file("cert"), key: file("key") };
}

function readNetworks(reader: DescriptionReader, value: unknown, path: FieldPath): string[] {
  const networks = value === undefined ? [] : reader.strings(value, path);
  networks.forEach((network, i) => {
    if (parseNetwork(network) === undefined)
      reader.problems.add(
        Array.isArray(value) ? [...path, i] : path,
        `"${network}" is no address or network in CIDR notation, such as "10.0.0.0/8"`,
      );
  });
  return networks;
}
