import type { Decision } from "../policy/call.ts";

/** A decision for people: what was asked and came of it, each rule that was met, each attempt with why it went where it went, and what would have helped. */
export function explain(decision: Decision): string {
  const { outcome, attempts } = decision;
  const result = outcome.grpcStatus >= 0 ? `grpc-status ${outcome.grpcStatus}` : String(outcome.status);
  const reason = outcome.reason === "" ? "" : ` ${outcome.reason}`;
  const lines = [
    `${decision.service}  ->  ${result}${reason} after ${ms(decision.durationMs)}    revision ${decision.revision}, endpoints ${decision.endpointVersion}, ${decision.place}`,
  ];
  const rows: [string, string, string][] = [];
  if (decision.route !== "" && !decision.steps.some((step) => step.rule === "route"))
    rows.push(["route", decision.route, ""]);
  for (const step of decision.steps) {
    const values = Object.entries(step.values).map(([name, value]) => `${name} ${value}`);
    rows.push([
      step.rule,
      step.verdict === "ok" ? step.text : [step.verdict, step.text].filter((part) => part !== "").join(": "),
      values.join(", "),
    ]);
  }
  for (const attempt of attempts) {
    rows.push([
      `attempt ${attempt.number}`,
      `${attempt.endpoint} ${attempt.address}  ${attempt.outcome}, ${ms(attempt.durationMs)}`,
      attempt.why,
    ]);
  }
  if (decision.nearest !== "") rows.push(["nearest", decision.nearest, ""]);
  const first = Math.max(...rows.map(([label]) => label.length));
  const second = Math.min(60, Math.max(...rows.map(([, text]) => text.length)));
  for (const [label, text, more] of rows)
    lines.push(`  ${label.padEnd(first)}  ${text.padEnd(second)}  ${more}`.trimEnd());
  return lines.join("\n");
}

function ms(value: number): string {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}
