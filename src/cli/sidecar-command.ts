import { type Command, Option } from "commander";
import type { OptionSpec } from "./option-spec.ts";
import { SIDECAR_OPTIONS } from "./sidecar-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft sidecar`. */
export function addSidecarCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  const command = program
    .command("sidecar")
    .summary("run the data plane beside an application")
    .description(
      "Stands beside one instance of a service, in any language: calls for it come in here (identity, authorization, limits, deadlines) and are registered in its " +
        "place; what it calls goes out here (discovery, routes, retries, breakers). The application changes nothing: set HTTP_PROXY to the outbound " +
        "address, or call that address with the service's name as the host. `weft up` starts one for a service with sidecar: true.",
    )
    .addHelpText("after", SIDECAR_HELP)
    .action(async (options) => exit(await (await import("./commands/sidecar.ts")).sidecar(options, terminal)));
  for (const spec of SIDECAR_OPTIONS) command.addOption(optionOf(spec));
}

function optionOf({ flags, about, parse, choices, env, required, default: value, defaultText }: OptionSpec): Option {
  const option = new Option(flags, about);
  if (choices !== undefined) option.choices(choices);
  if (parse !== undefined) option.argParser(parse);
  if (env !== undefined) option.env(env);
  if (value !== undefined) option.default(value, defaultText);
  return option.makeOptionMandatory(required === true);
}

const SIDECAR_HELP = `
Example:
  weft sidecar --service orders --app 127.0.0.1:3000 --outbound 127.0.0.1:15001 --control 127.0.0.1:7070
  http_proxy=http://127.0.0.1:15001 curl http://products.weft/v1/products
  curl -H 'host: products.weft' http://127.0.0.1:15001/v1/products

With WEFT_JOIN_TOKEN (weft token create orders) it proves who it is, and calls are mutual TLS. WEFT_ZONE says where it stands, WEFT_TAGS what else it is. It says when it is ready;
--admin has /readyz, /metrics and /decisions.`;
