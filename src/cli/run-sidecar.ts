import type { SidecarFlags } from "./commands/sidecar.ts";
import { statusOf } from "./exit-status.ts";
import { readOptions } from "./option-spec.ts";
import { SIDECAR_OPTIONS } from "./sidecar-options.ts";
import type { Terminal } from "./terminal.ts";

/**
 * `weft sidecar` as runWeft does it, without the command line's parser and the other commands, which are 1 MB of an idle process that there is one of beside
 * each application. Undefined, with nothing done, for arguments that the parser has to judge. Gives the exit status.
 */
export async function runSidecar(args: readonly string[], terminal: Terminal): Promise<number | undefined> {
  const flags = readOptions(SIDECAR_OPTIONS, args, process.env);
  if (flags === null) return undefined;
  try {
    const { sidecar } = await import("./commands/sidecar.ts");
    // The table's names and parsers are those of the flags (run-sidecar.test.ts).
    return await sidecar(flags as unknown as SidecarFlags, terminal);
  } catch (thrown) {
    (await import("./print-error.ts")).printError(thrown, terminal);
    return statusOf(thrown);
  }
}
