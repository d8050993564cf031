import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "../call/client-types.ts";
import { WeftError } from "../core/errors.ts";
import { type DirFlags, stateDirOf } from "./commands/host.ts";
import { controlAddress } from "./control-address.ts";
import { controlClient } from "./control-client.ts";

/** Which control plane a command asks, and as whom. */
export interface AskingFlags extends DirFlags {
  control?: string;
  /** Folder of the control plane's data, whose operator token is shown. */
  data?: string;
}

/**
 * Asks the control plane as whoever has the operator's token, or another one (`weft token admin`), and closes the line when `ask` is done. Throws `unavailable`
 * (CANNOT_ASK), which says where, when nobody answers there.
 */
export async function askControl<S extends DescService, T>(
  desc: S,
  flags: AskingFlags,
  ask: (client: Client<S>, as: { readonly metadata: Record<string, string> }) => Promise<T>,
): Promise<T> {
  const address = controlAddress(flags);
  const token = operatorToken(flags);
  const { client, close } = await controlClient(desc, address, token !== "");
  try {
    return await ask(client, { metadata: token === "" ? {} : { authorization: `Bearer ${token}` } });
  } catch (thrown) {
    throw cannotAsk(address, thrown);
  } finally {
    await close();
  }
}

/** What to throw where a question to the control plane failed: as it came, and where it was asked when nobody answers there. */
export function cannotAsk(address: string, thrown: unknown): unknown {
  if (!(thrown instanceof WeftError) || thrown.code !== "unavailable") return thrown;
  const message = `the control plane at ${address} cannot be asked: ${thrown.message}`;
  return new WeftError("unavailable", message, { reason: "CANNOT_ASK", cause: thrown });
}

/** WEFT_ADMIN_TOKEN, or the operator's: of the environment, or of the control plane's folder; "" where none is there, which the control plane then says. */
export function operatorToken({ data, ...flags }: AskingFlags): string {
  const given = process.env.WEFT_ADMIN_TOKEN || process.env.WEFT_OPERATOR_TOKEN || "";
  if (given !== "") return given;
  try {
    return readFileSync(join(data ?? join(stateDirOf(flags), "control"), "operator-token"), "utf8").trim();
  } catch {
    return "";
  }
}
