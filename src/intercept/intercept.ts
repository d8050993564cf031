import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { WeftError } from "../core/errors.ts";
import { IPTABLES_CHAINS, iptablesRules, readIptables } from "./iptables-rules.ts";
import { type InterceptRule, NFT_TABLE, nftRules, readNftTable } from "./nft-rules.ts";
import { assertPlan, type InterceptPlan } from "./plan.ts";

export type InterceptTool = "nft" | "iptables";

export interface InterceptPlace {
  /** A network namespace of `ip netns`; null: the present one. */
  readonly netns: string | null;
  /** Default: nft, or iptables where there is no nft. */
  readonly tool: InterceptTool | null;
}

/** Puts the rules in force, in place of those that were. Throws `failed_precondition` where it cannot. */
export function interceptUp(plan: InterceptPlan, place: InterceptPlace): InterceptTool {
  assertPlan(plan);
  const tool = assertPossible(place);
  if (tool === "nft") {
    expectDone(run(place, ["nft", "-f", "-"], nftRules(plan)), "nft");
    return tool;
  }
  for (const { command, family } of iptablesCommands(place)) {
    expectDone(run(place, [`${command}-restore`, "--noflush"], iptablesRules(plan, family)), command);
    for (const [hook, chain] of JUMPS) {
      const jump = [hook, "-j", chain];
      if (run(place, [command, "-w", "-t", "nat", "-C", ...jump]).status !== 0)
        expectDone(run(place, [command, "-w", "-t", "nat", "-A", ...jump]), command);
    }
  }
  return tool;
}

/** Takes all rules away. False: there were none. */
export function interceptDown(place: InterceptPlace): boolean {
  assertPossible(place);
  let removed = false;
  for (const tool of toolsOf(place)) {
    if (readRules(tool, place) === null) continue;
    removed = true;
    if (tool === "nft") expectDone(run(place, ["nft", "delete", "table", "inet", NFT_TABLE]), "nft");
    else for (const { command } of iptablesCommands(place)) removeChains(place, command);
  }
  return removed;
}

export interface InterceptStatus {
  readonly tool: InterceptTool;
  readonly rules: readonly InterceptRule[];
}

/** Null: nothing is intercepted. */
export function interceptStatus(place: InterceptPlace): InterceptStatus | null {
  assertPossible(place);
  for (const tool of toolsOf(place)) {
    const rules = readRules(tool, place);
    if (rules !== null) return { tool, rules };
  }
  return null;
}

const JUMPS: readonly (readonly [hook: string, chain: string])[] = [
  ["OUTPUT", IPTABLES_CHAINS.outgoing],
  ["PREROUTING", IPTABLES_CHAINS.incoming],
];

function readRules(tool: InterceptTool, place: InterceptPlace): InterceptRule[] | null {
  if (tool === "nft") {
    const { status, out, err } = run(place, ["nft", "-j", "list", "table", "inet", NFT_TABLE]);
    if (status === 0) return readNftTable(out);
    if (/No such file or directory/.test(err)) return null;
    throw failed("nft", err);
  }
  const { status, out, err } = run(place, ["iptables-save", "-c", "-t", "nat"]);
  if (status !== 0) throw failed("iptables-save", err);
  return readIptables(out);
}

function removeChains(place: InterceptPlace, command: string): void {
  for (const [hook, chain] of JUMPS) {
    while (run(place, [command, "-w", "-t", "nat", "-D", hook, "-j", chain]).status === 0);
    run(place, [command, "-w", "-t", "nat", "-F", chain]);
    run(place, [command, "-w", "-t", "nat", "-X", chain]);
  }
}

/** Both families, the second where the kernel has it. */
function iptablesCommands(place: InterceptPlace): { command: string; family: "ip" | "ip6" }[] {
  const hasV6 = isInstalled("ip6tables") && run(place, ["ip6tables", "-w", "-t", "nat", "-S", "OUTPUT"]).status === 0;
  return [{ command: "iptables", family: "ip" }, ...(hasV6 ? [{ command: "ip6tables", family: "ip6" } as const] : [])];
}

