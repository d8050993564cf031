import { type Command, Option } from "commander";
import { count } from "./arguments.ts";
import { asking } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft settings`: the configuration centre. */
export function addSettingsCommands(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  const settings = program
    .command("settings")
    .summary("look at and change settings")
    .description(
      "The configuration centre: values by namespace and key, which services use live. Every change is a revision of the same ledger as routes and policies; a namespace is a service's own, by its name, or any other: docs/settings.md.",
    );
  const load = () => import("./commands/settings/settings.ts");
  const command: Make = (name, parent = settings) => asking(parent.command(name)).option("--json", "print JSON", false);
  const changing: Make = (name, parent) =>
    command(name, parent)
      .option("-m, --reason <text>", "why, for the list of revisions", "")
      .option("--author <name>", "who, for the list of revisions (default: the user's name)")
      .option(
        "--wait <ms>",
        "how long processes may take to say that it is in force, ms; 0 does not wait",
        count,
        5_000,
      )
      .option("--dry-run", "only say what would be wrong", false)
      .option("--if-revision <n>", "only if this is the current revision", count);

  command("get")
    .summary("show namespaces, values, and who uses them")
    .description("Prints namespaces, the values of one with who changed them and who uses them, or one value as JSON.")
    .argument("[place]", "NAMESPACE or NAMESPACE/KEY")
    .option("--revision <revision>", "as they were at this revision: its number, or a tag")
    .option("--reveal", "unseal what is sealed, by WEFT_SETTINGS_KEYS or WEFT_SETTINGS_KEYS_FILE", false)
    .action(async (place: string | undefined, options) => exit(await (await load()).get(place, options, terminal)));

  changing("set")
    .summary("set values")
    .description(
      "Sets values of a namespace, all of them or none. A value is JSON, or text where it is no JSON; - reads it from stdin, so that it stands in no history of a shell.",
    )
    .argument("<namespace>", "a service, or any other")
    .argument("<key=value...>", "maxItems=10 mode=fast hosts='[\"a\"]'")
    .option("--seal", "encrypt them here, by the first of WEFT_SETTINGS_KEYS", false)
    .option("--if <key=revision...>", "only if this revision changed the key last; 0: if it is new")
    .addHelpText("after", SET_HELP)
    .action(async (namespace: string, values: string[], options) =>
      exit(await (await load()).set(namespace, values, options, terminal)),
    );

  changing("unset")
    .summary("take keys away")
    .description("Takes keys away.")
    .argument("<namespace>", "a service, or any other")
    .argument("<key...>", "which")
    .action(async (namespace: string, keys: string[], options) =>
      exit(await (await load()).unset(namespace, keys, options, terminal)),
    );

  changing("edit")
    .summary("edit the values of a namespace as YAML")
    .description(
      "Opens the values of a namespace as YAML in $VISUAL or $EDITOR and publishes what was changed, unless somebody else changed the same keys meanwhile. What could not be published is kept in its file.",
    )
    .argument("<namespace>", "a service, or any other")
    .action(async (namespace: string, options) =>
      exit(await (await import("./commands/settings/edit.ts")).edit(namespace, options, terminal)),
    );

  command("history")
    .summary("list the revisions that changed something")
    .description("Prints the revisions that changed a namespace or a key, newest first.")
    .argument("[place]", "NAMESPACE or NAMESPACE/KEY")
    .option("-n, --limit <count>", "how many", count, 20)
    .action(async (place: string | undefined, options) =>
      exit(await (await import("./commands/settings/history.ts")).history(place, options, terminal)),
    );

  command("diff")
    .summary("show what differs between revisions")
    .description("Prints what differs between the settings of two revisions.")
    .argument("<range>", "41..42; 41.. for 41 and the current one; 41 for what it changed; tags in place of numbers")
    .argument("[namespace]", "only of this one")
    .action(async (range: string, namespace: string | undefined, options) =>
      exit(await (await import("./commands/settings/history.ts")).diff(range, namespace, options, terminal)),
    );

  changing("rollback")
    .summary("give a namespace the values of an earlier revision")
    .description(
      "Gives a namespace the values and the schema that it had at a revision; its gray releases end. `weft rollback` does it for the whole system.",
    )
    .argument("<revision>", "its number, or a tag")
    .argument("<namespace>", "a service, or any other")
    .action(async (revision: string, namespace: string, options) =>
      exit(await (await import("./commands/settings/history.ts")).rollback(revision, namespace, options, terminal)),
    );

  changing("reseal")
    .summary("seal what another key sealed anew")
    .description("Seals everything that is sealed by another key anew by the first of WEFT_SETTINGS_KEYS.")
    .argument("[namespace]", "only of this one")
    .action(async (namespace: string | undefined, options) =>
      exit(await (await import("./commands/settings/keys.ts")).reseal(namespace, options, terminal)),
    );

  const keys = settings
    .command("keys")
    .summary("make keys for sealed values")
    .description("Keys by which values are sealed.");
  keys
    .command("new")
    .summary("make a key")
    .description("Prints a new key, ID:BASE64, for WEFT_SETTINGS_KEYS. It is a secret.")
    .argument("[id]", "what it is called (default: after the day)")
    .action(async (id: string | undefined) => exit((await import("./commands/settings/keys.ts")).newKey(id, terminal)));

  addGray(settings, command, changing, terminal, exit);
  addSchema(settings, command, changing, terminal, exit);
}

/** Makes a command below `weft settings`, or below one of its commands. */
type Make = (name: string, parent?: Command) => Command;

function addGray(
  settings: Command,
  command: Make,
  changing: Make,
  terminal: Terminal,
  exit: (status: number) => void,
): void {
  const gray = settings
    .command("gray")
    .summary("give changes to some processes first")
    .description("Gray releases: changes that only some processes have, until they are promoted or ended.");
  const load = () => import("./commands/settings/gray.ts");
  const selecting = (made: Command): Command =>
    made
      .addOption(
        new Option("--percent <0..100>", "so many of the processes; more keeps those that had it").argParser(Number),
      )
      .option("--instance <id...>", 'these instances: "orders-2"')
      .option("--zone <zone...>", "processes in these zones")
      .option("--tag <tag...>", "instances with these tags (WEFT_TAGS, or tags of an endpoint that they registered)")
      .option("--label <name=value...>", "processes with these labels (WEFT_LABELS), or version=v2");
  selecting(changing("begin", gray))
    .summary("give some processes other values")
    .description("Gives some processes other values. Every part of the selection that is given must hold.")
    .argument("<namespace>", "a service, or any other")
    .argument("<key=value...>", "as of weft settings set; KEY= alone takes the key away from them")
    .option("--seal", "encrypt them here, by the first of WEFT_SETTINGS_KEYS", false)
    .action(async (namespace: string, values: string[], options) =>
      exit(await (await load()).begin(namespace, values, options, terminal)),
    );
  selecting(changing("widen", gray))
    .summary("give a gray release to more or other processes")
    .description("Gives a gray release to more, or other, processes.")
    .argument("<namespace>", "a service, or any other")
    .argument("<id>", "g-41")
    .action(async (namespace: string, id: string, options) =>
      exit(await (await load()).widen(namespace, id, options, terminal)),
    );
  changing("promote", gray)
    .summary("give the values of a gray release to everybody")
    .description("Gives the values of a gray release to everybody, and ends it.")
    .argument("<namespace>", "a service, or any other")
    .argument("<id>", "g-41")
    .action(async (namespace: string, id: string, options) =>
      exit(await (await load()).end(namespace, id, true, options, terminal)),
    );
  changing("end", gray)
    .summary("take the values of a gray release back")
    .description("Takes the values of a gray release back.")
    .argument("<namespace>", "a service, or any other")
    .argument("<id>", "g-41")
    .action(async (namespace: string, id: string, options) =>
      exit(await (await load()).end(namespace, id, false, options, terminal)),
    );
  command("ls", gray)
    .summary("show which are under way, and who has them")
    .description("Prints the gray releases that are under way, and who has them.")
    .argument("[namespace]", "only of this one")
    .action(async (namespace: string | undefined, options) =>
      exit(await (await load()).list(namespace, options, terminal)),
    );
}

function addSchema(
  settings: Command,
  command: Make,
  changing: Make,
  terminal: Terminal,
  exit: (status: number) => void,
): void {
  const schema = settings
    .command("schema")
    .summary("set what values must satisfy")
    .description("What the values of a namespace must satisfy before they are published.");
  const load = () => import("./commands/settings/schema.ts");
  changing("set", schema)
    .summary("set the schema of a namespace")
    .description("Sets the schema of a namespace. What is there now must satisfy it.")
    .argument("<namespace>", "a service, or any other")
    .argument("[file]", "a JSON Schema (draft 2020-12), as JSON or YAML")
    .option("--message <name>", "the full name of a message of a contract that a service registers, instead of a file")
    .action(async (namespace: string, file: string | undefined, options) =>
      exit(await (await load()).setSchema(namespace, file, options, terminal)),
    );
  command("get", schema)
    .summary("print the schema of a namespace")
    .description("Prints the schema of a namespace.")
    .argument("<namespace>", "a service, or any other")
    .action(async (namespace: string, options) => exit(await (await load()).getSchema(namespace, options, terminal)));
  changing("rm", schema)
    .summary("take the schema of a namespace away")
    .description("Takes the schema of a namespace away.")
    .argument("<namespace>", "a service, or any other")
    .action(async (namespace: string, options) =>
      exit(await (await load()).removeSchema(namespace, options, terminal)),
    );
}

const SET_HELP = `
Examples:
  weft settings set orders maxItems=10 mode=fast -m "slower disks"
  weft settings set orders apiKey=- --seal < key.txt
  weft settings set orders maxItems=20 --if maxItems=41

Exit status: 0 published (or the same already), 1 it could not be, or a process refused it, 2 wrong usage.`;
