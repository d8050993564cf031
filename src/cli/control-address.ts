import { WeftError } from "../core/errors.ts";
import { type DirFlags, runningSystem } from "./commands/host.ts";

/** Where the control plane is: as it was named, WEFT_CONTROL, or that of the system that runs in the folder. */
export function controlAddress(flags: DirFlags & { control?: string }): string {
  const bare = (address: string | null | undefined): string => address?.replace(/^http:\/\//, "") ?? "";
  const address = bare(flags.control) || bare(process.env.WEFT_CONTROL) || bare(controlOf(flags));
  if (address !== "") return address;
  throw new WeftError(
    "failed_precondition",
    "the system is starting and has no control plane yet; try again in a moment",
    { reason: "NOT_READY" },
  );
}

function controlOf(flags: DirFlags): string | null {
  try {
    return runningSystem(flags).control;
  } catch (thrown) {
    if (!(thrown instanceof WeftError) || thrown.code !== "not_found") throw thrown;
    const message = `${thrown.message}; or name a control plane with --control`;
    throw new WeftError("not_found", message, { reason: thrown.reason, cause: thrown });
  }
}
