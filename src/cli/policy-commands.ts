import { type Command, InvalidArgumentError, Option } from "commander";
import { DATA_PLANES } from "../policy/check/enforcement.ts";
import { parseDuration } from "../policy/resource/duration.ts";
import { addressText, count, inDir, share } from "./arguments.ts";
import { controlInstead } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** The commands that say why: what became of a call, what would become of calls under other policy, and what is wrong with policy. */
export function addPolicyCommands(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  addExplain(program, terminal, exit);
  addCheck(program, terminal, exit);
  addRecord(program, terminal, exit);
  addReplay(program, terminal, exit);
}

function addExplain(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  inDir(
    program
      .command("explain")
      .summary("say why a call went as it did")
      .description(
        "Prints one record of a call across every process that it passed: the rules met, in order, with the values they saw; why each endpoint was chosen; what " +
          "limited, cut or refused it; and the nearest change that would have turned it round. With --path or --service it decides a made-up call instead: nothing is sent.",
      )
      .argument("[id]", "request id: the header x-request-id of the answer, or the access log's"),
  )
    .addOption(controlInstead().conflicts("admin"))
    .addOption(new Option("--admin <address>", "ask one process alone, at its admin address").argParser(addressText))
    .option("--timeout <ms>", "how long processes may take to answer, ms", count, 2_000)
    .option("--method <method>", "made-up call: its HTTP method (default GET)")
    .option("--path <path>", "made-up call: its path, with the query; of gRPC /package.Service/Method")
    .option("--host <name>", "made-up call: its host")
    .option("-H, --header <name:value...>", "made-up call: a header; may be repeated")
    .option("--service <name>", "made-up call: the service that a client calls, without a gateway")
    .option("--identity <id>", "made-up call: identity of the caller, as its certificate says it")
    .option("--address <address>", "made-up call: address of the caller")
    .addOption(
      new Option("--place <place>", "made-up call: who decides (default gateway; client with --service)").choices([
        "gateway",
        "client",
        "server",
      ]),
    )
    .option(
      "--from <path...>",
      "made-up call: decide under these files of resources, or the description of a system, instead of what is live",
    )
    .addOption(
      new Option(
        "--at <when>",
        "made-up call: decide under the revision that was in force then: its number, a tag, a time (2026-11-21T20:15, 20:15) or how long ago (90m)",
      ).conflicts(["from", "admin"]),
    )
    .option("--json", "print the record as JSON", false)
    .addHelpText("after", EXPLAIN_HELP)
    .action(async (id: string | undefined, options) =>
      exit(await (await import("./commands/explain.ts")).explain(id, options, terminal)),
    );
}

function addRecord(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  inDir(
    program
      .command("record")
      .summary("record the calls of a gateway")
      .description(
        "Writes what a gateway decides into a file, with every value of state and every random draw that was read, for weft replay. Redacted: no bodies; values of headers " +
          "and of the query become hashes, credentials nothing at all. The file tells paths, addresses and who called what all the same: keep it as you keep logs.",
      )
      .argument("<file>", "the file to write"),
  )
    .addOption(
      new Option("--admin <address>", "the gateway's admin address, instead of the running system's").argParser(
        addressText,
      ),
    )
    .addOption(
      new Option("--for <duration>", "for how long: 30s, 5m; at most 1h").argParser(durationOf).default(60_000, "60s"),
    )
    .addOption(
      new Option("--sample <share>", "which share of the calls: 0.1 or 10%").argParser(share).default(1, "all"),
    )
    .option("--keep <header...>", "headers whose values are kept as they are; credentials are not")
    .option("--json", "print the result as JSON", false)
    .action(async (file: string, options) =>
      exit(await (await import("./commands/record.ts")).record(file, options, terminal)),
    );
}

function addReplay(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  program
    .command("replay")
    .summary("decide recorded calls again, under other policy")
    .description(
      "Decides recorded calls again. Under the policy that they were recorded under every decision comes out as it was. With --policy they are decided under other routes and " +
        "policies: calls that would come out otherwise, new rejections by rule, and the change in load of each endpoint, with examples. What rests on simulated state or on " +
        "answers that are not in the recording is marked as estimated.",
    )
    .argument("<recording>", "a file of weft record, or a folder of weft gateway --record")
    .option(
      "--policy <path...>",
      "proposed resources, in place of all that were in force: files or folders of YAML or JSON, or the description of a system",
    )
    .option("--seed <number>", "seed of what is drawn anew", count, 1)
    .option("--json", "print the report as JSON", false)
    .addHelpText("after", REPLAY_HELP)
    .action(async (recording: string, options) =>
      exit(await (await import("./commands/replay.ts")).replay(recording, options, terminal)),
    );
}

const REPLAY_HELP = `
Examples:
  weft record last-hour.weft.gz --for 1h --sample 10%
  weft replay last-hour.weft.gz --policy new.yaml

Exit status: 0 no call comes out otherwise, 3 some do, 1 failed, 2 wrong usage.`;

/** "30s", in ms. */
function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0 || ms > 3_600_000)
    throw new InvalidArgumentError("It must be a duration up to 1h: 30s, 5m.");
  return ms;
}

function addCheck(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  program
    .command("check")
    .summary("find what is wrong with routes and policies")
    .description(
      "Checks resources as a whole before they are live: that each is well formed and leads somewhere, that every route can match, that policies do not contradict " +
        "each other, that time-outs fit together, and how much retries multiply along the call graph. With --for also what a data plane would not enforce.",
    )
    .argument(
      "[path...]",
      "the description of a system or its folder (default: .), or files and folders of resources (YAML or JSON)",
    )
    .addOption(
      new Option("--for <plane>", "tell every field that this data plane would not enforce").choices(DATA_PLANES),
    )
    .addOption(
      new Option("--format <format>", "how findings are printed").choices(["text", "json", "sarif"]).default("text"),
    )
    .option("--strict", "warnings fail, too", false)
    .option("--json", "the same as --format json", false)
    .addHelpText("after", CHECK_HELP)
    .action(async (paths: string[], options) =>
      exit(await (await import("./commands/check.ts")).check(paths, options, terminal)),
    );
}

const CHECK_HELP = `
Examples:
  weft check
  weft check policies/ --for envoy
  weft check --strict --format sarif > weft.sarif

Exit status: 0 no errors (with --strict: no warnings either), 1 there are some, 2 wrong usage.`;

const EXPLAIN_HELP = `
Examples:
  curl -si localhost:8080/v1/orders/17 | grep x-request-id
  weft explain 0f3a9c
  weft explain --path /v1/products -H x-lane:blue
  weft explain --path /v1/products --at 20:15
  weft explain --from weft.config.ts --method POST --path /v1/orders --identity spiffe://shop/web

Exit status: 0 the call was found or decided, 1 nobody remembers it, 2 wrong usage.`;
