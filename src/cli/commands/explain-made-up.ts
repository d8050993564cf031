import { statSync } from "node:fs";
import type { Revision } from "../../contract/gen/weft/control/v1/control.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";
import { seededRandom, systemRandom } from "../../core/random.ts";
import { loadSystem } from "../../host/load-system.ts";
import { createLink } from "../../link/link.ts";
import type { SuppliedPolicy } from "../../link/types.ts";
import type { CallContext, CallRequest } from "../../policy/call.ts";
import { type DryRun, dryRun } from "../../policy/decision/dry-run.ts";
import { explainDecision } from "../../policy/decision/explain.ts";
import type { Resource } from "../../policy/resource/resources.ts";
import { parseResources } from "../../policy/resource/validate.ts";
import { parseBackend } from "../../policy/route/rule.ts";
import type { PolicyRuntime } from "../../policy/runtime.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import { createRest, type Rest } from "../../proxy/rest.ts";
import { Head } from "../../wire/head.ts";
import { formatColumns } from "../columns.ts";
import { controlAddress } from "../control-address.ts";
import { toolSecurity } from "../control-client.ts";
import { EXIT, usage } from "../exit-status.ts";
import { paintDecision } from "../paint-decision.ts";
import { readResourceFiles } from "../resource-files.ts";
import { systemResources } from "../resources.ts";
import { sanitize, type Terminal } from "../terminal.ts";
import { noteOf, revisionAt, revisionText } from "./ledger/revision-at.ts";

export interface MadeUpFlags {
  dir: string;
  state?: string;
  method?: string;
  path?: string;
  host?: string;
  header?: string[];
  service?: string;
  identity?: string;
  address?: string;
  place?: "gateway" | "client" | "server";
  from?: string[];
  /** A revision, a tag, or a time: what was in force then decides. */
  at?: string;
  control?: string;
  json: boolean;
}

/** Decides a call that nobody makes, under what is live or under files, and shows which endpoints it could have gone to. */
export async function explainMadeUp(flags: MadeUpFlags, terminal: Terminal): Promise<number> {
  const path = flags.path ?? "/";
  if (!path.startsWith("/")) throw usage(`--path must begin with "/", is "${path}"`);
  const asked: CallRequest = {
    method: (flags.method ?? "GET").toUpperCase(),
    scheme: "http",
    authority: flags.host ?? "localhost",
    path,
    protocol: "",
    fields: fieldsOf(flags.header ?? []),
    memo: null,
  };
  const given: CallContext = {
    place: flags.place ?? (flags.service === undefined ? "gateway" : "client"),
    service: flags.service ?? "",
    asSent: null,
    peerAddress: flags.address ?? "127.0.0.1:0",
    peerIdentity: flags.identity ?? "",
    secure: (flags.identity ?? "") !== "",
    deadline: Number.POSITIVE_INFINITY,
    callerAttempt: 0,
    requestId: "",
  };
  const past = flags.at === undefined ? null : await revisionAt(flags.at, flags);
  const { runtime, rest, close } =
    flags.from === undefined ? await liveRuntime(flags, terminal, past) : await runtimeOfFiles(flags.from);
  try {
    const { request, context } = asCarried(asked, given, rest);
    const found = dryRun(runtime, request, context);
    const { method } = context.asSent ?? request;
    if (flags.json) {
      const revision = past === null ? {} : { revision: noteOf(past) };
      terminal.out(`${JSON.stringify({ request: { method, path }, ...found, ...revision }, null, 2)}\n`);
    } else {
      print(found, `${method} ${path}`, terminal);
      if (past !== null)
        terminal.out(
          `  note       under ${revisionText(past)}; endpoints, their load and contracts are those of now\n`,
        );
      if (rest === null && found.decision.outcome.reason === "NO_ROUTE") terminal.out(WITHOUT_CONTRACTS);
    }
    return EXIT.ok;
  } finally {
    await close();
  }
}

function print({ decision, candidates, notAsked }: DryRun, request: string, terminal: Terminal): void {
  const text = explainDecision(decision, { request, process: "(made up: nothing was sent)" });
  const lines = text.split("\n").map((line) => sanitize(line, false));
  terminal.out(`${paintDecision(lines.join("\n"), terminal.color)}\n`);
  for (const what of notAsked) terminal.out(`  not asked  ${what}: decided as when there is no answer\n`);
  if (candidates.length === 0) return;
  const titles = ["CANDIDATE", "ADDRESS", "VERSION", "ZONE", "WHY"].map((title) => ({ title }));
  const rows = candidates.map(({ endpoint, address, version, zone, chosen, why }) =>
    [endpoint, address, version, zone, why].map((cell) => ({
      text: sanitize(cell, false),
      ...(chosen && { style: terminal.color.bold }),
    })),
  );
  terminal.out(`\n${formatColumns(titles, rows, terminal.color.dim).join("\n")}\n`);
}

