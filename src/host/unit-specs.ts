import { CONTROL_UNIT, DNS_UNIT, GATEWAY_UNIT, LOAD_UNIT } from "./launch.ts";
import type { System } from "./resolve-system.ts";
import { SIDECAR_SUFFIX, sidecarUnit } from "./sidecar.ts";
import type { UnitSpec } from "./supervisor-types.ts";

/** The control plane first and who answers DNS queries, then services by their needs, the gateway, the load driver; stopping goes the other way. */
export function unitSpecs(system: System, load: boolean): UnitSpec[] {
  const own = { replicas: 1, readyTimeoutMs: 60_000, drainMs: 10_000, restart: "always", replace: "recreate" } as const;
  // Services are told where names are answered.
  const first = system.dns === null ? [CONTROL_UNIT] : [CONTROL_UNIT, DNS_UNIT];
  const services = system.units.flatMap((unit): UnitSpec[] => {
    const main: UnitSpec = { ...unit, needs: [...first, ...unit.needs], replace: "rolling" };
    if (unit.sidecar === null) return [main];
    const name = sidecarUnit(unit);
    const beside = { unit: unit.name, suffix: SIDECAR_SUFFIX };
    return [
      { ...main, needs: [...main.needs, name] },
      { ...own, name, prefix: name, needs: first, drainMs: unit.drainMs, beside },
    ];
  });
  const specs: UnitSpec[] = [{ ...own, name: CONTROL_UNIT, prefix: CONTROL_UNIT, needs: [] }];
  if (system.dns !== null) specs.push({ ...own, name: DNS_UNIT, prefix: DNS_UNIT, needs: [CONTROL_UNIT] });
  specs.push(...services);
  const needs = [CONTROL_UNIT, ...system.units.map((unit) => unit.name)];
  if (system.gateway !== null) specs.push({ ...own, name: GATEWAY_UNIT, prefix: GATEWAY_UNIT, needs });
  if (load && system.load !== null) specs.push({ ...own, name: LOAD_UNIT, prefix: LOAD_UNIT, needs: [GATEWAY_UNIT] });
  return specs;
}
