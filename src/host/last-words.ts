import { relative } from "node:path";

/**
 * What a crashed process's last words come down to: the message of an uncaught error with its place ("orders/main.ts:7: TypeError: no database"), or
 * the last line that is no stack frame.
 */
export function lastWords(lines: readonly string[], dir: string): string {
  const spoken = lines.filter(
    (line) => line.trim() !== "" && !/^\s+at |^Node\.js v|^\s*\^+\s*$|^[{}]$|^ {2}\w+: /.test(line),
  );
  const error = spoken.findLast((line) => /^(?:[\w.]*(?:Error|Exception)\b.*|panic: .*)/.test(line));
  const place = lines
    .map((line) => /^(?:file:\/\/)?(\/.+\.[cm]?[jt]s):(\d+)$/.exec(line))
    .findLast((match) => match !== null);
  const where = error === undefined || !place ? "" : `${relative(dir, place[1])}:${place[2]}: `;
  return where + (error ?? spoken.at(-1) ?? "").trim().slice(0, 300);
}
