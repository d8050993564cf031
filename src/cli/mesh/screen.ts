import { fit, type Terminal } from "../terminal.ts";

/**
 * Shows lines on the terminal's alternate screen, anew every `everyMs`, until Ctrl-C; what does not fit is cut. While `lines` fails the last ones stay, under the
 * reason. On leaving, the last lines stay on the ordinary screen.
 */
export async function showScreen(
  terminal: Terminal,
  lines: () => Promise<readonly string[]>,
  everyMs: number,
): Promise<void> {
  const stop = new AbortController();
  const onStop = (): void => stop.abort();
  const restore = (): void => terminal.out(LEAVE);
  let last: readonly string[] = [];
  process.once("exit", restore);
  process.once("SIGINT", onStop);
  process.once("SIGTERM", onStop);
  terminal.out(ENTER);
  try {
    while (!stop.signal.aborted) {
      let problem: string[] = [];
      try {
        last = await lines();
      } catch (thrown) {
        if (last.length === 0) throw thrown;
        problem = [terminal.color.red(thrown instanceof Error ? thrown.message : String(thrown)), ""];
      }
      if (stop.signal.aborted) break;
      draw(terminal, [...problem, ...last]);
      await pause(everyMs, stop.signal);
    }
  } finally {
    process.off("SIGINT", onStop);
    process.off("SIGTERM", onStop);
    process.off("exit", restore);
    restore();
    if (last.length > 0) terminal.out(`${last.join("\n")}\n`);
  }
}

function draw(terminal: Terminal, lines: readonly string[]): void {
  const { columns, rows } = terminal;
  let frame = BEGIN;
  for (const [i, line] of lines.slice(0, rows).entries()) frame += `\x1b[${i + 1};1H${fit(line, columns)}\x1b[K`;
  terminal.out(`${frame}\x1b[J${END}`);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}

/** Alternate screen, cursor hidden; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE = "\x1b[?25h\x1b[?1049l";
/** Synchronized update: terminals that know it show the frame at once, others ignore it. */
const BEGIN = "\x1b[?2026h";
const END = "\x1b[?2026l";
