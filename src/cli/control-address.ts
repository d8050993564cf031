import { CONTROL_ADDRESSES_WANTED, parseControlAddresses } from "../core/control-addresses.ts";
import { WeftError } from "../core/errors.ts";
import { type DirFlags, runningSystem } from "./commands/host.ts";

/** Where the control plane is, or several separated by commas: as it was named, WEFT_CONTROL, or that of the system that runs in the folder. */
export function controlAddress(flags: DirFlags & { control?: string }): string {
  const text = flags.control || process.env.WEFT_CONTROL || controlOf(flags) || "";
  const addresses = parseControlAddresses(text);
  if (addresses !== null) return addresses.join(",");
  if (text !== "")
    throw new WeftError(
      "invalid_argument",
      `WEFT_CONTROL is "${text.slice(0, 300)}"; it must be ${CONTROL_ADDRESSES_WANTED}`,
      {
        reason: "BAD_ADDRESS",
      },
    );
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
