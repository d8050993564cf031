import type { DescService } from "@bufbuild/protobuf";
import { createDirectClient, type DirectClient } from "../call/direct.ts";
import { parseControlPin } from "../core/control-pin.ts";
import { WeftError } from "../core/errors.ts";
import { ControlSecurity, isOnThisMachine } from "../link/control-security.ts";

/**
 * How tools speak with the control plane: over TLS where WEFT_CONTROL_PIN says by what it is known, otherwise (null) in plain text, which it takes on its own machine. Rejects
 * where it does not prove to be that one.
 */
export async function toolSecurity(address: string): Promise<ControlSecurity | null> {
  const text = process.env.WEFT_CONTROL_PIN ?? "";
  if (text === "") return null;
  const pin = parseControlPin(text);
  if (pin === null) {
    const message = `WEFT_CONTROL_PIN: "${text.slice(0, 200)}" is none; \`weft ca status\` prints it: SYSTEM/DIGEST`;
    throw new WeftError("invalid_argument", message, { reason: "BAD_CONTROL_PIN" });
  }
  const security = new ControlSecurity({ address, pin });
  await security.prepare();
  return security;
}

/** A client of the control plane. `secret`: it sends the operator's token, which goes to no other machine in plain text. */
export async function controlClient<S extends DescService>(
  desc: S,
  address: string,
  secret = false,
): Promise<DirectClient<S>> {
  const security = await toolSecurity(address);
  if (secret && security === null && !isOnThisMachine(address))
    throw new WeftError(
      "failed_precondition",
      `the operator's token would be shown to ${address} in plain text; set WEFT_CONTROL_PIN, which \`weft ca status\` prints on the control plane's machine`,
      { reason: "PLAIN_TEXT_REFUSED" },
    );
  return createDirectClient(desc, address, security?.direct(false));
}
