import type { Endpoint } from "../../src/core/endpoint.ts";
import { rateLimit, route, traffic } from "../../src/policy/builders.ts";
import type { Resource } from "../../src/policy/resource/resources.ts";

/** The system that is measured. */
export const SERVICES = 1_000;
export const ENDPOINTS = 10;
/** Data planes of weft's own: the first GATEWAYS hold everything, each other uses USED services, one of which all use. */
export const PLANES = 200;
export const GATEWAYS = 2;
export const USED = 5;
/** Data planes by delta xDS, each with all services. */
export const XDS_PLANES = 20;

/** What a process of data planes, or the control plane's, tells. */
export interface Told {
  readonly kind: "ready" | "endpoint" | "revision" | "held" | "usage";
  readonly plane: number;
  /** Of the marked endpoint's port, or the revision. */
  readonly value: number;
  /** Epoch ms. */
  readonly at: number;
  /** kind "held": resources and services that are held, services with resources of their own. */
  readonly resources?: number;
  readonly services?: number;
  /** kind "usage": CPU since the start, ms; the most resident memory since it was asked last, bytes. */
  readonly cpuMs?: number;
  readonly rss?: number;
}

export const now = (): number => performance.timeOrigin + performance.now();

export function endpoint(service: number, n: number, port = 9_000 + n): Endpoint {
  const name = `service-${service}`;
  const rest = { version: "v1", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
  return { id: `${name}-${n}`, service: name, host: "10.0.0.1", port, ...rest };
}

/** Policies and routes of every service; a version is what changes from revision to revision. */
export function resourcesOf(versions: readonly number[]): Resource[] {
  return versions.flatMap((version, i) => {
    const name = `service-${i}`;
    return [
      ...traffic(name)
        .timeout(2_000 + version)
        .retry(2)
        .breaker()
        .resources(),
      ...route(`/v1/${name}`).to(name).resources(),
      ...(i % 5 === 0 ? rateLimit(name).allow(1_000).resources() : []),
    ];
  });
}
