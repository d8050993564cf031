import { type Command, Option } from "commander";
import { DEFAULT_EXEMPT_GID, DEFAULT_VIRTUAL } from "../intercept/plan.ts";
import { count, networks } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

/** `weft intercept up|down|status`. */
export function addInterceptCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  const intercept = program
    .command("intercept")
    .summary("send a program's traffic through its sidecar")
    .description(
      "On Linux: rules of nftables (or iptables) that send the outgoing TCP connections and DNS queries of every program in a network namespace to a sidecar, and calls " +
        "that come in for the application too, without the program knowing. What the sidecar sends itself is exempt by its group (weft sidecar --gid). " +
        "All rules are in one table of their own, which is removed whole.",
    )
    .addHelpText("after", INTERCEPT_HELP);

  place(
    intercept
      .command("up")
      .summary("put the rules in force")
      .description("Puts the rules in force, in place of those that are."),
  )
    .addOption(
      new Option("--outbound <port>", "port of weft sidecar --transparent").argParser(count).makeOptionMandatory(),
    )
    .addOption(
      new Option("--inbound <port>", "the sidecar's port for calls that come in (weft sidecar --listen)").argParser(
        count,
      ),
    )
    .addOption(new Option("--app <port>", "the application's port, whose calls go to --inbound").argParser(count))
    .addOption(
      new Option("--dns <port>", "port of weft sidecar --dns; default: queries are left alone").argParser(count),
    )
    .addOption(
      new Option("--exempt-gid <group>", "the sidecar's group, by number").argParser(count).default(DEFAULT_EXEMPT_GID),
    )
    .addOption(new Option("--exclude <networks>", "destinations that are left alone: CIDR,...").argParser(networks))
    .option("--virtual <network>", "where the sidecar's virtual addresses lie", DEFAULT_VIRTUAL)
    .action(async (options) => exit((await import("./commands/intercept.ts")).up(options, terminal)));

  place(
    intercept.command("down").summary("take the rules away").description("Takes all rules away; none is fine."),
  ).action(async (options) => exit((await import("./commands/intercept.ts")).down(options, terminal)));

  place(
    intercept
      .command("status")
      .summary("show the rules, with how many connections met each")
      .description("Shows the rules in force, with how many connections met each. Exit status 1 when there are none."),
  )
    .option("--json", "print JSON", false)
    .action(async (options) => exit((await import("./commands/intercept.ts")).status(options, terminal)));
}

function place(command: Command): Command {
  return command
    .option("--netns <name>", "a network namespace of ip netns; default: the present one")
    .addOption(
      new Option("--with <tool>", "default: nft, or iptables where there is no nft").choices(["nft", "iptables"]),
    );
}

const INTERCEPT_HELP = `
Example:
  ip netns exec app weft sidecar --service web --app 3000 --control 10.0.0.1:7070 \\
    --gid 1337 --transparent 127.0.0.1:15001 --dns 127.0.0.1:15053
  weft intercept up --netns app --outbound 15001 --dns 15053
  ip netns exec app curl http://orders.weft/
  weft intercept down --netns app`;
