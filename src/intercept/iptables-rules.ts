import { type InterceptRule, merged } from "./nft-rules.ts";
import type { InterceptPlan } from "./plan.ts";

/** Chains of our own in the nat table, which OUTPUT and PREROUTING jump to. */
export const IPTABLES_CHAINS = { outgoing: "WEFT_OUTGOING", incoming: "WEFT_INCOMING" } as const;

/**
 * The same rules as nftRules, for `iptables-restore --noflush` (`ip6tables-restore`): where nft is missing. Both chains are emptied and filled in one go; the jumps to
 * them are the caller's.
 */
export function iptablesRules(plan: InterceptPlan, family: "ip" | "ip6"): string {
  const { outgoing, incoming } = IPTABLES_CHAINS;
  const lines = [
    `-A ${outgoing} -m owner --gid-owner ${plan.exemptGid} ${target("RETURN", `exempt-gid ${plan.exemptGid}`)}`,
  ];
  if (plan.dns !== null) {
    for (const protocol of ["udp", "tcp"])
      lines.push(
        `-A ${outgoing} -p ${protocol} --dport 53 ${target(`REDIRECT --to-ports ${plan.dns}`, `dns ${plan.dns}`)}`,
      );
  }
  if (family === "ip")
    lines.push(
      `-A ${outgoing} -p tcp -d ${plan.virtual} ${target(`DNAT --to-destination :${plan.outbound}`, `virtual ${plan.virtual}`)}`,
    );
  lines.push(`-A ${outgoing} -m addrtype --dst-type LOCAL -j RETURN`);
  for (const network of plan.exclude) {
    if (network.includes(":") === (family === "ip6"))
      lines.push(`-A ${outgoing} -d ${network} ${target("RETURN", `exclude ${network}`)}`);
  }
  lines.push(`-A ${outgoing} -p tcp ${target(`REDIRECT --to-ports ${plan.outbound}`, `outbound ${plan.outbound}`)}`);
  const { inbound } = plan;
  if (inbound !== null)
    lines.push(
      `-A ${incoming} -p tcp --dport ${inbound.app} ${target(`REDIRECT --to-ports ${inbound.port}`, `inbound ${inbound.app} to ${inbound.port}`)}`,
    );
  return `*nat\n:${outgoing} - [0:0]\n:${incoming} - [0:0]\n${lines.join("\n")}\nCOMMIT\n`;
}

function target(action: string, comment: string): string {
  return `-m comment --comment "${comment}" -j ${action}`;
}

/** Reads what `iptables-save -c -t nat` prints; null: there are none of our chains. */
export function readIptables(text: string): InterceptRule[] | null {
  if (!text.includes(`:${IPTABLES_CHAINS.outgoing} `)) return null;
  const rules: InterceptRule[] = [];
  for (const line of text.split("\n")) {
    const found = /^\[(\d+):\d+\] -A WEFT_(?:OUTGOING|INCOMING) .*--comment (?:"([^"]*)"|(\S+))/.exec(line);
    if (found !== null) rules.push({ what: found[2] ?? found[3], connections: Number(found[1]) });
  }
  return merged(rules);
}
