import type { InterceptPlan } from "./plan.ts";

export const NFT_TABLE = "weft_intercept";

/**
 * The rules as a script for `nft -f`: one transaction that takes the place of whatever the table held. Each rule's comment says what it is for; `readNftTable` reads
 * them back.
 *
 * Chains see the first packet of each connection only; in order:
 *
 *     outgoing   the sidecar's own      left alone
 *                port 53                to its DNS
 *                a virtual address      to its port, the address kept (the sidecar knows the service by it)
 *                own addresses          left alone
 *                excluded networks      left alone
 *                other TCP              to its transparent listener, at the loopback address
 *     incoming   the application's port to its inbound port
 */
export function nftRules(plan: InterceptPlan): string {
  const outgoing = [`meta skgid ${plan.exemptGid} ${rule("accept", `exempt-gid ${plan.exemptGid}`)}`];
  if (plan.dns !== null) {
    for (const protocol of ["udp", "tcp"])
      outgoing.push(`${protocol} dport 53 ${rule(`redirect to :${plan.dns}`, `dns ${plan.dns}`)}`);
  }
  // A port alone: the address stays as it is.
  outgoing.push(
    `meta l4proto tcp ip daddr ${plan.virtual} ${rule(`dnat to :${plan.outbound}`, `virtual ${plan.virtual}`)}`,
  );
  outgoing.push("fib daddr type local accept");
  for (const network of plan.exclude)
    outgoing.push(`${network.includes(":") ? "ip6" : "ip"} daddr ${network} ${rule("accept", `exclude ${network}`)}`);
  outgoing.push(`meta l4proto tcp ${rule(`redirect to :${plan.outbound}`, `outbound ${plan.outbound}`)}`);
  const { inbound } = plan;
  const incoming =
    inbound === null
      ? []
      : [
          "chain incoming {",
          "  type nat hook prerouting priority -100; policy accept;",
          `  tcp dport ${inbound.app} ${rule(`redirect to :${inbound.port}`, `inbound ${inbound.app} to ${inbound.port}`)}`,
          "}",
        ];
  return `${[
    `add table inet ${NFT_TABLE}`,
    `delete table inet ${NFT_TABLE}`,
    `table inet ${NFT_TABLE} {`,
    "chain outgoing {",
    "  type nat hook output priority -100; policy accept;",
    ...outgoing.map((line) => `  ${line}`),
    "}",
    ...incoming,
    "}",
  ].join("\n")}\n`;
}

function rule(verdict: string, comment: string): string {
  return `counter ${verdict} comment "${comment}"`;
}

/** A rule that is in force, with the connections (for DNS over UDP: the flows) that met it. */
export interface InterceptRule {
  readonly what: string;
  readonly connections: number;
}

/** Reads what `nft -j list table` prints. */
export function readNftTable(json: string): InterceptRule[] {
  const parsed: unknown = JSON.parse(json);
  const rules: InterceptRule[] = [];
  for (const entry of listOf(fieldOf(parsed, "nftables"))) {
    const own = fieldOf(entry, "rule");
    const what = fieldOf(own, "comment");
    if (typeof what !== "string") continue;
    const counter = listOf(fieldOf(own, "expr"))
      .map((part) => fieldOf(fieldOf(part, "counter"), "packets"))
      .find((packets) => typeof packets === "number");
    rules.push({ what, connections: typeof counter === "number" ? counter : 0 });
  }
  return merged(rules);
}

/** DNS has a rule for UDP and one for TCP. */
export function merged(rules: readonly InterceptRule[]): InterceptRule[] {
  const sums = new Map<string, number>();
  for (const { what, connections } of rules) sums.set(what, (sums.get(what) ?? 0) + connections);
  return [...sums].map(([what, connections]) => ({ what, connections }));
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
