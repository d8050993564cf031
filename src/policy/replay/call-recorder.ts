import type { Endpoint } from "../../core/endpoint.ts";
import type { Random } from "../../core/random.ts";
import type { CallContext, CallRequest } from "../call.ts";
import type { CallDecision } from "../decision/decision.ts";
import type { TapeRecord } from "../machine/tape.ts";
import type { Resource } from "../resource/resources.ts";
import type { MethodInfo } from "../runtime.ts";
import {
  RECORDING_VERSION,
  type RecordedCall,
  type RecordedContext,
  type RecordedDecision,
  type RecordedEvent,
  type RecordedLine,
  type RecordedRequest,
} from "./recorded.ts";
import { Redactor } from "./redactor.ts";
import { encodeTape } from "./tape-code.ts";

export interface CallRecorderOptions {
  /** Gets every line, at once and on the hot path: it should only keep it. */
  write: (line: RecordedLine) => void;
  /** The clock of the machine's events. */
  now: () => number;
  random: Random;
  /** Key of the hashes, secret enough when it is random. */
  salt: string;
  process?: string;
  /** Epoch ms at 0 of the clock. */
  wallAt?: number;
  zone?: string;
  service?: string;
  /** 0..1, default 1: which share of the calls is recorded. */
  sample?: number;
  /** False: values are recorded as they are. Default true. */
  redact?: boolean;
  /** Header fields whose values are kept all the same. */
  keepHeaders?: readonly string[];
}

/** What is recorded of a process: the policy in force, and its calls with everything that they read. Given to PolicyRuntime.record. */
export class CallRecorder {
  readonly #options: CallRecorderOptions;
  readonly redactor: Redactor;
  readonly #sample: number;
  /** Of the segment. */
  snapshot = 0;
  #state: RuntimeContents | null = null;

  constructor(options: CallRecorderOptions) {
    this.#options = options;
    this.#sample = options.sample ?? 1;
    this.redactor = new Redactor(options.salt, options.keepHeaders, options.redact === false);
  }

  /** Whether the next call is recorded. */
  wants(): boolean {
    return this.#sample >= 1 || this.#options.random.next() < this.#sample;
  }

  /** `contents` reads what the runtime has now; told once, when recording begins. */
  begin(contents: RuntimeContents): void {
    this.#state = contents;
    this.segment();
  }

  /** Writes the whole state again, at the beginning of a segment. Calls that have begun go on under the numbers that they know. */
  segment(): void {
    const { now, process = "", salt, wallAt = 0, zone = "", service = "", write } = this.#options;
    const at = now();
    const redacted = !this.redactor.off;
    write({
      t: "start",
      version: RECORDING_VERSION,
      process,
      at,
      wallAt,
      zone,
      service,
      sample: this.#sample,
      redacted,
      salt,
    });
    if (this.#state === null) return;
    const { revision, resources, methods, endpointVersion, endpoints } = this.#state.read();
    this.resources(revision, resources, methods);
    write({ t: "endpoints", at, version: endpointVersion, full: true, changed: endpoints, removed: [] });
  }

  resources(revision: number, resources: readonly Resource[], methods: readonly MethodInfo[]): void {
    this.redactor.mention(resources);
    this.snapshot++;
    this.#options.write({
      t: "resources",
      at: this.#options.now(),
      snapshot: this.snapshot,
      revision,
      resources,
      methods,
    });
  }

  endpoints(delta: EndpointDelta): void {
    const { endpointVersion: version, full, changed, removed } = delta;
    this.#options.write({ t: "endpoints", at: this.#options.now(), version, full, changed, removed });
  }

  call(ended: EndedCall): void {
    const { request, context, decision } = ended;
    this.#options.write({
      t: "call",
      at: decision.startedAt,
      snapshot: ended.snapshot,
      request: this.#request(request),
      asSent: context.asSent === null ? null : this.#request(context.asSent),
      context: this.#context(context, ended.message),
      bodyFollows: ended.bodyFollows,
      events: ended.events,
      tape: encodeTape(ended.tape, this.redactor),
      decision: recordedDecision(decision, this.redactor.off),
    });
  }

  lost(calls: number): void {
    this.#options.write({ t: "lost", calls });
  }

  #request({ method, scheme, authority, path, protocol, fields }: CallRequest): RecordedRequest {
    const { redactor } = this;
    return { method, scheme, authority, path: redactor.path(path), protocol, fields: redactor.requestFields(fields) };
  }

  #context(context: CallContext, message: ReadonlyMap<string, string>): RecordedContext {
    const { place, service, peerAddress, peerIdentity, secure, deadline, callerAttempt, requestId } = context;
    const { redactor } = this;
    return {
      place,
      service,
      peerAddress,
      peerIdentity,
      secure,
      deadline: deadline === Number.POSITIVE_INFINITY ? null : deadline,
      callerAttempt,
      requestId,
      message: Object.fromEntries(Array.from(message, ([path, value]) => [path, redactor.hash(value)])),
    };
  }
}

/** Reads what a runtime has in force. */
export interface RuntimeContents {
  read(): {
    readonly revision: number;
    readonly resources: readonly Resource[];
    readonly methods: readonly MethodInfo[];
    readonly endpointVersion: number;
    readonly endpoints: readonly Endpoint[];
  };
}

export interface EndpointDelta {
  readonly endpointVersion: number;
  readonly full: boolean;
  readonly changed: readonly Endpoint[];
  readonly removed: readonly { readonly id: string; readonly service: string }[];
}

export interface EndedCall {
  readonly request: CallRequest;
  readonly context: CallContext;
  readonly bodyFollows: boolean;
  readonly snapshot: number;
  readonly events: readonly RecordedEvent[];
  readonly message: ReadonlyMap<string, string>;
  readonly tape: TapeRecord;
  readonly decision: CallDecision;
}

/** What is compared and told of a decision. Texts may repeat what the caller sent: only with `texts`. */
export function recordedDecision(decision: CallDecision, texts: boolean): RecordedDecision {
  const { requestId, place, revision, endpointVersion, durationMs, route, service, splitDraw, explained } = decision;
  decision.explained = true;
  // What outlier detection knows is told as it is when somebody reads, and decides nothing beyond the picks.
  const told = decision.steps.filter(({ rule }) => rule !== "outlier");
  const steps = told.map(({ rule, verdict, source = "", text }) => ({
    rule,
    verdict,
    source,
    text: texts ? text : "",
  }));
  decision.explained = explained;
  return {
    requestId,
    place,
    revision,
    endpointVersion,
    durationMs,
    route,
    service,
    backend: decision.binding?.name ?? "",
    steps,
    attempts: decision.attempts.map((attempt) => attempt.toJSON()),
    outcome: { ...decision.outcome },
    splitDraw,
  };
}

export type { RecordedCall };
