import { formatMs } from "../../host/format-ms.ts";
import { CONTROL_UNIT, DNS_UNIT, GATEWAY_UNIT, LOAD_UNIT } from "../../host/launch.ts";
import type { System, SystemUnit } from "../../host/resolve-system.ts";
import { sidecarUnit } from "../../host/sidecar.ts";
import type { InstanceView } from "../../host/types.ts";
import { type Cell, type Column, formatColumns } from "../columns.ts";
import type { Style } from "../terminal.ts";
import type { CallFigures, CallStats } from "./call-stats.ts";

/** The live table: one row for each unit, services in the order they were described, weft's own processes last. */
export function renderTable(
  system: System,
  instances: readonly InstanceView[],
  stats: CallFigures,
  style: Style,
): string[] {
  const byUnit = Map.groupBy(instances, (instance) => instance.unit);
  const names = system.units.map((unit) => unit.name);
  for (const name of [GATEWAY_UNIT, DNS_UNIT, CONTROL_UNIT, LOAD_UNIT]) if (byUnit.has(name)) names.push(name);
  const withSidecars = system.units.some((unit) => unit.sidecar !== null);
  const rows = names.map((name) => {
    const own = byUnit.get(name) ?? [];
    const unit = system.units.find((candidate) => candidate.name === name);
    const figures =
      unit !== undefined
        ? stats.endpoints(own.map((instance) => instance.id))
        : name === GATEWAY_UNIT
          ? stats.total()
          : null;
    const ready = own.filter((instance) => instance.state === "ready" && instance.health === "healthy").length;
    const wanted = unit?.replicas ?? 1;
    const restarts = own.reduce((total, instance) => total + instance.restarts, 0);
    const cells: Cell[] = [
      { text: unit?.service ?? name, style: unit === undefined ? style.dim : style.bold },
      { text: unit?.version ?? "" },
      { text: `${ready}/${wanted}`, style: ready >= wanted ? undefined : style.yellow },
      health(own, unit?.needs ?? [], style),
      { text: String(restarts), style: restarts > 0 ? style.yellow : style.dim },
      { text: addresses(own) },
      ...figureCells(figures, style),
    ];
    const beside = unit === undefined || unit.sidecar === null ? [] : (byUnit.get(sidecarUnit(unit)) ?? []);
    if (withSidecars) cells.splice(3, 0, unit === undefined ? { text: "" } : sidecars(unit, beside, style));
    return cells;
  });
  return formatColumns(withSidecars ? COLUMNS.toSpliced(3, 0, { title: "SIDECARS" }) : COLUMNS, rows, style.dim);
}

const COLUMNS: readonly Column[] = [
  { title: "SERVICE" },
  { title: "VERSION" },
  { title: "REPLICAS", align: "right" },
  { title: "HEALTH" },
  { title: "RESTARTS", align: "right" },
  { title: "ADDRESS" },
  { title: "CALLS/S", align: "right" },
  { title: "P50", align: "right" },
  { title: "P99", align: "right" },
  { title: "ERRORS", align: "right" },
];

/** "2/2", "1/2 envoy": those that take calls, of those that there should be. */
function sidecars({ sidecar, replicas }: SystemUnit, own: readonly InstanceView[], style: Style): Cell {
  if (sidecar === null) return { text: "" };
  const ready = own.filter((instance) => instance.state === "ready").length;
  const text = `${ready}/${replicas}${sidecar.proxy === "envoy" ? " envoy" : ""}`;
  return { text, style: ready >= replicas ? undefined : style.yellow };
}

/** What a person must know first of a unit: the worst of its instances. */
function health(instances: readonly InstanceView[], needs: readonly string[], style: Style): Cell {
  const crashed = instances.find((instance) => instance.state === "backoff");
  if (crashed !== undefined) return { text: `crashed: ${clip(crashed.lastReason, 32)}`, style: style.red };
  if (instances.some((instance) => instance.state === "ready" && instance.health === "unhealthy"))
    return { text: "unhealthy", style: style.red };
  if (instances.some((instance) => instance.state === "ready" && instance.health === null)) {
    return { text: "unregistered", style: style.yellow };
  }
  if (instances.some((instance) => instance.state === "exited")) return { text: "ended", style: style.yellow };
  if (instances.some((instance) => instance.state === "waiting")) {
    return { text: needs.length === 0 ? "waiting" : clip(`waits for ${needs.join(", ")}`, 40), style: style.dim };
  }
  if (instances.some((instance) => instance.state === "starting")) return { text: "starting", style: style.yellow };
  if (instances.some((instance) => instance.state === "draining" || instance.state === "killing"))
    return { text: "draining", style: style.yellow };
  return instances.length === 0 ? { text: "stopped", style: style.dim } : { text: "healthy", style: style.green };
}

function addresses(instances: readonly InstanceView[]): string {
  const known = instances.map((instance) => instance.address).filter((address) => address !== "");
  return known.length > 1 ? `${known[0]} +${known.length - 1}` : (known[0] ?? "");
}

function figureCells(figures: CallStats | null, style: Style): Cell[] {
  if (figures === null) return [{ text: "" }, { text: "" }, { text: "" }, { text: "" }];
  const { perSecond, p50Ms, p99Ms, errors, failing } = figures;
  return [
    { text: perSecond >= 10 || perSecond === 0 ? perSecond.toFixed(0) : perSecond.toFixed(1) },
    { text: latency(p50Ms) },
    { text: latency(p99Ms) },
    { text: String(errors), style: failing ? style.red : errors === 0 ? style.dim : undefined },
  ];
}

function latency(ms: number): string {
  if (Number.isNaN(ms)) return "";
  return ms < 10 ? `${ms.toFixed(1)} ms` : formatMs(ms);
}

function clip(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
