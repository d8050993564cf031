import type { Decision } from "../call.ts";
import { type ExplainOptions, explainDecision } from "./explain.ts";

/** One process's decision about a call that several decided on. */
export interface HopDecision {
  /** "gateway/4711/k3f9" */
  readonly process: string;
  readonly node: string;
  /** Ids of the endpoints that the process serves. */
  readonly endpoints: readonly string[];
  readonly request: string;
  /** Since the Unix epoch, by the clock of the process's machine. */
  readonly startedMs: number;
  readonly decision: Decision;
}

/** A decision and those that followed from its attempts. */
export interface CallNode extends HopDecision {
  /** In the order of time; `attempt` is the caller's. */
  readonly children: readonly { readonly attempt: number; readonly call: CallNode }[];
}

/**
 * Puts the decisions of one request id in their order: what a process decided while an attempt of another was at one of its endpoints follows from that
 * attempt. Of several attempts at the same process the one counts during which the decision began; as clocks of machines differ, otherwise the nearest.
 */
export function callTree(hops: readonly HopDecision[]): CallNode[] {
  const ordered = [...hops].sort((a, b) => a.startedMs - b.startedMs);
  const nodes = ordered.map((hop) => ({ ...hop, children: [] as { attempt: number; call: CallNode }[] }));
  const parents = new Map<CallNode, CallNode>();
  const roots: CallNode[] = [];
  for (const node of nodes) {
    const found = nearestAttempt(node, nodes);
    if (found === null || isAncestor(node, found.caller, parents)) {
      roots.push(node);
      continue;
    }
    parents.set(node, found.caller);
    found.caller.children.push({ attempt: found.attempt, call: node });
  }
  return roots;
}

/** As text, each followed by what followed from it, indented. `timeOf` words a time for people. */
export function explainCallTree(roots: readonly CallNode[], timeOf: (wallMs: number) => string): string {
  return roots.map((root) => explainNode(root, timeOf)).join("\n");
}

function explainNode(
  { request, startedMs, process, decision, children }: CallNode,
  timeOf: (wallMs: number) => string,
): string {
  const options: ExplainOptions = {
    request,
    when: timeOf(startedMs),
    process: process.split("/", 1)[0],
    under: (attempt) =>
      children
        .filter((child) => child.attempt === attempt)
        .flatMap(({ call }) => explainNode(call, timeOf).split("\n")),
  };
  return explainDecision(decision, options);
}

type Growing = HopDecision & { children: { attempt: number; call: CallNode }[] };

function nearestAttempt(node: CallNode, callers: readonly Growing[]): { caller: Growing; attempt: number } | null {
  let best: { caller: Growing; attempt: number; distance: number } | null = null;
  for (const caller of callers) {
    if (caller === node) continue;
    for (const { number, endpoint, startMs, durationMs } of caller.decision.attempts) {
      if (!node.endpoints.includes(endpoint)) continue;
      const from = caller.startedMs + startMs;
      const distance = Math.max(0, from - node.startedMs, node.startedMs - (from + durationMs));
      // Of two during which it began the later one is meant.
      if (best === null || distance < best.distance || (distance === 0 && best.distance === 0)) {
        best = { caller, attempt: number, distance };
      }
    }
  }
  return best;
}

function isAncestor(node: CallNode, of: CallNode, parents: ReadonlyMap<CallNode, CallNode>): boolean {
  for (let at: CallNode | undefined = of; at !== undefined; at = parents.get(at)) if (at === node) return true;
  return false;
}
