import { isServerFault } from "../../core/grpc-status.ts";
import { outcomeText } from "../decision/outcome-text.ts";
import type { Resource } from "../resource/resources.ts";
import { Player } from "./player.ts";
import type { RecordedCall, RecordedDecision, RecordedLine } from "./recorded.ts";
import { type Resimulated, resimulate } from "./resimulate.ts";

export interface ReplayReport {
  /** Recorded, and how long from the first to the last. */
  readonly calls: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Calls that were not recorded although they were to be. */
  readonly lost: number;
  /** Under the recorded policy, decided again. */
  readonly identical: number;
  /** Calls that began before the recording did: what they began under is not in it. */
  readonly unplayable: number;
  /** Of those that came out otherwise: request ids, at most 10. */
  readonly diverged: { readonly count: number; readonly examples: readonly string[] };
  /** Null without a proposal. */
  readonly proposal: ProposalReport | null;
}

export interface ProposalReport {
  /** Resources that were in force when the recording ended and are not in the proposal, which stands in place of all: "HTTPRoute/products". */
  readonly left: readonly string[];
  readonly flips: readonly Flips[];
  readonly rejections: readonly Rejections[];
  readonly endpoints: readonly EndpointLoad[];
  /** Calls in which some answer had to be estimated. */
  readonly guessed: number;
  /** Calls of which nobody knows what they would have come to; they are in none of the other figures but the load. */
  readonly undecided: number;
}

export interface Flips {
  readonly kind: FlipKind;
  readonly count: number;
  /** Of those, whose new outcome rests on simulated state or on an answer that is not in the recording. */
  readonly estimated: number;
  readonly examples: readonly FlipExample[];
}

/**
 *     denied     a rule refuses what passed          allowed    the other way round
 *     failed     what was answered well fails         ok         the other way round
 *     backend    another service or version answers
 */
export type FlipKind = "denied" | "allowed" | "failed" | "ok" | "backend";

export interface FlipExample {
  readonly requestId: string;
  readonly request: string;
  readonly before: string;
  readonly after: string;
  /** What decided: "limit (RateLimit orders)". */
  readonly by: string;
  readonly estimated: boolean;
}

/** Calls that one rule refuses. */
export interface Rejections {
  readonly rule: string;
  readonly before: number;
  readonly after: number;
  readonly examples: readonly string[];
}

/** Attempts at one endpoint. */
export interface EndpointLoad {
  readonly endpoint: string;
  readonly before: number;
  readonly after: number;
}

/** Decides a recording again: as it was, and under `proposed` resources when there are any. */
export function replayReport(
  lines: readonly RecordedLine[],
  proposed: readonly Resource[] | null,
  seed = 1,
): ReplayReport {
  const calls = lines.filter((line): line is RecordedCall => line.t === "call");
  const times = calls.map(({ at }) => at);
  const { diverged, unplayable } = playAll(lines);
  return {
    calls: calls.length,
    fromMs: times.length === 0 ? 0 : times.reduce((a, b) => Math.min(a, b)),
    toMs: times.length === 0 ? 0 : times.reduce((a, b) => Math.max(a, b)),
    lost: lines.reduce((sum, line) => sum + (line.t === "lost" ? line.calls : 0), 0),
    identical: calls.length - diverged.length - unplayable,
    unplayable,
    diverged: { count: diverged.length, examples: diverged.slice(0, MAX_EXAMPLES) },
    proposal:
      proposed === null ? null : { left: leftOut(lines, proposed), ...compare(resimulate(lines, proposed, seed)) },
  };
}

/** Request ids of calls that come out otherwise than recorded. */
function playAll(lines: readonly RecordedLine[]): { diverged: string[]; unplayable: number } {
  const player = new Player();
  const diverged: string[] = [];
  let unplayable = 0;
  for (const line of lines) {
    if (line.t !== "call") {
      player.state(line);
      continue;
    }
    const played = player.play(line);
    if (played === null) unplayable++;
    else if (played.diverged || JSON.stringify(played.decision) !== JSON.stringify(line.decision))
      diverged.push(line.decision.requestId);
  }
  return { diverged, unplayable };
}

function leftOut(lines: readonly RecordedLine[], proposed: readonly Resource[]): string[] {
  const name = ({ kind, metadata }: Resource): string => `${kind}/${metadata.name}`;
  const there = new Set(proposed.map(name));
  const recorded = lines.findLast((line) => line.t === "resources");
  return (recorded?.resources ?? []).map(name).filter((one) => !there.has(one));
}

