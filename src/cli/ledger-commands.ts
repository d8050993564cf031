import type { Command } from "commander";
import { count } from "./arguments.ts";
import { asking } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft history`, `diff`, `rollback` and `tag`: the one line of revisions that routes, policies and settings share. */
export function addLedgerCommands(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  const load = () => import("./commands/ledger/ledger.ts");
  const command = (name: string): Command => asking(program.command(name)).option("--json", "print JSON", false);

  command("history")
    .summary("list what was published")
    .description(
      "Lists revisions, newest first: who changed what of routes, policies and settings, when and why. docs/ledger.md.",
    )
    .option("-n, --limit <count>", "at most so many", count, 20)
    .option("--settings <namespace>", "only those that changed settings of this namespace")
    .action(async (options) => exit(await (await load()).history(options, terminal)));

  command("diff")
    .summary("show what differs between revisions")
    .description(
      "Shows what differs between two revisions: resources field by field, settings key by key. Of sealed values it only says that they are others.",
    )
    .argument("<range>", "41..42; 41.. for 41 and the current one; 41 for what it changed; tags in place of numbers")
    .action(async (range: string, options) => exit(await (await load()).diff(range, options, terminal)));

  command("rollback")
    .summary("put an earlier revision in force")
    .description(
      "Publishes what a revision held as the next one: routes, policies and settings, all of it or nothing. It is checked again first.",
    )
    .argument("<revision>", "its number, or a tag")
    .option("-m, --reason <text>", "why, for the list of revisions", "")
    .option("--author <name>", "who, for the list of revisions (default: the user's name)")
    .option(
      "--wait <ms>",
      "how long data planes may take to say that it is in force, ms; 0 does not wait",
      count,
      5_000,
    )
    .option("--dry-run", "only show what would change, and what would be wrong", false)
    .action(async (revision: string, options) => exit(await (await load()).rollback(revision, options, terminal)));

  command("tag")
    .summary("name a revision")
    .description("Gives a revision a name, which moves if another one has it. Revisions with names are never dropped.")
    .argument("<name>", "a letter, then letters, digits or any of . _ -")
    .argument("[revision]", "its number, or another tag (default: the current one)")
    .option("--delete", "take the name away", false)
    .action(async (name: string, revision: string | undefined, options) =>
      exit(await (await load()).tag(name, revision ?? "", options, terminal)),
    );
}
