import { userInfo } from "node:os";
import type { Client } from "../../../call/client-types.ts";
import { Admin, type Revision } from "../../../contract/gen/weft/control/v1/control.ts";
import { WeftError } from "../../../core/errors.ts";
import { controlAddress } from "../../control-address.ts";
import { controlClient } from "../../control-client.ts";
import { type IdentityFlags, operatorToken } from "../identity.ts";

export interface LedgerFlags extends IdentityFlags {
  json: boolean;
}

/** The ledger, as commands see it. */
export interface LedgerLine {
  readonly client: Client<typeof Admin>;
  readonly metadata: Record<string, string>;
  /** "41", a tag, or "" for the current one. Rejects `not_found`. */
  find(name: string): Promise<Revision>;
}

/** Connects, and closes when `body` is done. */
export async function withLedger(flags: LedgerFlags, body: (line: LedgerLine) => Promise<number>): Promise<number> {
  const address = controlAddress(flags);
  const token = operatorToken(flags);
  const { client, close } = await controlClient(Admin, address, token !== "");
  const metadata: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
  try {
    return await body({
      client,
      metadata,
      find: (name) =>
        client.getRevision(/^\d{0,15}$/.test(name) ? { revision: BigInt(name || "0") } : { tag: name }, { metadata }),
    });
  } catch (thrown) {
    if (!(thrown instanceof WeftError) || thrown.code !== "unavailable") throw thrown;
    const message = `the control plane at ${address} cannot be asked: ${thrown.message}`;
    throw new WeftError("unavailable", message, { reason: "CANNOT_ASK", cause: thrown });
  } finally {
    await close();
  }
}

/** Who is at the terminal, as author of what is published; "" where nobody is known. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return ""; // a container may run as somebody who has no name
  }
}