function compare(results: readonly Resimulated[]): Omit<ProposalReport, "left"> {
  const flips = new Map<FlipKind, { count: number; estimated: number; examples: FlipExample[] }>();
  const rejections = new Map<string, { before: number; after: number; examples: string[] }>();
  const endpoints = new Map<string, { before: number; after: number }>();
  let guessed = 0;
  let undecided = 0;
  for (const { call, decision, guessed: isGuessed, undecided: isUndecided } of results) {
    const before = call.decision;
    for (const { endpoint } of before.attempts) load(endpoints, endpoint).before++;
    for (const { endpoint } of decision.attempts) load(endpoints, endpoint).after++;
    if (isUndecided) {
      undecided++;
      continue;
    }
    if (isGuessed) guessed++;
    const kind = flipOf(before, decision);
    if (kind !== null) {
      const flip = flips.get(kind) ?? { count: 0, estimated: 0, examples: [] };
      flips.set(kind, flip);
      const by = decidedBy(kind === "allowed" || kind === "ok" ? before : decision);
      const estimated = isGuessed || !FROM_REQUEST.has(by.rule);
      flip.count++;
      if (estimated) flip.estimated++;
      if (flip.examples.length < MAX_EXAMPLES) {
        const request = `${(call.asSent ?? call.request).method} ${(call.asSent ?? call.request).path}`;
        const { requestId } = before;
        flip.examples.push({
          requestId,
          request,
          before: endText(before, call, kind),
          after: endText(decision, call, kind),
          by: by.text,
          estimated,
        });
      }
    }
    const [old, fresh] = [refusedBy(before), refusedBy(decision)];
    if (old !== "") tally(rejections, old).before++;
    if (fresh !== "") {
      const rejection = tally(rejections, fresh);
      rejection.after++;
      if (old === "" && rejection.examples.length < MAX_EXAMPLES) rejection.examples.push(before.requestId);
    }
  }
  return {
    flips: FLIP_KINDS.flatMap((kind) => {
      const found = flips.get(kind);
      return found === undefined ? [] : [{ kind, ...found }];
    }),
    rejections: Array.from(rejections, ([rule, counts]) => ({ rule, ...counts })).sort(
      (a, b) => b.after - b.before - (a.after - a.before),
    ),
    endpoints: Array.from(endpoints, ([endpoint, counts]) => ({ endpoint, ...counts })).sort((a, b) =>
      a.endpoint < b.endpoint ? -1 : 1,
    ),
    guessed,
    undecided,
  };
}

const FLIP_KINDS: readonly FlipKind[] = ["denied", "failed", "backend", "allowed", "ok"];

/** Null when the call's outcome is of the same kind. */
function flipOf(before: RecordedDecision, after: RecordedDecision): FlipKind | null {
  const [wasRefused, isRefused] = [refusedBy(before) !== "", refusedBy(after) !== ""];
  if (wasRefused !== isRefused) return isRefused ? "denied" : "allowed";
  const [hadFailed, hasFailed] = [isFailed(before), isFailed(after)];
  if (hadFailed !== hasFailed) return hasFailed ? "failed" : "ok";
  return before.backend === after.backend ? null : "backend";
}

/** The rule that refused the call before any attempt, "" when none did. */
function refusedBy({ steps, route, attempts, outcome }: RecordedDecision): string {
  if (attempts.length > 0) return "";
  const denied = steps.find(({ verdict }) => verdict === "denied");
  if (denied !== undefined) return nameOf(denied);
  return route === "" && outcome.reason === "NO_ROUTE" ? "route" : "";
}

function decidedBy(decision: RecordedDecision): { rule: string; text: string } {
  const denied = decision.steps.find(({ verdict }) => verdict === "denied" || verdict === "failed");
  const step =
    denied ??
    decision.steps.find(({ rule }) => rule === "split") ??
    decision.steps.find(({ rule }) => rule === "route");
  if (denied === undefined && isFailed(decision))
    return { rule: "attempt", text: decision.outcome.reason || "the answer" };
  return { rule: step?.rule ?? "route", text: step === undefined ? "" : nameOf(step) };
}

/** Rules that decide by the request alone (and the recorded draw), so that nothing of theirs is an estimate. */
const FROM_REQUEST: ReadonlySet<string> = new Set(["route", "redirect", "cors", "split", "authenticate", "authorize"]);

function nameOf({ rule, source }: RecordedDecision["steps"][number]): string {
  return source === "" ? rule : `${rule} (${source})`;
}

function isFailed({ outcome: { status, grpcStatus, reason } }: RecordedDecision): boolean {
  return reason !== "" || status >= 500 || isServerFault(grpcStatus);
}

/** "503 BREAKER_OPEN (orders)", "200 (products-v2-1)"; where the backend is what differs, "200 (products@v2)". */
function endText(
  { outcome, service, attempts, backend }: RecordedDecision,
  call: RecordedCall,
  kind: FlipKind,
): string {
  const where = kind === "backend" ? backend : (attempts.at(-1)?.endpoint ?? service);
  return `${outcomeText({ outcome, rest: call.asSent !== null })}${where === "" ? "" : ` (${where})`}`;
}

function tally(all: Map<string, { before: number; after: number; examples: string[] }>, key: string) {
  let found = all.get(key);
  if (found === undefined) all.set(key, (found = { before: 0, after: 0, examples: [] }));
  return found;
}

function load(all: Map<string, { before: number; after: number }>, key: string) {
  let found = all.get(key);
  if (found === undefined) all.set(key, (found = { before: 0, after: 0 }));
  return found;
}

const MAX_EXAMPLES = 10;
