import { Option } from "commander";
import { controlAddresses } from "./arguments.ts";

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
