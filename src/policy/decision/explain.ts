import type { AttemptRecord, Decision, DecisionStep } from "../call.ts";
import { ms } from "../resource/duration.ts";
import { outcomeText } from "./outcome-text.ts";

export interface ExplainOptions {
  /** "GET /v1/orders/17" */
  request?: string;
  /** When it was, for people: "12:03:07.114". */
  when?: string;
  /** Who decided, besides the kind of place: "gateway-1". */
  process?: string;
  /** Lines to put under an attempt: what the called service did meanwhile. */
  under?: (attempt: number) => readonly string[];
}

/**
 * A decision as aligned text:
 *
 *     GET /v1/orders/17  ->  503 after 812 ms        revision 41, 12:03:07.114, gateway
 *       route      /v1/orders -> orders   rule 2 of 14 (HTTPRoute/orders)
 *       attempt 1  orders-2 10.0.0.7:9002   reset, 3 ms     P2C: chosen over orders-1 (ewma 4.1 ms x 3 against 9 ms x 2)
 *       nearest    might have passed with more than 800 ms (TrafficPolicy orders)
 *
 * Steps are shown in the order in which they were met, with the values they saw; what came after the attempts (the one that was not made, the fallback)
 * stands after them.
 */
export function explainDecision(decision: Decision, options: ExplainOptions = {}): string {
  const { attempts, steps } = decision;
  const request = options.request ?? (decision.requestId === "" ? "call" : decision.requestId);
  const place = [...new Set([decision.place, options.process ?? ""])].filter((part) => part !== "").join(" ");
  const where = [`revision ${decision.revision}`, options.when ?? "", place].filter((part) => part !== "");
  const title = `${request}  ->  ${outcomeText(decision)} after ${ms(decision.durationMs)}        ${where.join(", ")}`;

  const before = steps.filter(({ rule }) => !isLater(rule)).map(stepRow);
  if (steps.length === 0 && decision.route !== "") before.push({ label: "route", text: decision.route, values: "" });
  const later = steps.filter(({ rule }) => isLater(rule)).map(stepRow);
  if (decision.nearest !== "") later.push({ label: "nearest", text: decision.nearest, values: "" });
  const { carried } = decision;
  if (carried !== undefined)
    later.push({ label: "carried", text: `${bytes(carried.sent)} up, ${bytes(carried.received)} down`, values: "" });
  const tries = attemptRows(attempts);
  const labels = [...before, ...later, ...tries].map(({ label }) => label.length);
  const width = Math.max(...labels, 9);
  const line = (label: string, text: string): string => `  ${label.padEnd(width)}  ${text}`;

  const lines = [title];
  const table = (rows: readonly Row[]): void => {
    // Values stand in a column of their own, as far as texts are not much longer than others.
    const textWidth = Math.min(
      MAX_TEXT_WIDTH,
      Math.max(0, ...rows.filter(({ values }) => values !== "").map(({ text }) => text.length)),
    );
    for (const { label, text, values } of rows)
      lines.push(line(label, values === "" ? text : `${text.padEnd(textWidth)}   ${values}`));
  };
  table(before);
  for (const { label, text, number } of tries) {
    lines.push(line(label, text));
    for (const under of options.under?.(number) ?? []) lines.push(`      ${under}`);
  }
  table(later);
  return lines.join("\n");
}

/** "312 bytes", "1.2 kB", "34 MB". */
function bytes(count: number): string {
  let value = count;
  let unit = 0;
  for (; value >= 1_000 && unit < UNITS.length - 1; unit++) value /= 1_000;
  return `${Number(value.toPrecision(value < 100 ? 2 : 3))} ${UNITS[unit]}`;
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

interface Row {
  readonly label: string;
  readonly text: string;
  readonly values: string;
}

/** What ended the call comes after the attempts that were made. */
function isLater(rule: string): boolean {
  return rule.startsWith("attempt") || rule === "fallback";
}

function stepRow({ rule, verdict, text, values }: DecisionStep): Row {
  const refused =
    verdict === "denied" ? "  (refused)" : verdict === "shadow" || verdict === "audit" ? `  (${verdict} only)` : "";
  // What a breaker counted is in its text already, in words.
  return { label: rule, text: `${text}${refused}`, values: rule === "breaker" ? "" : formatValues(values, text) };
}

/** "draw 0.4213, left 7 of 12": of a step, what its text does not show already. */
function formatValues(values: DecisionStep["values"], text: string): string {
  const { rule, rules, route, before = "", ...rest } = values;
  const parts = rules === undefined ? [] : [`rule ${rule} of ${rules} (${route})${before === "" ? "" : `; ${before}`}`];
  for (const [name, value] of Object.entries(rest)) {
    const words = name.replace(/Ms$/, "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    if (typeof value === "number" && !Number.isFinite(value)) continue;
    const shown = typeof value === "string" ? value : name.endsWith("Ms") ? ms(value) : formatNumber(value);
    if (shown !== "" && !text.includes(`${words} ${shown}`)) parts.push(`${words} ${shown}`);
  }
  return parts.join(", ");
}

function formatNumber(value: number): string {
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));
}

function attemptRows(attempts: readonly AttemptRecord[]): { label: string; text: string; number: number }[] {
  const where = attempts.map(({ endpoint, address }) => (endpoint === address ? address : `${endpoint} ${address}`));
  const how = attempts.map(
    ({ outcome, durationMs }) => `${outcome.replace(/^(http|grpc)_/, "$1 ")}, ${ms(durationMs)}`,
  );
  const whereWidth = Math.max(0, ...where.map(({ length }) => length));
  const howWidth = Math.max(0, ...how.map(({ length }) => length));
  return attempts.map(({ number, why }, i) => ({
    label: `attempt ${number}`,
    text: `${where[i].padEnd(whereWidth)}   ${how[i].padEnd(howWidth)}   ${why}`.trimEnd(),
    number,
  }));
}

const MAX_TEXT_WIDTH = 48;
