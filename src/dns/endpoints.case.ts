import type { Endpoint } from "../core/endpoint.ts";
import { Zone, type ZoneOptions } from "./zone.ts";

/** An endpoint of "products" at 127.0.0.N. */
export function endpoint(n: number, changes: Partial<Endpoint> = {}): Endpoint {
  return {
    id: `products-${n}`,
    service: "products",
    host: `127.0.0.${n}`,
    port: 8_000 + n,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
    ...changes,
  };
}

export function zoneOf(endpoints: readonly Endpoint[], options?: ZoneOptions): Zone {
  const zone = new Zone(options);
  zone.apply({ full: true, changed: endpoints, removed: [] });
  return zone;
}
