import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "../../call/client-types.ts";
import { type Authority, Identity } from "../../contract/gen/weft/control/v1/identity.ts";
import { formatControlPin, pinsOf } from "../../core/control-pin.ts";
import { WeftError } from "../../core/errors.ts";
import { controlAddress } from "../control-address.ts";
import { controlClient } from "../control-client.ts";
import { EXIT } from "../exit-status.ts";
import type { Terminal } from "../terminal.ts";
import { type DirFlags, stateDirOf } from "./host.ts";

export interface IdentityFlags extends DirFlags {
  control?: string;
  /** Folder of the control plane's data, whose operator token is shown. */
  data?: string;
}

/** `weft token create SERVICE`: prints the token and nothing else, for `WEFT_JOIN_TOKEN=$(...)`. */
export async function createToken(
  service: string,
  flags: IdentityFlags & { ttl: number; uses: number },
  terminal: Terminal,
): Promise<number> {
  return await withIdentity(flags, async (client, metadata) => {
    const { token } = await client.createJoinToken({ service, ttlSeconds: flags.ttl, uses: flags.uses }, { metadata });
    terminal.out(`${token}\n`);
  });
}

/** `weft ca status` */
export async function authorityStatus(flags: IdentityFlags & { json: boolean }, terminal: Terminal): Promise<number> {
  return await withIdentity(flags, async (client) => {
    const authority = await client.getAuthority({});
    terminal.out(flags.json ? jsonOf(authority) : textOf(authority));
  });
}

/** `weft ca rotate` */
export async function rotateAuthority(flags: IdentityFlags, terminal: Terminal): Promise<number> {
  return await withIdentity(flags, async (client, metadata) => {
    terminal.out(textOf(await client.rotateAuthority({}, { metadata })));
  });
}

function withIdentity(
  flags: IdentityFlags,
  body: (client: Client<typeof Identity>, metadata: Record<string, string>) => Promise<void>,
): Promise<number> {
  return withControl(Identity, flags, body);
}

/** Asks the control plane as whoever has the operator's token, or another one (`weft token admin`). */
export async function withControl<S extends DescService>(
  desc: S,
  flags: IdentityFlags,
  body: (client: Client<S>, metadata: Record<string, string>) => Promise<void>,
): Promise<number> {
  const address = controlAddress(flags);
  const token = operatorToken(flags);
  const { client, close } = await controlClient(desc, address, token !== "");
  try {
    await body(client, token === "" ? {} : { authorization: `Bearer ${token}` });
    return EXIT.ok;
  } catch (thrown) {
    if (!(thrown instanceof WeftError) || thrown.code !== "unavailable") throw thrown;
    const message = `the control plane at ${address} cannot be asked: ${thrown.message}`;
    throw new WeftError("unavailable", message, { reason: "CANNOT_ASK", cause: thrown });
  } finally {
    await close();
  }
}

/** WEFT_ADMIN_TOKEN, or the operator's: of the environment, or of the control plane's folder; "" where none is there, which the control plane then says. */
export function operatorToken({ data, ...flags }: IdentityFlags): string {
  const given = process.env.WEFT_ADMIN_TOKEN || process.env.WEFT_OPERATOR_TOKEN || "";
  if (given !== "") return given;
  try {
    return readFileSync(join(data ?? join(stateDirOf(flags), "control"), "operator-token"), "utf8").trim();
  } catch {
    return "";
  }
}

function textOf({ system, kind, leafLifetimeMs, roots, trust }: Authority): string {
  const lines = [
    `authority of ${system}, ${kind === "own" ? "with roots of its own" : "by a certificate that was given"}`,
  ];
  lines.push(`certificates live ${Number(leafLifetimeMs) / 1_000} s`);
  for (const { id, state, notAfterMs, untilMs } of roots) {
    const until = untilMs === 0n ? "" : `, ${NEXT[state] ?? "changes"} ${new Date(Number(untilMs)).toISOString()}`;
    lines.push(`root ${id}  ${state.padEnd(12)}  expires ${new Date(Number(notAfterMs)).toISOString()}${until}`);
  }
  lines.push(`WEFT_CONTROL_PIN=${formatControlPin({ system, pins: pinsOf(trust) })}`);
  return `${lines.join("\n")}\n`;
}

function jsonOf(authority: Authority): string {
  const plain = (key: string, value: unknown): unknown =>
    key.startsWith("$") ? undefined : typeof value === "bigint" ? Number(value) : value;
  return `${JSON.stringify(authority, plain, 2)}\n`;
}

const NEXT: Readonly<Record<string, string>> = {
  distributing: "signs from",
  signing: "is replaced from",
  retiring: "is dropped at",
};
