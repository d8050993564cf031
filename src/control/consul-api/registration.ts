import { isIP } from "node:net";
import {
  HEALTH_CHECK_INTERVAL_METADATA,
  HEALTH_CHECK_METADATA,
  HEALTH_CHECK_TIMEOUT_METADATA,
} from "../../call/health/health-check.ts";
import type { Endpoint, Protocol } from "../../core/endpoint.ts";
import { encodeTags, TAGS_METADATA } from "../../core/endpoint-tags.ts";
import { assertEndpoint, isServiceName } from "../../registry/validate.ts";
import { type CheckDefinition, type ParsedCheck, parseCheck, parseFinding } from "./check-definition.ts";
import { Fields } from "./fields.ts";
import { encodeMark, MARK_METADATA, type Mark } from "./mark.ts";
import { bad, unsupported } from "./refusal.ts";

/** A service with its checks, as somebody registered it. */
export interface ParsedRegistration {
  /** Healthy; what its checks say is the agent's to add. */
  readonly endpoint: Endpoint;
  readonly mark: Mark;
  readonly checks: readonly ParsedCheck[];
}

/** Where a service is whose registration does not say: the node's name and address. */
export interface RegistrationPlace {
  /** Name of the node; "" for the agent's own. */
  readonly node: string;
  readonly address: string;
}

/**
 * Reads a service of `/v1/agent/service/register`, or of a `Service` in `/v1/catalog/register`:
 *
 *     Name, ID              the service and the endpoint's id; ID is Name unless given (with "@NODE" behind it in the catalog of another node)
 *     Address, Port         of the caller, or of the node, unless given
 *     Tags                  metadata "tags"
 *     Meta                  metadata; "version", "zone" and "protocol" are the endpoint's own, too
 *     Weights.Passing       its weight
 *     Check, Checks         metadata "weft.consul" and "weft.health-check"
 *
 * `findings`: checks of the catalog, which stand beside the service. Throws `invalid_argument`, or `unimplemented` for what would not act.
 */
export function parseRegistration(
  value: unknown,
  place: RegistrationPlace,
  findings: readonly unknown[] | null = null,
): ParsedRegistration {
  const inCatalog = findings !== null;
  const fields = new Fields(value, "");
  const service = inCatalog ? fields.text("Service") : fields.text("Name");
  const nameField = inCatalog ? "Service" : "Name";
  if (!isServiceName(service)) {
    const shown = JSON.stringify(service.slice(0, 80));
    throw bad(
      `must be a DNS label (lower-case letters, digits and inner hyphens, at most 63 characters), not ${shown}`,
      nameField,
    );
  }
  const serviceId = fields.text("ID") || service;
  const id = place.node === "" ? serviceId : `${serviceId}@${place.node}`;
  const host = fields.text("Address") || place.address;
  const port = fields.whole("Port");
  if (port === undefined || port === 0) throw bad("is missing: an endpoint is called by address and port", "Port");
  const tags = fields.texts("Tags");
  const meta = fields.textMap("Meta");
  const locality = fields.take("Locality");
  const zone = locality === undefined ? "" : new Fields(locality, "Locality.").text("Zone");
  assertSameAddresses(fields.take("TaggedAddresses"), host, port);
  const weight = weightOf(fields.take("Weights"));
  fields.empty(["Kind", "Proxy", "Connect"], (field) =>
    unsupported(field, "proxies of weft's own are started by `weft sidecar` and `weft gateway`"),
  );
  fields.empty(["EnableTagOverride"], (field) => unsupported(field, "tags are their owner's alone"));
  fields.empty(["SocketPath", "Ports"], (field) => unsupported(field, "endpoints have an address and one port"));
  fields.empty(["Namespace", "Partition", "PeerName"], (field) => unsupported(field, "there is one namespace"));
  fields.take("Token");
  const target = { host, port };
  const single = fields.take("Check");
  const listed = fields.list("Checks");
  if (inCatalog && (single !== undefined || listed.length > 0))
    throw bad("belongs beside Service, not in it", "Service.Checks");
  fields.done();
  const given = [
    ...(findings ?? []).map((value, i) => ({ value, path: `Checks[${i}].` })),
    ...(single === undefined ? [] : [{ value: single, path: "Check." }]),
    ...listed.map((one, i) => ({ value: one, path: `Checks[${i}].` })),
  ];
  if (given.length > MAX_CHECKS) throw bad(`has ${given.length}; at most ${MAX_CHECKS} are allowed`, "Checks");
  const checks = given.map(({ value, path }, i) => {
    const checkId = given.length === 1 ? `service:${id}` : `service:${id}:${i + 1}`;
    return inCatalog ? parseFinding(value, path, checkId) : parseCheck(value, path, checkId, target);
  });
  return createRegistration({
    id,
    service,
    host,
    port,
    tags,
    meta,
    zone,
    weight,
    checks,
    mark: { serviceId, node: place.node },
  });
}

interface RegistrationParts {
  id: string;
  service: string;
  host: string;
  port: number;
  tags: readonly string[];
  meta: Readonly<Record<string, string>>;
  zone: string;
  weight: number;
  checks: readonly ParsedCheck[];
  mark: Omit<Mark, "checks">;
}

