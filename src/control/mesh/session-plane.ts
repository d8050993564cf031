import { type Edge, Role } from "../../contract/gen/weft/control/v1/control.ts";
import { LATENCY_BUCKETS } from "../../core/latency-buckets.ts";
import { isPrintable } from "../../core/printable.ts";
import type { Session } from "../session.ts";
import type { DataPlaneKind, DataPlaneState } from "./data-plane.ts";
import type { EdgeReading } from "./traffic-store.ts";

/** An attached process of weft's as a data plane; null of one that only looks, or has not said what it is. */
export function dataPlaneOf(session: Session): DataPlaneState | null {
  const { hello, address, attachedAtMs, applied, probed } = session;
  const kind = hello === null ? undefined : KINDS[hello.role];
  if (hello === null || kind === undefined) return null;
  const refused = applied !== null && applied.error !== "";
  return {
    process: hello.process,
    kind,
    service: session.service,
    node: hello.node,
    version: hello.version,
    address,
    attachedMs: attachedAtMs,
    sent: session.revision,
    acknowledged: Math.max(0, Math.min(session.acknowledged, session.settings.unanswered - 1)),
    enforced: probed?.revision ?? 0,
    probedMs: probed?.atMs ?? 0,
    refusals: [
      ...(refused ? [{ revision: applied.revision, resource: "", reason: applied.error }] : []),
      ...session.settings.refusals(),
    ],
    probe: (timeoutMs) => session.probe(timeoutMs),
  };
}

/** What a process is called in the topology: its service, "gateway", or its own name. */
export function nodeOf({ service, hello }: Pick<Session, "service" | "hello">): string {
  if (hello?.role === Role.GATEWAY) return "gateway";
  // "orders" of "orders-2/4711/k3f9".
  return service || (hello?.process ?? "").split("/", 1)[0].replace(/-\d+$/, "");
}

/** What the process says of one backend, as far as it may be believed: none when it makes no sense. */
export function readingOf({ service, version, calls, errors, secure, attempts, latency }: Edge): EdgeReading[] {
  const { buckets = [], counts = [] } = latency ?? {};
  if (service.length > MAX_NAME || version.length > MAX_NAME) return [];
  if (!isPrintable(service) || !isPrintable(version)) return [];
  if (buckets.length !== counts.length || buckets.length > LATENCY_BUCKETS) return [];
  return [
    {
      service,
      version,
      calls: Number(calls),
      errors: Number(errors),
      secure: Number(secure),
      attempts: Number(attempts),
      buckets,
      counts: counts.map(Number),
    },
  ];
}

const KINDS: Readonly<Partial<Record<Role, DataPlaneKind>>> = {
  [Role.GATEWAY]: "gateway",
  [Role.SERVICE]: "service",
  [Role.SIDECAR]: "sidecar",
};
const MAX_NAME = 253;
