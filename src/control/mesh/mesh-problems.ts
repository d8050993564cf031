import type { MeshProblemSchema } from "../../contract/gen/weft/control/v1/mesh.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { DataPlaneState } from "./data-plane.ts";
import type { MeshEdge, MeshNode } from "./topology.ts";

export interface SeenMesh {
  readonly nodes: readonly MeshNode[];
  readonly edges: readonly MeshEdge[];
  readonly planes: readonly DataPlaneState[];
  /** The newest one, and when it was published. */
  readonly revision: number;
  readonly publishedMs: number;
  /** Data planes have been asked just now. */
  readonly probed: boolean;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

type Problem = MessageInitShape<typeof MeshProblemSchema>;

/** What is wrong, worst first: what data planes refuse or do not enforce, services that cannot be reached, calls that fail, calls in plain text. */
export function meshProblems({ nodes, edges, planes, revision, publishedMs, probed, now }: SeenMesh): Problem[] {
  const refused: Problem[] = [];
  const behind: Problem[] = [];
  for (const { process, kind, acknowledged, enforced, probedMs, refusals, attachedMs } of planes) {
    for (const refusal of refusals) {
      const what =
        refusal.resource === ""
          ? `revision ${refusal.revision}`
          : `${refusal.resource} of revision ${refusal.revision}`;
      const isOfSettings = refusal.resource.startsWith("settings ");
      const stays = isOfSettings
        ? "those before stay"
        : acknowledged === 0
          ? "nothing is in force there"
          : `revision ${acknowledged} stays`;
      refused.push({ kind: "refused", subject: process, message: `refused ${what}, ${stays}: ${refusal.reason}` });
    }
    if (refusals.some(({ resource }) => !resource.startsWith("settings ")) || now - attachedMs < GRACE_MS) continue;
    // A gRPC client takes no requests that it could be probed by.
    if (probed && kind !== "grpc" && now - probedMs > SILENT_MS) {
      behind.push({ kind: "silent", subject: process, message: "did not say by which revision it decides" });
    } else if (acknowledged < revision && now - publishedMs > GRACE_MS) {
      const message = `has not said yet that revision ${revision} is in force, ${acknowledged || "none"} is`;
      behind.push({ kind: "behind", subject: process, message });
    } else if (probed && kind !== "grpc" && enforced < acknowledged) {
      const message = `said that revision ${acknowledged} is in force, and decides calls by ${enforced}`;
      behind.push({ kind: "not-enforced", subject: process, message });
    }
  }
  const inClear = [...unproven(nodes), ...inPlainText(nodes, edges)];
  return [...refused, ...unreachable(nodes), ...behind, ...failing(edges), ...inClear];
}

function unreachable(nodes: readonly MeshNode[]): Problem[] {
  return nodes.flatMap(({ name, kind, versions = [] }): Problem[] => {
    if (kind !== "service") return [];
    const all = versions.reduce((sum, { endpoints = 0 }) => sum + endpoints, 0);
    const healthy = versions.reduce((sum, version) => sum + (version.healthy ?? 0), 0);
    if (healthy > 0) return [];
    const message = all === 0 ? "is called, and has no endpoints" : `none of its ${all} endpoints is healthy`;
    return [{ kind: "unhealthy", subject: name, message }];
  });
}

function failing(edges: readonly MeshEdge[]): Problem[] {
  return edges
    .filter(({ calls, errors }) => calls >= MIN_CALLS && errors / calls >= MANY_ERRORS)
    .sort((a, b) => b.errors / b.calls - a.errors / a.calls)
    .map(({ from, to, version, calls, errors }) => {
      const subject = `${from} -> ${version === "" ? to : `${to}@${version}`}`;
      return { kind: "errors", subject, message: `${Math.round((100 * errors) / calls)} % of ${calls} calls failed` };
    });
}

/** Endpoints that nobody may call. */
function unproven(nodes: readonly MeshNode[]): Problem[] {
  return nodes.flatMap(({ name, mtls, versions = [] }): Problem[] => {
    if (mtls !== "strict") return [];
    const all = versions.reduce((sum, { endpoints = 0 }) => sum + endpoints, 0);
    const without = versions.reduce((sum, { endpoints = 0, identified = 0 }) => sum + endpoints - identified, 0);
    if (without === 0) return [];
    const message = `takes mutual TLS alone, and ${without} of its ${all} endpoints ${without === 1 ? "proves" : "prove"} no identity: start them with a join token`;
    return [{ kind: "no-identity", subject: name, message }];
  });
}

/** Calls that came through in plain text although the service wants none; whoever answered them was not it. */
function inPlainText(nodes: readonly MeshNode[], edges: readonly MeshEdge[]): Problem[] {
  const strict = new Set(nodes.filter(({ mtls }) => mtls === "strict").map(({ name }) => name));
  return edges
    .filter(({ to, calls, errors, secure }) => strict.has(to) && calls - errors > secure)
    .map(({ from, to, calls, errors, secure }) => {
      const message = `${calls - errors - secure} of ${calls} calls were answered without mutual TLS, which ${to} requires`;
      return { kind: "plaintext", subject: `${from} -> ${to}`, message };
    });
}

/** What is newer may not have come there yet. */
const GRACE_MS = 2_000;
/** More than a probe may take. */
const SILENT_MS = 15_000;
const MIN_CALLS = 10;
const MANY_ERRORS = 0.05;
