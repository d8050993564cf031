import type { Endpoint } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";

/** How an endpoint is checked. Total; made by resolveHealthCheck. */
export interface HealthCheck {
  /**
   * "tcp": a connection can be made. "http": GET `path` answers 200 to 399. "grpc": grpc.health.v1 says SERVING for `service`.
   * "ttl": nothing is sent; the lease and the owner's own word are all.
   */
  readonly kind: "tcp" | "http" | "grpc" | "ttl";
  /** http: default "/". */
  readonly path: string;
  /** grpc: full name of the gRPC service; "" (default) is the whole server. */
  readonly service: string;
  /** Between checks, ms. Default 500 for loopback addresses, 5,000 for others. */
  readonly intervalMs: number;
  /** Default 1,000 and never above 10 intervals. */
  readonly timeoutMs: number;
  /** Failures in a row that take an endpoint out. Default 3. A refused connection counts for all of them. */
  readonly unhealthyThreshold: number;
  /** Successes in a row that bring it back. Default 2. */
  readonly healthyThreshold: number;
}

export interface HealthCheckOptions {
  /** For every service. */
  defaults?: Partial<HealthCheck>;
  /** By service name; what is absent is taken from `defaults`. */
  services?: Readonly<Record<string, Partial<HealthCheck>>>;
}

/** Metadata key by which an endpoint says how it wants to be checked: "tcp", "http:/healthz", "grpc", "grpc:orders.v1.Orders", "ttl". */
export const HEALTH_CHECK_METADATA = "weft.health-check";
/** Likewise how often, and how long a probe may take: whole milliseconds from 50 to 3,600,000. */
export const HEALTH_CHECK_INTERVAL_METADATA = "weft.health-check-interval-ms";
export const HEALTH_CHECK_TIMEOUT_METADATA = "weft.health-check-timeout-ms";

/** The endpoint's own word on kind, path and service is the most specific; a word that is not understood leaves the rest as it is. */
export function resolveHealthCheck(endpoint: Endpoint, options: HealthCheckOptions): HealthCheck {
  const loopback = isLoopback(endpoint.host);
  const base: HealthCheck = {
    // A datagram that nobody understands is not answered: nothing could be learned from sending one.
    kind: endpoint.protocol === "udp" ? "ttl" : "tcp",
    path: "/",
    service: "",
    intervalMs: loopback ? 500 : 5_000,
    timeoutMs: 1_000,
    unhealthyThreshold: 3,
    healthyThreshold: 2,
    ...options.defaults,
    ...options.services?.[endpoint.service],
    ...ownMs(endpoint, HEALTH_CHECK_INTERVAL_METADATA, "intervalMs"),
    ...ownMs(endpoint, HEALTH_CHECK_TIMEOUT_METADATA, "timeoutMs"),
  };
  const match = /^(tcp|ttl|grpc|http)(?::(.*))?$/.exec(endpoint.metadata[HEALTH_CHECK_METADATA] ?? "");
  if (match === null) return base;
  const [, kind, detail = ""] = match;
  if (kind === "http") return { ...base, kind, path: detail.startsWith("/") ? detail : "/" };
  if (kind === "grpc") return { ...base, kind, service: detail };
  return { ...base, kind: kind as "tcp" | "ttl" };
}

/** Throws `invalid_argument`, naming the field. */
export function assertHealthCheckOptions(options: HealthCheckOptions): void {
  const check = (given: Partial<HealthCheck>, where: string) => {
    const bad = (field: string, problem: string): never => {
      throw new WeftError("invalid_argument", `health check ${where}: ${field} ${problem}`, {
        reason: "INVALID_HEALTH_CHECK",
        place: { field: `${where}.${field}` },
      });
    };
    if (given.kind !== undefined && !["tcp", "http", "grpc", "ttl"].includes(given.kind))
      bad("kind", "must be tcp, http, grpc or ttl");
    if (given.path !== undefined && !given.path.startsWith("/")) bad("path", 'must begin with "/"');
    for (const field of ["intervalMs", "timeoutMs"] as const) {
      const value = given[field];
      if (value !== undefined && !(value >= 50 && value <= 3_600_000)) bad(field, "must be from 50 to 3600000");
    }
    for (const field of ["unhealthyThreshold", "healthyThreshold"] as const) {
      const value = given[field];
      if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= 100))
        bad(field, "must be an integer from 1 to 100");
    }
  };
  if (options.defaults !== undefined) check(options.defaults, "defaults");
  for (const [service, given] of Object.entries(options.services ?? {})) check(given, `services.${service}`);
}

/** "tcp", "http /healthz", "grpc", "grpc orders.v1.Orders", "ttl". */
export function describeHealthCheck(check: HealthCheck): string {
  if (check.kind === "http") return `http ${check.path}`;
  return check.kind === "grpc" && check.service !== "" ? `grpc ${check.service}` : check.kind;
}

/** What an endpoint says of itself; nothing where that is out of bounds. */
function ownMs(endpoint: Endpoint, name: string, field: "intervalMs" | "timeoutMs"): Partial<HealthCheck> {
  const text = endpoint.metadata[name] ?? "";
  const value = /^\d{2,7}$/.test(text) ? Number(text) : 0;
  return value >= 50 && value <= 3_600_000 ? { [field]: value } : {};
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
