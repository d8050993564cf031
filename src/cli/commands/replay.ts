import { existsSync, statSync } from "node:fs";
import { counted } from "../../core/counted.ts";
import { loadSystem } from "../../host/load-system.ts";
import { type FlipKind, type ProposalReport, type ReplayReport, replayReport } from "../../policy/replay/report.ts";
import type { Resource } from "../../policy/resource/resources.ts";
import { parseResources } from "../../policy/resource/validate.ts";
import { formatColumns } from "../columns.ts";
import { EXIT } from "../exit-status.ts";
import { readRecording } from "../recording-files.ts";
import { readResourceFiles } from "../resource-files.ts";
import { systemResources } from "../resources.ts";
import { sanitize, type Terminal } from "../terminal.ts";

export interface ReplayFlags {
  policy?: string[];
  seed: number;
  json: boolean;
}

/** `weft replay`: recorded calls again, as they were and under other policy. */
export async function replay(recording: string, flags: ReplayFlags, terminal: Terminal): Promise<number> {
  const lines = readRecording(recording);
  const proposed = flags.policy === undefined ? null : await resourcesOf(flags.policy);
  const report = replayReport(lines, proposed, flags.seed);
  if (flags.json) terminal.out(`${JSON.stringify(report, null, 2)}\n`);
  else print(report, terminal);
  const changed = (report.proposal?.flips.length ?? 0) > 0 || (report.proposal === null && report.diverged.count > 0);
  return changed ? EXIT.changed : EXIT.ok;
}

async function resourcesOf(paths: readonly string[]): Promise<readonly Resource[]> {
  const [only] = paths;
  const isSystem =
    /\.[cm]?[jt]s$|(^|[/\\])weft\.ya?ml$/.test(only) ||
    (existsSync(only) && statSync(only).isDirectory() && !hasYaml(only));
  if (paths.length === 1 && isSystem) return systemResources(await loadSystem(only)).resources;
  return parseResources(readResourceFiles(paths)).resources;
}

function hasYaml(folder: string): boolean {
  return !["weft.config.ts", "weft.config.mts", "weft.config.js", "weft.config.mjs", "weft.yaml", "weft.yml"].some(
    (name) => existsSync(`${folder}/${name}`),
  );
}

const TITLES: Readonly<Record<FlipKind, string>> = {
  denied: "allowed -> denied",
  allowed: "denied -> allowed",
  failed: "ok -> failed",
  ok: "failed -> ok",
  backend: "other backend",
};

function print(report: ReplayReport, terminal: Terminal): void {
  const { calls, fromMs, toMs, lost, identical, diverged, unplayable, proposal } = report;
  const seconds = Math.round((toMs - fromMs) / 100) / 10;
  terminal.out(
    `${counted(calls, "call")} in ${seconds} s${lost > 0 ? ` (${lost} more were lost)` : ""}; ${identical} decided again as they were\n`,
  );
  if (unplayable > 0) terminal.out(`${unplayable} began before the recording and are left out\n`);
  if (diverged.count > 0) {
    terminal.out(
      terminal.color.yellow(
        `${diverged.count} came out otherwise under the policy they were recorded under: what decided was redacted, or weft has changed since`,
      ) + ` (${sanitize(diverged.examples.join(", "), false)})\n`,
    );
  }
  if (proposal !== null) printProposal(proposal, terminal);
}

function printProposal(
  { left, flips, rejections, endpoints, guessed, undecided }: ProposalReport,
  { out, color }: Terminal,
): void {
  if (left.length > 0) {
    const more = left.length > SHOWN ? ` and ${left.length - SHOWN} more` : "";
    out(`${color.yellow("not in the proposed policy:")} ${sanitize(left.slice(0, SHOWN).join(", "), false)}${more}\n`);
  }
  if (flips.length === 0) out(color.green("no call would have come out otherwise\n"));
  for (const { kind, count, estimated, examples } of flips) {
    const marked = estimated === 0 ? "" : `, ${estimated === count ? "all" : estimated} estimated`;
    out(`\n${color.bold(TITLES[kind])}  ${count} call${count === 1 ? "" : "s"}${marked}\n`);
    for (const { requestId, request, before, after, by, estimated: guess } of examples.slice(0, SHOWN)) {
      out(
        `  ${sanitize(`${requestId}  ${request}  ${before} -> ${after}  by ${by}${guess ? "  (estimated)" : ""}`, false)}\n`,
      );
    }
  }
  const changed = rejections.filter(({ before, after }) => before !== after);
  if (changed.length > 0) {
    const rows = changed.map(({ rule, before, after, examples }) => [
      rule,
      String(before),
      String(after),
      examples.slice(0, SHOWN).join(", "),
    ]);
    table(["REFUSED BY", "BEFORE", "AFTER", "EXAMPLES"], rows, out, color.dim);
  }
  if (endpoints.length > 0) {
    const rows = endpoints.map(({ endpoint, before, after }) => [
      endpoint,
      String(before),
      String(after),
      change(before, after),
    ]);
    table(["ENDPOINT", "BEFORE", "AFTER", "CHANGE"], rows, out, color.dim);
  }
  if (undecided > 0)
    out(
      `\n${counted(undecided, "call does", "calls do")} not end in the recording under this policy: what became of ${undecided === 1 ? "it" : "them"} is not known\n`,
    );
  if (guessed > 0)
    out(
      `\n${counted(guessed, "call")} had answers that are not in the recording; they were taken from what the same endpoints answered to others\n`,
    );
}

function table(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  out: Terminal["out"],
  style: (text: string) => string,
): void {
  const columns = titles.map((title, i) => ({ title, ...(i === 1 || i === 2 ? { align: "right" as const } : {}) }));
  out(
    `\n${formatColumns(
      columns,
      rows.map((row) => row.map((text) => ({ text: sanitize(text, false) }))),
      style,
    ).join("\n")}\n`,
  );
}

function change(before: number, after: number): string {
  if (before === after) return "";
  if (before === 0) return "new";
  const percent = Math.round(((after - before) / before) * 100);
  return `${percent > 0 ? "+" : ""}${percent} %`;
}

const SHOWN = 3;
