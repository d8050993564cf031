import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequest,
  DiscoveryResponseSchema,
} from "../../contract/gen/envoy/service/discovery/v3/discovery.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { Cancel, Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { type AdsLimits, AdsMachine, type AdsRequest, type AdsResponse } from "./ads-machine.ts";
import { parseNode } from "./node.ts";
import type { XdsStatus, XdsStream } from "./status.ts";
import type { XdsFeed, XdsNode, XdsSource } from "./types.ts";

/** What the streams of one server share. */
export interface AdsShared {
  readonly source: XdsSource;
  readonly status: XdsStatus;
  readonly clock: Clock;
  readonly limits: XdsLimits;
  /** Who the node is by the token that it brings; null when the server asks for none. Throws `unauthenticated`. */
  readonly authenticate: (token: string | null, node: XdsNode) => string | null | Promise<string | null>;
  /** Told to data planes as the control plane's name. */
  readonly identifier: string;
}

export interface XdsLimits extends AdsLimits {
  readonly maxStreams: number;
  /** Time for a new stream's first request, ms. */
  readonly firstRequestMs: number;
}

export interface AdsCall {
  readonly signal: AbortSignal;
  readonly address: string;
  readonly token: string | null;
  /** The one type of the stream; null for all. */
  readonly only: string | null;
}

export const stateOfTheWorld = (shared: AdsShared, requests: AsyncIterable<DiscoveryRequest>, call: AdsCall) =>
  new OpenStream(shared, false, call).run(requests, ofList, listed);

export const delta = (shared: AdsShared, requests: AsyncIterable<DeltaDiscoveryRequest>, call: AdsCall) =>
  new OpenStream(shared, true, call).run(requests, ofChange, changed);

/** One stream's shell: requests into its machine, responses out when the data plane can take them. */
class OpenStream implements XdsStream {
  readonly #shared: AdsShared;
  readonly #call: AdsCall;
  readonly delta: boolean;
  readonly machine: AdsMachine;
  readonly attachedMs: number;
  node: XdsNode = NOBODY;
  #feed: XdsFeed | null = null;
  #ended = false;
  #failure: WeftError | null = null;
  #wake: () => void = ignore;

  constructor(shared: AdsShared, isDelta: boolean, call: AdsCall) {
    this.#shared = shared;
    this.#call = call;
    this.delta = isDelta;
    this.machine = new AdsMachine(isDelta, shared.limits);
    this.attachedMs = shared.clock.wallMs();
  }

  end(): void {
    this.#end(null);
  }

  async *run<R extends DiscoveryRequest | DeltaDiscoveryRequest, A>(
    requests: AsyncIterable<R>,
    request: (message: R, typeUrl: string) => AdsRequest,
    answer: (response: AdsResponse, identifier: string) => A,
  ): AsyncGenerator<A> {
    const { clock, limits, status, identifier } = this.#shared;
    if (status.streams.size >= limits.maxStreams) {
      throw new WeftError(
        "resource_exhausted",
        `${status.streams.size} xDS streams are open, which is this server's limit`,
        {
          reason: "TOO_MANY_STREAMS",
        },
      );
    }
    const abort = () => this.#end(null);
    this.#call.signal.addEventListener("abort", abort, { once: true });
    const cancelFirst = clock.after(limits.firstRequestMs, () => {
      if (this.node !== NOBODY) return;
      this.#end(new WeftError("deadline_exceeded", "no first request arrived", { reason: "NO_REQUEST" }));
    });
    status.attach(this);
    this.#read(requests, request).catch((thrown) => this.#end(toWeftError(thrown)));
    let cancelWake: Cancel = ignore;
    try {
      while (!this.#ended) {
        const now = clock.now();
        const response = this.machine.take(now);
        if (response !== null) {
          yield answer(response, identifier);
          continue;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          const { wakeAt } = this.machine;
          if (wakeAt !== null) cancelWake = clock.after(Math.max(1, wakeAt - now), resolve);
        });
        cancelWake();
      }
      if (this.#failure !== null) throw this.#failure;
    } finally {
      this.#ended = true;
      cancelWake();
      cancelFirst();
      this.#call.signal.removeEventListener("abort", abort);
      this.#feed?.close();
      status.detach(this);
    }
  }