/** What the gateway would carry for it: the gRPC call that a contract makes of REST; a contract's method as gRPC. */
function asCarried(asked: CallRequest, given: CallContext, rest: Rest | null) {
  const { scheme, authority, path, fields } = asked;
  if (rest?.contracts.some(({ methods }) => methods.has(path))) {
    const typed = fields.some((name, i) => i % 2 === 0 && name === "content-type");
    const grpc = typed ? fields : [...fields, "content-type", "application/grpc"];
    return { request: { ...asked, method: "POST", fields: grpc }, context: given };
  }
  if (rest === null || given.place !== "gateway") return { request: asked, context: given };
  const head = new Head(asked.method, scheme, authority, path, "", 0, [...fields]);
  const found = rest.find(head);
  if (found instanceof WeftError) throw found;
  if (found === null) return { request: asked, context: given };
  return { request: found.head, context: { ...given, service: found.service, asSent: head } };
}

/** Below the record, in its columns. */
const WITHOUT_CONTRACTS =
  "  note       files tell nothing of contracts: REST that they describe is known of a running system (without --from)\n";

interface Decider {
  readonly runtime: PolicyRuntime;
  /** What contracts make of REST; null under files, which have none. */
  readonly rest: Rest | null;
  close(): Promise<void>;
}

/** Resources, methods and endpoints as the control plane has them now; statistics, limits and breakers of its own, all fresh. */
async function liveRuntime(flags: MadeUpFlags, terminal: Terminal, past: Revision | null): Promise<Decider> {
  const runtime = createPolicyRuntime({ random: systemRandom, record: "all" });
  const address = controlAddress(flags);
  const control = await toolSecurity(address);
  const policy = past === null ? runtime : underRevision(runtime, past);
  const link = createLink({ address, policy, process: "weft-explain", control });
  const rest = createRest(runtime, ({ message }) =>
    terminal.err(`${terminal.errColor.yellow("warning:")} ${message}\n`),
  );
  link.watchContracts((contracts) => rest.setContracts(contracts));
  try {
    await link.subscribe("*");
  } catch (error) {
    await link.close();
    throw error;
  }
  return { runtime, rest, close: () => link.close() };
}

/** Decides by the resources of one revision, whatever is in force. */
function underRevision(runtime: PolicyRuntime, { revision, resources }: Revision): SuppliedPolicy {
  const then = JSON.parse(resources) as Resource[];
  return {
    applyResources: (_revision, _resources, methods) => runtime.applyResources(Number(revision), then, methods),
    applyEndpoints: (delta) => runtime.applyEndpoints(delta),
    quorumBreakers: () => runtime.quorumBreakers(),
    get sharesLimits() {
      return runtime.sharesLimits;
    },
    process: runtime.process,
    journal: runtime.journal,
  };
}

/** Files of resources, or the description of a system; every service that they name has endpoints that are made up. */
async function runtimeOfFiles(from: readonly string[]): Promise<Decider> {
  const runtime = createPolicyRuntime({ random: seededRandom(1), record: "all" });
  const backends = new Map<string, { service: string; version: string; replicas: number }>();
  let resources: readonly Resource[];
  if (
    from.length === 1 &&
    (statSync(from[0], { throwIfNoEntry: false })?.isDirectory() || /\.[cm]?[jt]s$/.test(from[0]))
  ) {
    const system = await loadSystem(from[0]);
    resources = systemResources(system).resources;
    for (const { name, service, version, replicas } of system.units) backends.set(name, { service, version, replicas });
  } else resources = parseResources(readResourceFiles(from)).resources;
  for (const resource of resources) {
    if (resource.kind !== "HTTPRoute" && resource.kind !== "GRPCRoute") continue;
    for (const ref of resource.spec.rules.flatMap(({ backendRefs }) => backendRefs ?? [])) {
      const { service, version } = parseBackend(ref);
      if (
        !backends.has(ref.name) &&
        ![...backends.values()].some((known) => known.service === service && version === "")
      )
        backends.set(ref.name, { service, version, replicas: 2 });
    }
  }
  runtime.applyResources(1, resources, []);
  const changed = [...backends.values()].flatMap(({ service, version, replicas }) =>
    Array.from({ length: replicas }, (_, i): Endpoint => {
      const id = `${service}${version === "" ? "" : `-${version}`}-${i + 1}`;
      const rest = { zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
      return { id, service, version, host: "made-up", port: 0, ...rest };
    }),
  );
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  return { runtime, rest: null, close: async () => {} };
}

function fieldsOf(headers: readonly string[]): string[] {
  return headers.flatMap((header) => {
    const colon = header.search(/[:=]/);
    if (colon > 0) return [header.slice(0, colon).trim().toLowerCase(), header.slice(colon + 1).trim()];
    throw usage(`"${header}" is no header; write it as name:value`);
  });
}