function createRegistration(parts: RegistrationParts): ParsedRegistration {
  const { checks, tags, meta } = parts;
  const definitions = checks.map(({ definition }) => definition);
  const twice = definitions.find(({ id }, i) => definitions.findIndex((other) => other.id === id) !== i);
  if (twice !== undefined) throw bad(`two checks have the CheckID ${JSON.stringify(twice.id)}`, "Checks");
  if (tags.some((tag) => tag === "")) throw bad("must not be empty", "Tags");
  const reserved = Object.keys(meta).find((name) => name.startsWith("weft.") || name === TAGS_METADATA);
  if (reserved !== undefined) throw bad("is reserved: checks and tags have fields of their own", `Meta.${reserved}`);
  const mark: Mark = { ...parts.mark, checks: definitions };
  const endpoint: Endpoint = {
    id: parts.id,
    service: parts.service,
    host: parts.host,
    port: parts.port,
    version: meta.version ?? "",
    zone: meta.zone ?? parts.zone,
    weight: parts.weight,
    protocol: (meta.protocol ??
      (checks.some(({ definition }) => definition.kind === "grpc") ? "h2c" : "http1")) as Protocol,
    health: "healthy",
    metadata: {
      ...meta,
      ...(tags.length > 0 && { [TAGS_METADATA]: encodeTags(tags) }),
      ...healthWords(checks),
      [MARK_METADATA]: encodeMark(mark),
    },
  };
  assertEndpoint(endpoint);
  return { endpoint, mark, checks };
}

/** The same service with one check more, which takes the place of one with its id. Throws as parseRegistration(). */
export function withCheck(endpoint: Endpoint, mark: Mark, check: ParsedCheck): { endpoint: Endpoint; mark: Mark } {
  const others = mark.checks.filter(({ id }) => id !== check.definition.id);
  if (others.length >= MAX_CHECKS) throw bad(`a service has at most ${MAX_CHECKS} checks`, "ServiceID");
  if (check.word !== "" && others.some(({ kind }) => kind !== "ttl")) throw oneActive();
  const changed: Mark = { ...mark, checks: [...others, check.definition] };
  return marked(endpoint, changed, check.word === "" ? undefined : healthWords([check]));
}

/** The same service without a check. */
export function withoutCheck(
  endpoint: Endpoint,
  mark: Mark,
  check: CheckDefinition,
): { endpoint: Endpoint; mark: Mark } {
  const changed: Mark = { ...mark, checks: mark.checks.filter(({ id }) => id !== check.id) };
  return marked(endpoint, changed, check.kind === "ttl" ? undefined : healthWords([]));
}

/** `words`: of health checks from now on; undefined: as they are, except that what has neither an active check nor a TTL is probed as all endpoints are. */
function marked(
  endpoint: Endpoint,
  mark: Mark,
  words: Record<string, string> | undefined,
): { endpoint: Endpoint; mark: Mark } {
  const metadata: Record<string, string> = { ...endpoint.metadata, [MARK_METADATA]: encodeMark(mark) };
  const active = mark.checks.some(({ kind }) => kind !== "ttl");
  if (words !== undefined || !active) {
    for (const name of HEALTH_WORDS) delete metadata[name];
    Object.assign(metadata, words);
    if (!active && mark.checks.length > 0) metadata[HEALTH_CHECK_METADATA] = "ttl";
  }
  const changed = { ...endpoint, metadata };
  assertEndpoint(changed);
  return { endpoint: changed, mark };
}

function healthWords(checks: readonly ParsedCheck[]): Record<string, string> {
  const active = checks.filter(({ word }) => word !== "");
  if (active.length > 1) throw oneActive();
  if (active.length === 0) return checks.length > 0 ? { [HEALTH_CHECK_METADATA]: "ttl" } : {};
  const [{ word, intervalMs, timeoutMs }] = active;
  return {
    [HEALTH_CHECK_METADATA]: word,
    ...(intervalMs !== undefined && { [HEALTH_CHECK_INTERVAL_METADATA]: String(Math.round(intervalMs)) }),
    ...(timeoutMs !== undefined && { [HEALTH_CHECK_TIMEOUT_METADATA]: String(Math.round(timeoutMs)) }),
  };
}

function oneActive(): Error {
  return unsupported(
    "Checks",
    "a service has at most one check that is run here (HTTP, TCP or GRPC), and any number of TTL checks",
  );
}

function weightOf(value: unknown): number {
  if (value === undefined) return 1;
  const fields = new Fields(value, "Weights.");
  const passing = fields.whole("Passing") ?? 1;
  const warning = fields.whole("Warning") ?? 1;
  fields.done();
  if (warning !== 1) throw unsupported("Weights.Warning", "a service in warning keeps its weight");
  return passing;
}

/** Consul's other addresses of a service (wan, ipv4): taken where they say what Address and Port say. */
function assertSameAddresses(value: unknown, host: string, port: number): void {
  if (value === undefined) return;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad("must be a map", "TaggedAddresses");
  for (const [name, tagged] of Object.entries(value)) {
    const fields = new Fields(tagged, `TaggedAddresses.${name}.`);
    const address = fields.text("Address");
    const at = fields.whole("Port") ?? port;
    fields.done();
    if ((address === host || (isIP(address) === 0 && address === "")) && (at === port || at === 0)) continue;
    throw unsupported(
      `TaggedAddresses.${name}`,
      "an endpoint has one address; register the other as an instance of its own",
    );
  }
}

const HEALTH_WORDS = [HEALTH_CHECK_METADATA, HEALTH_CHECK_INTERVAL_METADATA, HEALTH_CHECK_TIMEOUT_METADATA];
const MAX_CHECKS = 8;