function toolsOf({ tool }: InterceptPlace): InterceptTool[] {
  return (tool === null ? (["nft", "iptables"] as const) : [tool]).filter(isInstalled);
}

/** Which tool is used. Throws with the reason why nothing can be intercepted here. */
function assertPossible(place: InterceptPlace): InterceptTool {
  if (process.platform !== "linux")
    throw refused(
      "NOT_LINUX",
      `interception needs Linux, this is ${process.platform}; use HTTP_PROXY or the names of the sidecar's DNS instead (docs/intercept.md)`,
    );
  const [tool] = toolsOf(place);
  if (tool === undefined)
    throw refused(
      "TOOL_MISSING",
      `${place.tool ?? "neither nft nor iptables"} is ${place.tool === null ? "installed" : "not installed"}; install nftables`,
    );
  const { netns } = place;
  if (!hasCapability(CAP_NET_ADMIN) || (netns !== null && !hasCapability(CAP_SYS_ADMIN)))
    throw refused(
      "NOT_PERMITTED",
      `rules are changed by root (CAP_NET_ADMIN${netns === null ? "" : ", CAP_SYS_ADMIN for a namespace"}); run it with sudo`,
    );
  if (netns === null) return tool;
  if (!/^[A-Za-z0-9][\w.-]{0,127}$/.test(netns))
    throw refused("NO_SUCH_NAMESPACE", `"${netns}" is no name of a network namespace`);
  if (!NETNS_FOLDERS.some((folder) => existsSync(`${folder}/${netns}`)))
    throw refused("NO_SUCH_NAMESPACE", `there is no network namespace "${netns}"; make it with: ip netns add ${netns}`);
  if (!isInstalled("ip"))
    throw refused("TOOL_MISSING", "ip is not installed, which enters namespaces; install iproute2");
  return tool;
}

const NETNS_FOLDERS = ["/run/netns", "/var/run/netns"];
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

function hasCapability(bit: bigint): boolean {
  const found = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return found !== null && ((BigInt(`0x${found[1]}`) >> bit) & 1n) === 1n;
}

function isInstalled(command: string): boolean {
  return (process.env.PATH ?? "")
    .split(":")
    .concat(SYSTEM_FOLDERS)
    .some((folder) => folder !== "" && existsSync(`${folder}/${command}`));
}

/** Where such tools are, and where the PATH of people who are not root does not look. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/sbin"];

interface Done {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function run({ netns }: InterceptPlace, command: readonly string[], input = ""): Done {
  const [program, ...args] = netns === null ? command : ["ip", "netns", "exec", netns, ...command];
  const env = { ...process.env, LC_ALL: "C", PATH: [process.env.PATH ?? "", ...SYSTEM_FOLDERS].join(":") };
  const done = spawnSync(program, args, { input, env, encoding: "utf8", timeout: COMMAND_TIMEOUT_MS });
  return { status: done.status, out: done.stdout ?? "", err: done.error?.message ?? done.stderr ?? "" };
}

const COMMAND_TIMEOUT_MS = 15_000;

function expectDone({ status, err }: Done, command: string): void {
  if (status !== 0) throw failed(command, err);
}

function failed(command: string, err: string): WeftError {
  const why = err.trim().split("\n").slice(0, 3).join(" ");
  const hint = /not supported|No such file or directory|can't initialize/i.test(err)
    ? " (the kernel lacks NAT: modules nf_nat and nft_redir, or iptable_nat and xt_REDIRECT)"
    : "";
  return refused("RULES_REFUSED", `${command} refused the rules: ${why}${hint}`);
}

function refused(reason: string, message: string): WeftError {
  return new WeftError("failed_precondition", message, { reason });
}
