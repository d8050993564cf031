/** Where a command writes, and what can be written there. */
export interface Terminal {
  /** Results: what a pipe is to get. */
  out(text: string): void;
  /** Everything else. */
  err(text: string): void;
  /** Whether `out` is a terminal that shows control sequences. */
  readonly interactive: boolean;
  readonly color: Style;
  /** Styles for `err`. */
  readonly errColor: Style;
  readonly columns: number;
  readonly rows: number;
}

/** Each returns its text in a colour, or as it is where colours are not wanted. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  /** One of six colours, always the same for the same number. */
  nth(index: number, text: string): string;
}

/** The process's own terminal. NO_COLOR (no-color.org) and TERM=dumb switch colours off, FORCE_COLOR switches them on. */
export function processTerminal(): Terminal {
  const { stdout, stderr } = process;
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    interactive: stdout.isTTY === true && process.env.TERM !== "dumb",
    color: wantsColor(stdout) ? COLORS : PLAIN,
    errColor: wantsColor(stderr) ? COLORS : PLAIN,
    get columns() {
      return stdout.columns ?? 80;
    },
    get rows() {
      return stdout.rows ?? 24;
    },
  };
}

function wantsColor(stream: { isTTY?: boolean }): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== "") return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0") return true;
  return stream.isTTY === true && TERM !== "dumb";
}

const sgr = (on: number, off: number) => (text: string) => `\x1b[${on}m${text}\x1b[${off}m`;
const PALETTE = [36, 35, 34, 32, 33, 96];

export const COLORS: Style = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
  nth: (index, text) => sgr(PALETTE[index % PALETTE.length], 39)(text),
};

const asIs = (text: string): string => text;
export const PLAIN: Style = { bold: asIs, dim: asIs, red: asIs, green: asIs, yellow: asIs, nth: (_, text) => text };

/** Text of another process, made safe to show: control characters other than colours would move the cursor or worse. */
export function sanitize(text: string, keepColors: boolean): string {
  return text.replaceAll("\t", "    ").replace(CONTROL, (all) => (keepColors && IS_COLOR.test(all) ? all : ""));
}

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: control characters are what these are about
/** CSI, OSC and two-character sequences, then single control characters. Source: ECMA-48. */
const CONTROL =
  /\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const IS_COLOR = /^\x1b\[[0-9;:]*m$/;
const COLOR = /(\x1b\[[0-9;:]*m)/;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: control characters are what these are about

/** How many columns a text without control sequences takes. East Asian wide characters and emoji take two. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const wide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xffdc && !(code >= 0xd800 && code <= 0xfaff)) ||
      (code >= 0x1f300 && code <= 0x1faff);
    width += wide ? 2 : /\p{Mn}/u.test(character) ? 0 : 1;
  }
  return width;
}

/** Cuts a line that may hold colours to `columns`. */
export function fit(text: string, columns: number): string {
  let width = 0;
  let out = "";
  for (const part of text.split(COLOR)) {
    if (part.startsWith("\x1b[")) {
      out += part;
      continue;
    }
    for (const character of part) {
      const next = widthOf(character);
      if (width + next > columns) return `${out}\x1b[0m`;
      width += next;
      out += character;
    }
  }
  return out;
}

/** "12:03:07.114", in local time. `wallMs`: since the epoch. */
export function timeOfDay(wallMs: number): string {
  const at = new Date(wallMs);
  const two = (value: number): string => String(value).padStart(2, "0");
  const thousandths = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${thousandths}`;
}
