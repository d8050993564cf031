import { type Command, Option } from "commander";
import { ROLE_NUMBERS } from "./access-roles.ts";
import { count, serviceName } from "./arguments.ts";
import { asking } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft audit`, and what of `weft token` is about people and programs that ask the control plane. */
export function addAccessCommands(program: Command, token: Command, terminal: Terminal): void {
  const load = () => import("./commands/access.ts");
  const roles = Object.keys(ROLE_NUMBERS).filter((role) => role !== "none");

  asking(
    token
      .command("admin")
      .summary("make an admin token")
      .description(
        "Prints a token for WEFT_ADMIN_TOKEN of people and programs that ask the control plane. It is a secret, and told once.",
      ),
  )
    .addOption(new Option("--role <role>", "what it is good for: docs/admin.md").choices(roles).makeOptionMandatory())
    .option("--name <name>", "whose it is, for people", "admin")
    .addOption(new Option("--ttl <seconds>", "how long it holds").argParser(count).default(86_400))
    .action(async (options) => (await load()).createAdminToken(options, terminal));
  asking(
    token
      .command("ls")
      .summary("list admin tokens, and what services were granted")
      .description("Lists admin tokens, and what services were granted."),
  )
    .option("--json", "print JSON", false)
    .action(async (options) => (await load()).listAdminTokens(options, terminal));
  asking(
    token
      .command("revoke")
      .summary("take an admin token back")
      .description("Takes an admin token back.")
      .argument("<id>", "as `weft token ls` shows it"),
  ).action(async (id, options) => (await load()).revokeAdminToken(id, options, terminal));
  asking(
    token
      .command("grant")
      .summary("give a service a role")
      .description("Says what a service of the system may ask the control plane, by the certificate that it shows.")
      .argument("<service>", "deployer of spiffe://SYSTEM/deployer", serviceName),
  )
    .addOption(
      new Option("--role <role>", "none takes it away").choices(Object.keys(ROLE_NUMBERS)).makeOptionMandatory(),
    )
    .action(async (service, options) => (await load()).grantRole(service, options, terminal));

  asking(
    program
      .command("audit")
      .summary("show who changed what")
      .description(
        "Shows every change that was made or refused at the control plane: who asked, from where, what, and what came of it.",
      ),
  )
    .option("-f, --follow", "go on until Ctrl-C", false)
    .addOption(new Option("-n, --limit <count>", "the newest so many, at most 1000").argParser(count).default(100))
    .option("--json", "print JSON, a line each", false)
    .action(async (options) => (await load()).audit(options, terminal));
}
