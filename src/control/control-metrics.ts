import { Role } from "../contract/gen/weft/control/v1/control.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { AuditLog } from "./access/audit-log.ts";
import type { Hub } from "./hub.ts";

export interface ShownControlPlane {
  readonly hub: Hub;
  readonly audit: Pick<AuditLog, "counts">;
  /** How long the store has not answered. */
  readonly storeAwayMs: () => number;
  readonly leads: () => boolean;
  /** Control planes of the store, this one included. */
  readonly planes: () => number;
}

/** What a control plane shows of itself, read when somebody asks: docs/control-metrics.md. */
export function controlMetrics(metrics: Metrics, { hub, audit, storeAwayMs, leads, planes }: ShownControlPlane): void {
  const gauge = (name: string, help: string) => metrics.gauge(`weft_control_${name}`, help).with();
  const processes = metrics.gauge("weft_control_processes", "Attached processes.", ["role"]);
  const endpoints = metrics.gauge("weft_control_endpoints", "Endpoints of all services.", ["health"]);
  const services = gauge("services", "Services that have endpoints or a contract.");
  const revision = gauge("revision", "Revision of routes, policies and settings in force.");
  const refusedRevision = gauge("refused_revision", "The newest revision, where it is not in force; 0: it is.");
  const refused = metrics.counter("weft_control_refused_total", "Requests and attaches that were refused.", ["reason"]);
  const connections = metrics.counter("weft_control_refused_connections_total", "Connections over a limit.", ["limit"]);
  const leading = gauge("leads", "1: it does what one alone may do.");
  const known = gauge("planes", "Control planes of the store, this one included.");
  const cutOff = gauge("cut_off", "1: it sends its processes to another one.");
  const away = gauge("store_away_seconds", "How long the store has not answered; 0: it does.");
  const stale = gauge("registry_stale_seconds", "How old what is known of endpoints is; 0: it is all there is.");
  const entries = metrics.counter("weft_control_audit_entries_total", "Entries of the audit log.", ["outcome"]);
  metrics.onCollect(() => {
    const byRole: Record<string, number> = { gateway: 0, service: 0, sidecar: 0, tool: 0 };
    for (const { hello } of hub.sessions) byRole[ROLES[hello?.role ?? Role.UNSPECIFIED]]++;
    for (const [role, count] of Object.entries(byRole)) processes.with(role).set(count);
    const byHealth: Record<string, number> = { healthy: 0, unhealthy: 0, draining: 0 };
    const all = hub.catalog.services();
    for (const state of all) for (const { health } of state.endpoints.values()) byHealth[health]++;
    for (const [health, count] of Object.entries(byHealth)) endpoints.with(health).set(count);
    services.set(all.length);
    revision.set(hub.ledger.current.revision);
    refusedRevision.set(hub.ledger.refused?.revision ?? 0);
    for (const [reason, count] of hub.refused.byReason) refused.with(reason).value = count;
    for (const [limit, count] of hub.refused.connections) connections.with(limit).value = count;
    leading.set(leads() ? 1 : 0);
    known.set(planes());
    cutOff.set(hub.cutOff ? 1 : 0);
    away.set(storeAwayMs() / 1_000);
    stale.set(hub.view.staleMs / 1_000);
    entries.with("written").value = audit.counts.written;
    entries.with("lost").value = audit.counts.lost;
  });
}

const ROLES: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: "tool",
  [Role.GATEWAY]: "gateway",
  [Role.SERVICE]: "service",
  [Role.SIDECAR]: "sidecar",
};
