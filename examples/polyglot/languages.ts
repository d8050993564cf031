// Which of the example's languages this machine has, and whether it has an Envoy.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export function isInstalled(command: string): boolean {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .some((folder) => folder !== "" && isExecutable(join(folder, command)));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What each service needs besides Node. */
export const COMMANDS: Readonly<Record<string, string>> = { catalog: "python3", pricing: "go", stock: "java" };

export const MISSING: readonly string[] = Object.keys(COMMANDS).filter((service) => !isInstalled(COMMANDS[service]));

export const HAS_ENVOY: boolean = process.env.WEFT_ENVOY ? isExecutable(process.env.WEFT_ENVOY) : isInstalled("envoy");
