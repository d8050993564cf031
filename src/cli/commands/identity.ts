import { type Authority, Identity } from "../../contract/gen/weft/control/v1/identity.ts";
import { formatControlPin, pinsOf } from "../../core/control-pin.ts";
import { type AskingFlags, askControl } from "../ask-control.ts";
import { jsonOf } from "../json-of.ts";
import type { Terminal } from "../terminal.ts";

/** `weft token create SERVICE`: prints the token and nothing else, for `WEFT_JOIN_TOKEN=$(...)`. */
export async function createToken(
  service: string,
  flags: AskingFlags & { ttl: number; uses: number },
  terminal: Terminal,
): Promise<void> {
  await askControl(Identity, flags, async (client, as) => {
    const { token } = await client.createJoinToken({ service, ttlSeconds: flags.ttl, uses: flags.uses }, as);
    terminal.out(`${token}\n`);
  });
}

/** `weft ca status` */
export async function authorityStatus(flags: AskingFlags & { json: boolean }, terminal: Terminal): Promise<void> {
  await askControl(Identity, flags, async (client) => {
    const authority = await client.getAuthority({});
    terminal.out(flags.json ? jsonOf(authority) : textOf(authority));
  });
}

/** `weft ca rotate` */
export async function rotateAuthority(flags: AskingFlags, terminal: Terminal): Promise<void> {
  await askControl(Identity, flags, async (client, as) => {
    terminal.out(textOf(await client.rotateAuthority({}, as)));
  });
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

const NEXT: Readonly<Record<string, string>> = {
  distributing: "signs from",
  signing: "is replaced from",
  retiring: "is dropped at",
};
