import { Admin } from "../../contract/gen/weft/control/v1/control.ts";
import { type Code, WeftError } from "../../core/errors.ts";
import type { Decision } from "../../policy/call.ts";
import { callTree, explainCallTree, type HopDecision } from "../../policy/decision/call-tree.ts";
import { cannotAsk } from "../ask-control.ts";
import { controlAddress } from "../control-address.ts";
import { controlClient } from "../control-client.ts";
import { EXIT, usage } from "../exit-status.ts";
import { paintDecision } from "../paint-decision.ts";
import { sanitize, type Terminal, timeOfDay } from "../terminal.ts";
import { explainMadeUp, type MadeUpFlags } from "./explain-made-up.ts";
import { noteOf, revisionsOf, revisionText } from "./ledger/revision-at.ts";

export interface ExplainFlags extends MadeUpFlags {
  admin?: string;
  timeout: number;
}

/** `weft explain`: one record of a call across every hop, or of a call that is only made up. */
export async function explain(id: string | undefined, flags: ExplainFlags, terminal: Terminal): Promise<number> {
  const madeUp = flags.path !== undefined || flags.method !== undefined || flags.service !== undefined;
  if (id === undefined) {
    if (madeUp && flags.admin !== undefined)
      throw usage("--admin goes with a request id; a made-up call (--path) is decided with --control or --from");
    if (madeUp) return explainMadeUp(flags, terminal);
    throw usage(
      "name a request id (its answer's x-request-id, or the access log's), or a made-up call: --method GET --path /v1/x",
    );
  }
  if (flags.at !== undefined)
    throw usage(
      "--at goes with a made-up call (--path); what is remembered of a call says under which revision it was decided",
    );
  if (madeUp) throw usage("a request id goes without --method, --path and --service, which make up a call");
  const { hops, silent } =
    flags.admin === undefined ? await fromControl(id, flags) : await fromAdmin(id, flags.admin, flags.timeout);
  const roots = callTree(hops);
  // One process alone knows revisions by their numbers only.
  const revisions =
    flags.admin === undefined
      ? await revisionsOf(
          hops.map(({ decision }) => decision.revision),
          flags,
        )
      : [];
  if (flags.json) {
    terminal.out(
      `${JSON.stringify({ requestId: id, calls: roots, silent, revisions: revisions.map(noteOf) }, null, 2)}\n`,
    );
    return roots.length === 0 ? EXIT.failed : EXIT.ok;
  }
  if (silent.length > 0) {
    const names = silent.map((process) => process.split("/", 1)[0]).join(", ");
    terminal.err(`${terminal.errColor.yellow("incomplete:")} no answer within ${flags.timeout} ms from ${names}\n`);
  }
  if (roots.length > 0) {
    const text = explainCallTree(roots, timeOfDay).split("\n");
    terminal.out(`${paintDecision(text.map((line) => sanitize(line, false)).join("\n"), terminal.color)}\n`);
    for (const revision of revisions) terminal.out(`${terminal.color.dim(revisionText(revision))}\n`);
    return EXIT.ok;
  }
  throw new WeftError(
    "not_found",
    `nobody remembers ${id}: each process keeps its last 256 failed and 768 other calls; ids are in the header x-request-id of answers and in the access log`,
    { reason: "NOT_REMEMBERED" },
  );
}

interface Found {
  readonly hops: readonly HopDecision[];
  /** Processes that did not answer. */
  readonly silent: readonly string[];
}

async function fromControl(requestId: string, flags: ExplainFlags): Promise<Found> {
  const address = controlAddress(flags);
  const { client, close } = await controlClient(Admin, address);
  try {
    const { processes, silent } = await client.explainCall({ requestId, timeoutMs: flags.timeout });
    const hops = processes.flatMap(({ process, node, endpoints, decisions }) =>
      decisions.map(({ request, startedMs, decision }): HopDecision => {
        return { process, node, endpoints, request, startedMs, decision: JSON.parse(decision) as Decision };
      }),
    );
    return { hops, silent };
  } catch (thrown) {
    throw cannotAsk(address, thrown);
  } finally {
    await close();
  }
}

/** One process alone, by its admin address. */
async function fromAdmin(id: string, address: string, timeoutMs: number): Promise<Found> {
  const url = `http://${address}/decisions?id=${encodeURIComponent(id)}`;
  let answer: Response;
  try {
    answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  } catch (cause) {
    throw unreachable(
      "unavailable",
      `${address} cannot be asked: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
  if (!answer.ok)
    throw unreachable("not_found", `${address} is no admin address of weft's: ${answer.status} for /decisions`, null);
  const { decisions } = (await answer.json()) as {
    decisions: Pick<HopDecision, "request" | "startedMs" | "decision">[];
  };
  return { hops: decisions.map((found) => ({ ...found, process: address, node: "", endpoints: [] })), silent: [] };
}

function unreachable(code: Code, message: string, cause: unknown): WeftError {
  return new WeftError(code, message, { reason: "CANNOT_ASK", cause });
}
