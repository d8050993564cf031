import type { Command } from "commander";
import { count, inDir } from "./arguments.ts";
import { controlInstead, operatorFolder } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft publish`. */
export function addPublishCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  inDir(
    program
      .command("publish")
      .summary("put routes and policies in force")
      .description(
        "Publishes resources (routes and policies) as the control plane's next revision, in place of all that are in force, and says at how many data planes they are. " +
          "They are checked first, as a whole: with anything wrong nothing is published.",
      )
      .argument(
        "[path...]",
        "files and folders of resources (YAML or JSON), or the description of a system or its folder (default: .)",
      ),
  )
    .addOption(controlInstead())
    .addOption(operatorFolder())
    .option("-m, --reason <text>", "why, for the list of revisions", "weft publish")
    .option("--author <name>", "who, for the list of revisions (default: the user's name)")
    .option(
      "--wait <ms>",
      "how long data planes may take to say that it is in force, ms; 0 does not wait",
      count,
      5_000,
    )
    .option("--dry-run", "only say what would be wrong", false)
    .option("--json", "print the revision as JSON", false)
    .addHelpText("after", PUBLISH_HELP)
    .action(async (paths: string[], options) =>
      exit(await (await import("./commands/publish.ts")).publish(paths, options, terminal)),
    );
}

const PUBLISH_HELP = `
Examples:
  weft publish                                   the description in this folder, to the system that runs
  weft publish policies/ --control 127.0.0.1:7070 --data /var/lib/weft -m "slower retries"
  weft publish --dry-run policies/

Exit status: 0 published (or the same already), 1 it could not be, or a data plane refused it, 2 wrong usage.`;