  async #read<R extends DiscoveryRequest | DeltaDiscoveryRequest>(
    requests: AsyncIterable<R>,
    request: (message: R, typeUrl: string) => AdsRequest,
  ): Promise<void> {
    const { clock, status } = this.#shared;
    for await (const message of requests) {
      if (this.#ended) return;
      if (this.#feed === null) await this.#open(message);
      if (this.#ended) return;
      const refusal = this.machine.request(
        request(message, this.#typeOf(message.typeUrl)),
        clock.now(),
        clock.wallMs(),
      );
      if (refusal !== null) status.refused(this, refusal);
      this.#wake();
    }
    this.#end(null);
  }

  async #open({ node }: DiscoveryRequest | DeltaDiscoveryRequest): Promise<void> {
    const { source, authenticate } = this.#shared;
    const said = parseNode(node, this.#call.address);
    try {
      const identity = await authenticate(this.#call.token, said);
      if (this.#ended) return;
      this.#shared.status.assertNobodyElse(said.id, identity);
      const node = Object.freeze({ ...said, identity });
      this.#feed = source.open(node, () => this.#offer());
      this.node = node;
      this.#shared.status.named(this);
    } catch (thrown) {
      const error = toWeftError(thrown);
      this.#shared.status.sentAway(said, error);
      throw error;
    }
    this.#offer();
  }

  #offer(): void {
    const snapshot = this.#feed?.snapshot;
    if (snapshot === null || snapshot === undefined || this.#ended) return;
    this.machine.offer(snapshot);
    this.#wake();
  }

  #typeOf(typeUrl: string): string {
    const { only } = this.#call;
    if (only !== null && typeUrl !== "" && typeUrl !== only) {
      throw new WeftError(
        "invalid_argument",
        `this stream is of ${only}; ask for ${typeUrl} by the aggregated service`,
        {
          reason: "WRONG_TYPE",
          place: { field: "type_url" },
        },
      );
    }
    const type = only ?? typeUrl;
    if (type !== "") return type;
    throw new WeftError("invalid_argument", "type_url is empty", { reason: "NO_TYPE", place: { field: "type_url" } });
  }

  #end(failure: WeftError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#wake();
  }
}

const ofList = (message: DiscoveryRequest, typeUrl: string): AdsRequest => ({
  kind: "list",
  typeUrl,
  nonce: message.responseNonce,
  error: message.errorDetail === undefined ? null : message.errorDetail.message,
  names: message.resourceNames,
});

const ofChange = (message: DeltaDiscoveryRequest, typeUrl: string): AdsRequest => ({
  kind: "change",
  typeUrl,
  nonce: message.responseNonce,
  error: message.errorDetail === undefined ? null : message.errorDetail.message,
  subscribe: message.resourceNamesSubscribe,
  unsubscribe: message.resourceNamesUnsubscribe,
  known: message.initialResourceVersions,
});

const listed = (response: AdsResponse, identifier: string): MessageInitShape<typeof DiscoveryResponseSchema> => ({
  versionInfo: response.version,
  typeUrl: response.typeUrl,
  nonce: response.nonce,
  resources: response.resources.map(({ typeUrl, bytes }) => ({ typeUrl, value: bytes })),
  controlPlane: { identifier },
});

const changed = (response: AdsResponse, identifier: string): MessageInitShape<typeof DeltaDiscoveryResponseSchema> => ({
  systemVersionInfo: response.version,
  typeUrl: response.typeUrl,
  nonce: response.nonce,
  resources: response.resources.map(({ name, version, typeUrl, bytes }) => ({
    name,
    version,
    resource: { typeUrl, value: bytes },
  })),
  removedResources: [...response.removed],
  controlPlane: { identifier },
});

/** Before the first request. */
const NOBODY: XdsNode = Object.freeze({
  id: "",
  cluster: "",
  role: "client",
  zone: "",
  agent: "",
  inbound: 0,
  inboundHost: "",
  outbound: 0,
  outboundHost: "",
  app: "",
  version: "",
  identity: null,
  address: "",
});

function ignore(): void {}
