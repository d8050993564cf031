import type { Delivery } from "../../../contract/gen/weft/control/v1/mesh.ts";
import { EXIT } from "../../exit-status.ts";
import { sanitize, type Terminal } from "../../terminal.ts";

/** What is doubtful about what is published, a line each. */
export function printWarnings(warnings: readonly string[], terminal: Terminal): void {
  for (const warning of warnings) terminal.out(`${terminal.color.yellow("warning")}  ${oneLine(warning)}\n`);
}

/** What was done ("published revision 42"), and who has it. `users`: what they are called, one and many. */
export function printDelivery(
  what: string,
  delivery: Delivery | undefined,
  [one, many]: readonly [one: string, many: string],
  terminal: Terminal,
): void {
  if (delivery === undefined) return terminal.out(`${what}\n`);
  const { yellow, red } = terminal.color;
  const { planes, applied, refused, waiting } = delivery;
  for (const { process, reason } of refused)
    terminal.out(`${red("refused")}  ${oneLine(process)}  ${oneLine(reason)}\n`);
  for (const process of waiting) terminal.out(`${yellow("waiting")}  ${oneLine(process)} has not answered\n`);
  terminal.out(`${what}; in force at ${applied} of ${planes} ${planes === 1 ? one : many}\n`);
}

/** What came of a publication, for people: "published revision 42". */
export function publishedText(revision: bigint, isNew: boolean): string {
  return isNew ? `published revision ${revision}` : `revision ${revision} says the same; nothing was published`;
}

/** The exit status of what was published: failed where somebody refused it. */
export function statusOfDelivery(delivery: Delivery | undefined): number {
  return (delivery?.refused.length ?? 0) > 0 ? EXIT.failed : EXIT.ok;
}

export const DATA_PLANES = ["data plane", "data planes"] as const;

function oneLine(text: string): string {
  return sanitize(text.replaceAll("\n", " "), false);
}
