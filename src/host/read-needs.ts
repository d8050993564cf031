import { didYouMean } from "../core/suggest.ts";
import type { DescriptionReader, Fields } from "./description-reader.ts";
import type { FieldPath } from "./problems.ts";
import type { SystemUnit } from "./resolve-system.ts";

/** Resolves what each service needs to units, refuses cycles, and gives the units in order of their needs. */
export function readNeeds(reader: DescriptionReader, services: Fields, units: readonly SystemUnit[]): SystemUnit[] {
  const byService = Map.groupBy(units, (unit) => unit.service);
  const needs = new Map<string, string[]>();
  for (const service of byService.keys()) {
    const path: FieldPath = ["services", service, "needs"];
    const wanted = reader.strings((services[service] as Fields).needs, path);
    const found: string[] = [];
    for (const [i, name] of wanted.entries()) {
      const units = byService.get(name) ?? [...byService.values()].flat().filter((unit) => unit.name === name);
      if (units.length === 0)
        reader.problems.add([...path, i], `there is no service "${name}"${didYouMean(name, byService.keys())}`);
      for (const unit of units) found.push(unit.name);
    }
    needs.set(service, found);
  }
  const resolved = new Map(units.map((unit) => [unit.name, { ...unit, needs: needs.get(unit.service) ?? [] }]));
  const ordered: SystemUnit[] = [];
  const state = new Map<string, "visiting" | "done">();
  const visit = (unit: SystemUnit, trail: readonly string[]): void => {
    if (state.get(unit.name) === "done") return;
    if (state.get(unit.name) === "visiting") {
      const cycle = [...trail.slice(trail.indexOf(unit.service)), unit.service];
      reader.problems.add(
        ["services", unit.service, "needs"],
        `needs itself: ${cycle.join(" -> ")}; remove one of these needs`,
      );
      return;
    }
    state.set(unit.name, "visiting");
    for (const need of unit.needs) visit(resolved.get(need) as SystemUnit, [...trail, unit.service]);
    state.set(unit.name, "done");
    ordered.push(Object.freeze(unit));
  };
  for (const unit of resolved.values()) visit(unit, []);
  return ordered;
}
