import type { Style } from "./terminal.ts";

/** Colours a decision's text where colour means something: how calls ended, what refused them, and the change that would have turned it round. */
export function paintDecision(text: string, { red, green, yellow, bold, dim }: Style): string {
  return text
    .split("\n")
    .map((line) => {
      const title = /^( *)(\S.*?) {2}-> {2}(.*?) after (.*? m?s)( {8}.*)?$/.exec(line);
      if (title !== null) {
        const [, indent, request, outcome, took, where = ""] = title;
        const paint = /^([123]\d\d|grpc ok)\b/.test(outcome) ? green : red;
        return `${indent}${bold(request)}  ->  ${paint(outcome)} after ${took}${dim(where)}`;
      }
      if (/^ *nearest {2,}/.test(line)) return bold(line);
      return line.replace(" (refused)", ` ${yellow("(refused)")}`);
    })
    .join("\n");
}
