import { Command, CommanderError, Help, Option } from "commander";
import { address, addressText, count, inDir, positive } from "./arguments.ts";
import { addControlCommand } from "./control-command.ts";
import { controlInstead } from "./control-options.ts";
import { addDnsCommand } from "./dns-command.ts";
import { addEnvoyBootstrapCommand } from "./envoy-bootstrap-command.ts";
import { EXIT, statusOf } from "./exit-status.ts";
import { addIdentityCommands } from "./identity-commands.ts";
import { addInterceptCommand } from "./intercept-command.ts";
import { addLedgerCommands } from "./ledger-commands.ts";
import { addMeshCommand } from "./mesh-command.ts";
import { addPolicyCommands } from "./policy-commands.ts";
import { printError } from "./print-error.ts";
import { addGatewayCommand, addProxyCommand } from "./proxy-commands.ts";
import { addPublishCommand } from "./publish-command.ts";
import { addRegistryCommand } from "./registry-command.ts";
import { addSettingsCommands } from "./settings-commands.ts";
import { addSidecarCommand } from "./sidecar-command.ts";
import type { Terminal } from "./terminal.ts";
import { packageVersion } from "./version.ts";

/** Runs `weft` with its arguments (without node and script) and gives its exit status. Each command's code is loaded when it is used. */
export async function runWeft(args: readonly string[], terminal: Terminal): Promise<number> {
  let status: number = EXIT.ok;
  const program = createProgram(terminal, (code) => {
    status = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    printError(thrown, terminal, args.includes("--json"));
    return statusOf(thrown);
  }
  return status;
}

/** Without "(default: false)", and without naming a variable a second time. */
function describeOption(option: Option): string {
  const text = Help.prototype.optionDescription.call(new Help(), option).replace(/ \(default: (?:false|"")\)$/, "");
  return option.envVar !== undefined && option.description.includes(option.envVar)
    ? text.replace(` (env: ${option.envVar})`, "")
    : text;
}

/** `exit` is told a status other than 0 by commands that end without an error. */
export function createProgram(terminal: Terminal, exit: (status: number) => void): Command {
  const program = new Command("weft");
  program
    .description("Brings up, watches and calls systems of microservices.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      // What is no argument is repeated; the url of a registry may hold a password, and the output of a job is read by many.
      outputError: (text, write) =>
        write(text.replace(LOGIN, "://...@").replace(/^error:/, terminal.errColor.red("error:"))),
    })
    .configureHelp({ showGlobalOptions: false, optionDescription: describeOption })
    .addHelpText(
      "after",
      `
Exit status:
  0    done, or stopped as asked
  1    failed; the reason is on stderr
  2    wrong usage
  3    weft replay: some calls would come out otherwise
  130  killed by a second Ctrl-C

NO_COLOR=1 switches colours off. Each command has its own help: weft up --help`,
    );

  program
    .command("up")
    .summary("start a system and watch it")
    .description(
      "Starts the system that weft.config.ts (or weft.yaml) in DIR describes: control plane, gateway and services, each in processes of their own, in the " +
        "order of their needs. In a terminal it shows a live table above the services' logs; piped, plain lines. Ctrl-C (or SIGTERM) drains and stops " +
        "everything in reverse order; a second one kills. When this process is killed, everything it started ends as well.",
    )
    .argument("[dir]", "folder of the description, or its file", ".")
    .addOption(
      new Option(
        "--listen <address>",
        "where the gateway listens, instead of gateway.listen: PORT or HOST:PORT; port 0 picks a free one",
      ).argParser(address),
    )
    .option("--load <calls>", "run the system's load driver with so many calls a second", positive)
    .option("--print", "print the routes and policies as YAML and start nothing", false)
    .option("--plain", "plain lines, also in a terminal", false)
    .option("--json", "one JSON object a line", false)
    .option("--no-contracts", "do not check the contracts first")
    .option("--state <folder>", "folder for logs, data and the run file (default: .weft in the description's folder)")
    .addHelpText("after", UP_HELP)
    .action(async (dir: string, options) => exit(await (await import("./commands/up.ts")).up(dir, options, terminal)));

  program
    .command("gen")
    .summary("generate TypeScript from contracts")
    .description(
      "Compiles .proto files to TypeScript: messages, services and typed clients. Works offline; needs @bufbuild/buf and @bufbuild/protoc-gen-es as development dependencies.",
    )
    .argument("[dir]", "the project's folder", ".")
    .option("--proto <folder...>", "folders with .proto files, relative to DIR (default: proto)")
    .option("--out <folder>", "folder for the generated code, relative to DIR", "gen")
    .option("--check", "write nothing; fail when the generated code is not up to date", false)
    .option("--json", "print the result as JSON", false)
    .action(async (dir: string, options) => (await import("./commands/gen.ts")).gen(dir, options, terminal));

  program
    .command("schema")
    .summary("print the JSON Schema of weft.yaml")
    .description(
      "Prints the JSON Schema of weft.yaml: of a system's description and of every resource (routes and policies). Editors complete and check by it; the package " +
        "has it as weftmesh/schema.json.",
    )
    .action(async () => exit((await import("./commands/schema.ts")).schema(terminal)));

  inDir(
    program
      .command("ps")
      .summary("show what runs")
      .description("Shows the instances of the running system: state, health, restarts, address, process."),
  )
    .option("--json", "print JSON", false)
    .action(async (options) => (await import("./commands/host.ts")).ps(options, terminal));

  inDir(
    program
      .command("logs")
      .summary("show what a service prints")
      .description("Shows what the processes of a service (or of the gateway, or of the control plane) have printed.")
      .argument("<name>", 'a service, "gateway" or "control"; "NAME-sidecar" for the sidecars of one'),
  )
    .option("-f, --follow", "go on until Ctrl-C", false)
    .option("-n, --lines <count>", "how many of the last lines", count, 100)
    .action(async (name: string, options) => (await import("./commands/host.ts")).logs(name, options, terminal));

  inDir(
    program
      .command("restart")
      .summary("replace the instances of a service")
      .description(
        "Replaces the instances of a service one after the other. A new instance is healthy before an old one drains, so that no call is lost.",
      )
      .argument("<name>", 'a service, one version of it ("products@v1"), "gateway" or "control"'),
  ).action(async (name: string, options) => (await import("./commands/host.ts")).restart(name, options, terminal));

  inDir(
    program
      .command("stop")
      .summary("stop the running system")
      .description("Drains and stops the running system, as Ctrl-C does, and waits for its end."),
  )
    .option("--kill", "end everything at once", false)
    .action(async (options) => (await import("./commands/host.ts")).stop(options, terminal));

  inDir(
    program
      .command("call")
      .summary("call a method")
      .description(
        "Calls a method with a JSON message and prints the answer as JSON, one line a message. The service is found through the running system's control " +
          "plane and called under its policy, or with --address called directly, its contract asked by gRPC reflection.",
      )
      .argument("<method>", "counter.v1.Counter/Count")
      .argument(
        "[json...]",
        'the request: \'{"count": 1}\'; several for a method that takes a stream; "-" reads lines of stdin; default {}',
      ),
  )
    .addOption(
      new Option("--address <address>", "call HOST:PORT directly, without discovery and policy")
        .argParser(addressText)
        .conflicts("control"),
    )
    .addOption(controlInstead())
    .option("--explain", "also print how the call was decided", false)
    .option("--timeout <ms>", "deadline of the call, ms", positive)
    .option("-H, --header <name:value...>", "metadata to send")
    .option("--json", "print the decision and errors as JSON, too", false)
    .addHelpText("after", `\nExample:\n  weft call counter.v1.Counter/Count '{"count": 1}' --explain`)
    .action(async (method: string, json: string[], options) =>
      (await import("./commands/call.ts")).call(method, json, options, terminal),
    );

  addProxyCommand(program, terminal, exit);
  addControlCommand(program, terminal, exit);
  addGatewayCommand(program, terminal, exit);
  addSidecarCommand(program, terminal, exit);
  addIdentityCommands(program, terminal);
  addEnvoyBootstrapCommand(program, terminal);

  addDnsCommand(program, terminal, exit);
  addInterceptCommand(program, terminal, exit);
  addMeshCommand(program, terminal, exit);
  addRegistryCommand(program, terminal, exit);
  addPublishCommand(program, terminal, exit);
  addLedgerCommands(program, terminal, exit);
  addSettingsCommands(program, terminal, exit);
  addPolicyCommands(program, terminal, exit);

  nameTheirHelp(program, "weft");
  program.showHelpAfterError("(weft --help shows the commands)");
  return program;
}

function nameTheirHelp(parent: Command, path: string): void {
  for (const command of parent.commands) {
    const name = `${path} ${command.name()}`;
    command.showHelpAfterError(`(${name} --help shows how it is used)`);
    nameTheirHelp(command, name);
  }
}

const UP_HELP = `
Examples:
  weft up examples/shop
  weft up examples/shop --load 50
  weft up --listen 127.0.0.1:0 --json

JSON events, by "type":
  log             a line of a process: id, unit, stream ("out" or "err"), line
  starting, ready, crashed, restarting, draining, exited, killing
                  of an instance: id, unit, text; restarting has delayMs
  replacing, replaced, replace-failed
                  of a unit ("products@v1"): unit, text
  system-ready    everything is healthy: gateway (its URL), admin, control
  stopping, stopped
                  the system: reason, failure (null when it was asked to)
  error           why it failed: code, reason, message, place`;

const LOGIN = /:\/\/[^/\s@]*@/g;
