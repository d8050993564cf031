import { runWeft } from "./program.ts";
import { PLAIN, type Terminal } from "./terminal.ts";

/** A terminal that keeps what is written. `heard` is called when something is written to stderr. */
export function keptTerminal(heard: () => void = () => {}): Terminal & { stdout: string; stderr: string } {
  const kept = { stdout: "", stderr: "", interactive: false, color: PLAIN, errColor: PLAIN, columns: 80, rows: 24 };
  return Object.assign(kept, {
    out: (text: string) => void (kept.stdout += text),
    err(text: string) {
      kept.stderr += text;
      heard();
    },
  });
}

/** Runs a command. A function among the arguments is called when something is written to stderr. */
export async function weft(
  ...given: readonly (string | (() => void))[]
): Promise<{ status: number; stdout: string; stderr: string }> {
  const terminal = keptTerminal(given.find((arg) => typeof arg === "function"));
  const status = await runWeft(
    given.filter((arg) => typeof arg === "string"),
    terminal,
  );
  return { status, stdout: terminal.stdout, stderr: terminal.stderr };
}
