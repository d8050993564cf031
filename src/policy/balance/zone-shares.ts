/** Percent of a caller's calls that go to each zone; all to the own one when `local` is 100. */
export interface ZoneShares {
  /** -1: zones are not looked at. */
  readonly local: number;
  /** By zone, the own one included; they add up to 100. */
  readonly byZone: ReadonlyMap<string, number>;
}

export const NO_ZONES: ZoneShares = { local: -1, byZone: new Map() };

/**
 * Envoy's zone-aware routing (ZoneAwareLoadBalancerBase; "Zone aware routing"): calls stay in the caller's zone if it has at least the share of the endpoints that it has
 * of the callers. Otherwise as many stay as it can carry, and the rest goes to the zones that have more endpoints than callers, by how many more.
 *
 * `endpoints` and `callers`: how many there are in each zone. Callers that are not known are taken to be spread evenly over the endpoints' zones.
 * Not looked at without a zone of one's own, with no endpoint in it, or with fewer than `minEndpoints` in all (Envoy's default: 6).
 */
export function zoneShares(
  zone: string,
  endpoints: ReadonlyMap<string, number>,
  callers: ReadonlyMap<string, number>,
  minEndpoints: number,
): ZoneShares {
  const all = sum(endpoints);
  if (zone === "" || !endpoints.get(zone) || all < minEndpoints || endpoints.size < 2) return NO_ZONES;
  const calling = sum(callers);
  const endpointShare = (name: string): number => (endpoints.get(name) ?? 0) / all;
  const callerShare = (name: string): number =>
    calling === 0 ? 1 / endpoints.size : (callers.get(name) ?? 0) / calling;
  const own = callerShare(zone);
  if (endpointShare(zone) >= own) return { local: 100, byZone: new Map([[zone, 100]]) };
  const local = (endpointShare(zone) / own) * 100;
  const residual = new Map<string, number>();
  for (const name of endpoints.keys()) {
    const more = name === zone ? 0 : endpointShare(name) - callerShare(name);
    if (more > 0) residual.set(name, more);
  }
  const spare = sum(residual);
  const byZone = new Map([[zone, local]]);
  for (const [name, more] of residual) byZone.set(name, ((100 - local) * more) / spare);
  return { local, byZone };
}

function sum(counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}
