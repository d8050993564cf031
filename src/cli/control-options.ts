import { type Command, Option } from "commander";
import { controlAddresses, inDir } from "./arguments.ts";

/** --control of commands that belong to a control plane's processes: there is none without. */
export function controlRequired(): Option {
  return new Option(
    "--control <address>",
    "the control plane, HOST:PORT; several separated by commas: one is used, the next when it fails (WEFT_CONTROL)",
  )
    .argParser(controlAddresses)
    .env("WEFT_CONTROL")
    .makeOptionMandatory();
}

/** --control of commands that ask a system. What connects looks at the environment and the running system, too (control-address.ts). */
export function controlInstead(): Option {
  return new Option(
    "--control <address>",
    "the control plane, instead of the running system's; several separated by commas (WEFT_CONTROL)",
  ).argParser(controlAddresses);
}

/** --data of commands that ask a system as its operator, or by an admin token. */
export function operatorFolder(): Option {
  return new Option(
    "--data <dir>",
    "the control plane's data folder, whose operator-token is shown (default: the running system's; or WEFT_ADMIN_TOKEN, WEFT_OPERATOR_TOKEN)",
  );
}

/** What all commands have that ask a control plane: which one, and by whose token. */
export function asking(command: Command): Command {
  return inDir(command).addOption(controlInstead()).addOption(operatorFolder());
}
