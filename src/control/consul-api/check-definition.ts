import { isIP } from "node:net";
import { hostPort, parseHostPort } from "../../core/address.ts";
import { Fields } from "./fields.ts";
import { parseGoDuration } from "./go-duration.ts";
import { bad, unsupported } from "./refusal.ts";

export type CheckStatus = "passing" | "warning" | "critical";

/** A check of a service, as it was registered. */
export interface CheckDefinition {
  readonly id: string;
  readonly name: string;
  /** "ttl": its owner says how it is, again and again. The others are run by the control plane's health checks. */
  readonly kind: "ttl" | "http" | "tcp" | "grpc";
  /** Of "ttl"; absent: what it said last holds (checks of the catalog, which somebody else runs). */
  readonly ttlMs?: number;
  /** The service is deregistered when the check was critical for so long. */
  readonly reapMs?: number;
  readonly notes?: string;
}

export interface ParsedCheck {
  readonly definition: CheckDefinition;
  /** As it was given; undefined: not. */
  readonly status: CheckStatus | undefined;
  /** How weft's health checks run it: "http:/healthz"; "" for "ttl". */
  readonly word: string;
  readonly intervalMs: number | undefined;
  readonly timeoutMs: number | undefined;
}

/**
 * Reads a check's definition. `target`: of the service, which is what weft probes. Throws `invalid_argument` for what is malformed, `unimplemented` for what would not act.
 */
export function parseCheck(
  value: unknown,
  path: string,
  defaultId: string,
  target: { host: string; port: number },
): ParsedCheck {
  const fields = new Fields(value, path);
  const id = fields.text("CheckID") || fields.text("ID") || defaultId;
  const name = fields.text("Name");
  const notes = fields.text("Notes");
  const status = statusOf(fields.text("Status"), `${path}Status`);
  const ttl = fields.take("TTL");
  const http = fields.text("HTTP");
  const tcp = fields.text("TCP");
  const grpc = fields.text("GRPC");
  const method = fields.text("Method");
  if (method !== "" && method !== "GET") throw unsupported(`${path}Method`, "checks over HTTP are by GET");
  const grpcTls = fields.flag("GRPCUseTLS");
  const intervalMs = duration(fields.take("Interval"), `${path}Interval`, 50, 3_600_000);
  const timeoutMs = duration(fields.take("Timeout"), `${path}Timeout`, 50, 3_600_000);
  const reapMs = duration(
    fields.take("DeregisterCriticalServiceAfter"),
    `${path}DeregisterCriticalServiceAfter`,
    0,
    365 * 86_400_000,
  );
  fields.take("DisableRedirects"); // a redirect is an answer, and is never followed
  fields.take("OutputMaxSize"); // of what a check prints; none is longer than one line here
  fields.empty(["Args", "ScriptArgs", "Script", "Shell", "DockerContainerID"], (field) =>
    unsupported(field, "the control plane runs no programs; use TTL, or an HTTP, TCP or GRPC check"),
  );
  fields.empty(["AliasNode", "AliasService", "UDP", "H2PING", "H2PingUseTLS", "OSService"], (field) =>
    unsupported(field, "checks are TTL, HTTP, TCP or GRPC"),
  );
  fields.empty(["Header", "Body", "TLSServerName", "TLSSkipVerify", "TCPUseTLS"], (field) =>
    unsupported(field, "probes are plain GETs, connections and gRPC health calls; use TTL for more"),
  );
  fields.empty(["SuccessBeforePassing", "FailuresBeforeWarning", "FailuresBeforeCritical"], (field) =>
    unsupported(field, "two successes bring a service back and three failures take it out, as for all endpoints"),
  );
  fields.empty(["Namespace", "Partition"], (field) => unsupported(field, "there is one namespace"));
  fields.take("ServiceID");
  fields.done();
  assertCheckTexts({ id, name, notes }, path);
  const kinds = [saysTtl(ttl) && "ttl", http && "http", tcp && "tcp", grpc && "grpc"].filter(
    Boolean,
  ) as CheckDefinition["kind"][];
  if (kinds.length !== 1) throw bad("must have one of TTL, HTTP, TCP and GRPC", path.slice(0, -1));
  const [kind] = kinds;
  if (kind === "ttl" && (intervalMs ?? timeoutMs) !== undefined)
    throw bad("a TTL check has no Interval and no Timeout", path.slice(0, -1));
  const common = {
    id,
    name: name || (kind === "ttl" ? "TTL check" : `${kind.toUpperCase()} check`),
    kind,
    ...(reapMs !== undefined && reapMs > 0 && { reapMs: Math.max(reapMs, MIN_REAP_MS) }),
    ...(notes !== "" && { notes }),
  };
  if (kind === "ttl") {
    // Not longer than a lease can be: it is renewed for as long as the check is not overdue.
    const ttlMs = duration(ttl, `${path}TTL`, 100, 1_800_000) ?? 0;
    return { definition: { ...common, ttlMs }, status, word: "", intervalMs, timeoutMs };
  }
  if (grpcTls)
    throw unsupported(`${path}GRPCUseTLS`, "over TLS an endpoint is checked by mutual TLS of the mesh alone");
  const word =
    kind === "http"
      ? httpWord(http, `${path}HTTP`, target)
      : kind === "tcp"
        ? tcpWord(tcp, `${path}TCP`, target)
        : grpcWord(grpc, `${path}GRPC`, target);
  if (status === "warning")
    throw unsupported(`${path}Status`, "a check that is run here begins as passing or critical");
  return { definition: common, status, word, intervalMs, timeoutMs };
}

