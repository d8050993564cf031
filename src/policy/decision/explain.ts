import type { AttemptRecord, Decision } from "../call.ts";
import { ms } from "../machine/attempt.ts";

export interface ExplainOptions {
  /** "GET /v1/orders/17" */
  request?: string;
  /** When it was, for people: "12:03:07.114". */
  when?: string;
}

/**
 * A decision as aligned text:
 *
 *     GET /v1/orders/17  ->  503 after 812 ms        revision 41, 12:03:07.114, gateway
 *       route      /v1/orders -> orders   rule 2 of 14 (HTTPRoute/orders)
 *       attempt 1  orders-2 10.0.0.7:9002   reset, 3 ms     P2C: chosen over orders-1 (ewma 4.1 ms x 3 against 9 ms x 2)
 *       nearest    might have passed with more than 800 ms (TrafficPolicy orders)
 */
export function explainDecision(decision: Decision, options: ExplainOptions = {}): string {
  const { outcome, attempts, steps } = decision;
  const lines: [label: string, text: string][] = [];
  // What ended the call comes after the attempts that were made.
  const isLater = (rule: string): boolean => rule.startsWith("attempt") || rule === "fallback";
  const describe = (rules: typeof steps): void => {
    for (const { rule, verdict, text, values } of rules) {
      const which = values.rules === undefined ? "" : `   rule ${values.rule} of ${values.rules} (${values.route})`;
      lines.push([rule, `${text}${which}${verdict === "denied" ? "  (refused)" : ""}`]);
    }
  };
  describe(steps.filter(({ rule }) => !isLater(rule)));
  if (steps.length === 0 && decision.route !== "") lines.push(["route", decision.route]);
  for (const [label, text] of attemptLines(attempts)) lines.push([label, text]);
  describe(steps.filter(({ rule }) => isLater(rule)));
  if (decision.nearest !== "") lines.push(["nearest", decision.nearest]);
  const width = Math.max(...lines.map(([label]) => label.length), 9);
  const result = outcome.grpcStatus >= 0 ? `grpc ${outcome.grpcStatus}` : String(outcome.status);
  const reason = outcome.reason === "" ? "" : ` ${outcome.reason}`;
  const request = options.request ?? (decision.requestId === "" ? "call" : decision.requestId);
  const where = [`revision ${decision.revision}`, options.when ?? "", decision.place].filter((part) => part !== "");
  const title = `${request}  ->  ${result}${reason} after ${ms(decision.durationMs)}        ${where.join(", ")}`;
  return [title, ...lines.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`)].join("\n");
}

function attemptLines(attempts: readonly AttemptRecord[]): [string, string][] {
  const where = attempts.map(({ endpoint, address }) => (endpoint === address ? address : `${endpoint} ${address}`));
  const how = attempts.map(
    ({ outcome, durationMs }) => `${outcome.replace(/^(http|grpc)_/, "$1 ")}, ${ms(durationMs)}`,
  );
  const whereWidth = Math.max(0, ...where.map(({ length }) => length));
  const howWidth = Math.max(0, ...how.map(({ length }) => length));
  return attempts.map(({ number, why }, i) => [
    `attempt ${number}`,
    `${where[i].padEnd(whereWidth)}   ${how[i].padEnd(howWidth)}   ${why}`.trimEnd(),
  ]);
}
