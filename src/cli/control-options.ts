import { Option } from "commander";
import { addressText } from "./arguments.ts";

/** --control of commands that belong to a control plane's processes: there is none without. */
export function controlRequired(): Option {
  return new Option("--control <address>", "the control plane, HOST:PORT (WEFT_CONTROL)")
    .argParser(addressText)
    .env("WEFT_CONTROL")
    .makeOptionMandatory();
}

/** --control of commands that ask a system. What connects looks at the environment and the running system, too (control-address.ts). */
export function controlInstead(): Option {
  return new Option(
    "--control <address>",
    "the control plane, instead of the running system's (WEFT_CONTROL)",
  ).argParser(addressText);
}