/** Reads a check of `/v1/catalog/register`: what somebody found who runs it elsewhere. */
export function parseFinding(value: unknown, path: string, defaultId: string): ParsedCheck {
  const fields = new Fields(value, path);
  const id = fields.text("CheckID") || fields.text("Name") || defaultId;
  const name = fields.text("Name") || id;
  const notes = fields.text("Notes");
  const status = statusOf(fields.text("Status"), `${path}Status`) ?? "critical";
  for (const field of ["Node", "ServiceID", "ServiceName", "ServiceTags", "Output", "Type"]) fields.take(field);
  fields.empty(["Definition"], (field) =>
    unsupported(field, "register at /v1/agent/service/register what is to be checked here"),
  );
  fields.empty(["Namespace", "Partition"], (field) => unsupported(field, "there is one namespace"));
  fields.done();
  assertCheckTexts({ id, name, notes }, path);
  const definition = { id, name, kind: "ttl" as const, ...(notes !== "" && { notes }) };
  return { definition, status, word: "", intervalMs: undefined, timeoutMs: undefined };
}

function assertCheckTexts({ id, name, notes }: { id: string; name: string; notes: string }, path: string): void {
  if (!/^[\x21-\x7e]{1,128}$/.test(id))
    throw bad("must be 1 to 128 printable ASCII characters without blanks", `${path}CheckID`);
  if (name.length > 128 || notes.length > 256)
    throw bad("is too long: 128 characters of Name, 256 of Notes", path.slice(0, -1) || "Name");
}

function saysTtl(ttl: unknown): boolean {
  return ttl !== undefined && ttl !== "" && ttl !== 0 && ttl !== "0s";
}

/** Undefined: nothing is said. Throws `invalid_argument`. */
export function statusOf(text: string, field: string): CheckStatus | undefined {
  if (text === "") return undefined;
  if (text === "passing" || text === "warning" || text === "critical") return text;
  throw bad(`must be passing, warning or critical, not ${JSON.stringify(text.slice(0, 40))}`, field);
}

function duration(value: unknown, field: string, min: number, max: number): number | undefined {
  if (value === undefined || value === "" || value === 0) return undefined;
  const ms = parseGoDuration(value);
  if (ms === null) throw bad(`must be a duration such as 10s or 1m30s`, field);
  if (ms === 0 && min <= 50) return undefined;
  if (ms < min || ms > max) throw bad(`must be from ${min} ms to ${max / 1_000} s`, field);
  return ms;
}

function httpWord(text: string, field: string, target: { host: string; port: number }): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw bad("must be a URL", field);
  }
  if (url.protocol !== "http:")
    throw unsupported(field, "checks are over http://; https:// of the mesh is checked by itself");
  if (url.username !== "" || url.password !== "") throw unsupported(field, "a check carries no password");
  assertTarget({ host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || "80") }, target, field);
  return `http:${url.pathname}${url.search}`;
}

function tcpWord(text: string, field: string, target: { host: string; port: number }): string {
  const at = parseHostPort(text);
  if (at === null) throw bad("must be HOST:PORT", field);
  assertTarget(at, target, field);
  return "tcp";
}

function grpcWord(text: string, field: string, target: { host: string; port: number }): string {
  const slash = text.indexOf("/");
  const at = parseHostPort(slash < 0 ? text : text.slice(0, slash));
  if (at === null) throw bad("must be HOST:PORT or HOST:PORT/SERVICE", field);
  assertTarget(at, target, field);
  const service = slash < 0 ? "" : text.slice(slash + 1);
  if (!/^[\w.]*$/.test(service)) throw bad("must be HOST:PORT or HOST:PORT/SERVICE", field);
  return service === "" ? "grpc" : `grpc:${service}`;
}

/** Weft probes the service itself, from where the control plane is: "localhost" is the service's machine. */
function assertTarget(
  asked: { host: string; port: number },
  target: { host: string; port: number },
  field: string,
): void {
  const sameHost = asked.host.toLowerCase() === target.host.toLowerCase() || isOwnMachine(asked.host);
  if (sameHost && asked.port === target.port) return;
  throw unsupported(
    field,
    `it is at ${hostPort(asked.host, asked.port)}, and a service is checked where it is called, at ${hostPort(target.host, target.port)}; use a TTL check for another place`,
  );
}

function isOwnMachine(host: string): boolean {
  return host === "localhost" || (isIP(host) === 4 && host.startsWith("127.")) || host === "::1" || host === "0.0.0.0";
}

/** As Consul's. */
const MIN_REAP_MS = 60_000;
