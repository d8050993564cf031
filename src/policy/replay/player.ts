import type { Endpoint } from "../../core/endpoint.ts";
import { seededRandom } from "../../core/random.ts";
import { type Call, type CallContext, type CallRequest, Effect } from "../call.ts";
import type { CallDecision } from "../decision/decision.ts";
import { CallMachine } from "../machine/call-machine.ts";
import { recordedSession } from "../route/session-request.ts";
import type { PolicyRuntime } from "../runtime.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { recordedDecision } from "./call-recorder.ts";
import type {
  RecordedCall,
  RecordedDecision,
  RecordedEvent,
  RecordedLine,
  RecordedRequest,
  RecordedStart,
} from "./recorded.ts";
import { restorer } from "./redactor.ts";
import { decodeTape } from "./tape-code.ts";

export interface Played {
  /** What comes out now, to be compared with `call.decision`. */
  readonly decision: RecordedDecision;
  /** The call took another way than its recording: it asked for other values than were recorded, or did not end. */
  readonly diverged: boolean;
}

/**
 * Decides recorded calls again under the policy that they were recorded under: the same events at the same times, every value of state and every random draw from the
 * tape. What comes out is the recorded decision, unless the code that decides has changed, or what decided was redacted.
 */
export class Player {
  readonly #runtimes = new Map<number, PolicyRuntime>();
  readonly #endpoints = new Map<string, Endpoint>();
  #endpointVersion = 0;
  #start: RecordedStart | null = null;
  #restore: <T>(value: T) => T = (value) => value;

  /** Takes a line that is not a call. */
  state(line: Exclude<RecordedLine, RecordedCall>): void {
    switch (line.t) {
      case "start":
        this.#start = line;
        break;
      case "resources": {
        if (this.#start?.redacted) this.#restore = restorer(this.#start.salt, line.resources);
        const runtime = createPolicyRuntime({
          random: seededRandom(1),
          record: "all",
          wallAt: this.#start?.wallAt ?? 0,
          zone: this.#start?.zone ?? "",
          service: this.#start?.service ?? "",
        });
        runtime.applyResources(line.revision, line.resources, line.methods);
        this.#supply(runtime, [...this.#endpoints.values()]);
        this.#runtimes.set(line.snapshot, runtime);
        // Calls that began before it end soon after; those that last longer are counted as diverged.
        for (const snapshot of this.#runtimes.keys())
          if (snapshot <= line.snapshot - KEPT_SNAPSHOTS) this.#runtimes.delete(snapshot);
        break;
      }
      case "endpoints": {
        if (line.full) this.#endpoints.clear();
        for (const { id } of line.removed) this.#endpoints.delete(id);
        for (const endpoint of line.changed) this.#endpoints.set(endpoint.id, endpoint);
        this.#endpointVersion = line.version;
        for (const runtime of this.#runtimes.values()) {
          runtime.applyEndpoints({
            endpointVersion: line.version,
            full: line.full,
            changed: line.changed,
            removed: line.removed,
          });
        }
        break;
      }
      default:
        break;
    }
  }

  play(recorded: RecordedCall): Played | null {
    const runtime = this.#runtimes.get(recorded.snapshot);
    if (runtime === undefined) return null;
    const { events, at, bodyFollows, decision } = recorded;
    const tape = decodeTape(recorded.tape);
    const picked = tape.picks.flatMap(({ endpoint }) => (endpoint === null ? [] : [endpoint]));
    bring(runtime, null, decision);
    const call = runtime.createCall();
    if (!(call instanceof CallMachine)) throw new Error("a policy runtime makes call machines");
    call.tape.play({ values: this.#restore(tape.values), picks: tape.picks }, (picked) =>
      bring(runtime, picked, decision),
    );
    call.begin(requestOf(this.#restore(recorded.request)), contextOf(recorded, this.#restore), bodyFollows, at);
    drain(call);
    for (const event of events) {
      if (call.ended) break;
      tell(call, event, this.#restore);
      drain(call);
    }
    const diverged = !call.ended || call.tape.diverged;
    const texts = this.#start?.redacted !== true;
    const played = { decision: recordedDecision(call.decision as CallDecision, texts), diverged };
    call.tape.off();
    if (!call.ended) call.downstreamGone(at);
    runtime.release(call);
    this.#putBack(runtime, picked);
    return played;
  }

  #supply(runtime: PolicyRuntime, endpoints: readonly Endpoint[]): void {
    runtime.applyEndpoints({ endpointVersion: this.#endpointVersion, full: true, changed: endpoints, removed: [] });
  }

  #putBack(runtime: PolicyRuntime, picked: readonly Endpoint[]): void {
    const changed = picked.flatMap(({ id }) => this.#endpoints.get(id) ?? []);
    const removed = picked.filter(({ id }) => !this.#endpoints.has(id));
    runtime.applyEndpoints({ endpointVersion: this.#endpointVersion, full: false, changed, removed });
  }
}

const KEPT_SNAPSHOTS = 16;

/** An endpoint as it was when the call picked it: it may have gone, or moved, by the time that the call was written down. */
function bring(runtime: PolicyRuntime, picked: Endpoint | null, { endpointVersion }: RecordedDecision): void {
  runtime.applyEndpoints({ endpointVersion, full: false, changed: picked === null ? [] : [picked], removed: [] });
}

/** What a shell would do with effects does not matter here. */
function drain(call: Call): void {
  while (call.next() !== Effect.none);
}

export function requestOf(recorded: RecordedRequest): CallRequest {
  return recordedSession(recorded) ?? { ...recorded, memo: null };
}

export function contextOf({ context, asSent }: RecordedCall, restore: <T>(value: T) => T): CallContext {
  const { message, deadline, ...rest } = context;
  const fields = restore(message);
  return {
    ...rest,
    deadline: deadline ?? Number.POSITIVE_INFINITY,
    asSent: asSent === null ? null : requestOf(restore(asSent)),
    ...(Object.keys(fields).length > 0 && { messageField: (path) => fields[path] }),
  };
}

/** Tells a machine what it was told. */
function tell(call: CallMachine, event: RecordedEvent, restore: <T>(value: T) => T): void {
  switch (event[0]) {
    case "answered":
      return call.answered(call.queryId, restore(event[3]), event[1]);
    case "requestData":
      return call.requestData(event[2], event[1]);
    case "requestEnd":
      return call.requestEnd(event[1]);
    case "connected":
      return call.connected(event[2], event[1]);
    case "head":
      return call.head(event[2], event[3], event[4], event[5], event[1]);
    case "responseData":
      return call.responseData(event[2], event[3], event[4], event[1]);
    case "trailers":
      return call.trailers(event[2], event[3], event[1]);
    case "failed":
      return call.failed(event[2], event[3], event[1]);
    case "timer":
      return call.timer(event[2], event[1]);
    case "woken":
      return call.woken(event[1]);
    case "downstreamGone":
      return call.downstreamGone(event[1]);
    case "sessionEnd":
      return call.sessionEnd(event[1]);
  }
}
