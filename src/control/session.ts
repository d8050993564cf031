import { endpointOfMessage, healthOfMessage } from "../contract/endpoint-message.ts";
import {
  type Answer,
  type Applied,
  type AttachRequest,
  type AttachResponseSchema,
  FindDecisionsSchema,
  type Hello,
  type LoadReport,
  ProbeSchema,
  type Question,
  type Register,
  Role,
  type SetHealth,
  type Subscribe,
  type Traffic,
} from "../contract/gen/weft/control/v1/control.ts";
import type { SubscribeSettings } from "../contract/gen/weft/control/v1/settings.ts";
import { create, type MessageInitShape } from "../contract/runtime.ts";
import type { Cancel } from "../core/clock.ts";
import { codeNumber, toWeftError, WeftError } from "../core/errors.ts";
import { isPrintable, printable } from "../core/printable.ts";
import type { Lease } from "../registry/registry.ts";
import { assertEndpoint, assertServiceName, assertTtl, CONTRACT_NAME } from "../registry/validate.ts";
import type { ServerCall } from "../service/server-call.ts";
import type { ServiceState } from "./catalog.ts";
import type { StoredContract } from "./contract-store.ts";
import type { Hub } from "./hub.ts";
import type { DataPlaneState } from "./mesh/data-plane.ts";
import { dataPlaneOf, nodeOf, readingOf } from "./mesh/session-plane.ts";
import { assertMayRegister, Registrant } from "./registrant.ts";
import { SessionScope } from "./session-scope.ts";
import { SessionSettings } from "./settings/session-settings.ts";
import { assertWhereabouts, settingsConsumerOf } from "./settings/settings-consumer.ts";
import { Subscriber } from "./subscriber.ts";

/**
 * One attached process: its requests in, messages to it out (through its Subscriber). The stream's end leaves the leases alone: they end by
 * themselves unless the process comes back, and its endpoints are probed at once.
 */
export class Session {
  readonly #hub: Hub;
  readonly address: string;
  readonly attachedAtMs: number;
  readonly #subscriber: Subscriber;
  /** What it uses of the configuration centre. */
  readonly settings: SessionSettings;
  /** Set by the hello. */
  hello: Hello | null = null;
  /** Unique among the sessions of this run. */
  readonly id: string;
  /** Revision of the resources that were last sent. */
  revision = 0;
  /** What the process said last of a revision; null before it did. */
  applied: { readonly revision: number; readonly error: string } | null = null;
  /** The newest revision that it said is in force. */
  acknowledged = 0;
  /** What a probe found; null before the first. */
  probed: { readonly revision: number; readonly atMs: number } | null = null;
  /** The service that it says it is or stands beside, or else the first that it registered; "" for none. */
  service = "";
  /** What its resources go by; null while it gets them whole. */
  #scope: SessionScope | null = null;
  readonly contractNames = new Set<string>();
  /** As the process named them. */
  readonly subscriptions = new Set<string>();
  /** Who the process has proved to be. */
  readonly #registrant: Registrant;
  readonly #leases = new Map<string, Lease>();
  /** Requests of one endpoint are carried out in their order. */
  readonly #working = new Map<string, Promise<void>>();
  #inWork = 0;
  readonly #questions = new Map<bigint, (answer: Answer | null) => void>();
  #asked = 0n;
  #wantsContracts = false;
  #ended = false;
  #failure: WeftError | null = null;
  #heard = false;
  #cancelBeat: Cancel = ignore;
  #changed: () => void = ignore;
  #room: () => void = ignore;

  constructor(hub: Hub, { address, identity }: Pick<ServerCall["peer"], "address" | "identity">) {
    this.#hub = hub;
    this.id = `${++sessions}`;
    this.address = address;
    this.attachedAtMs = hub.clock.wallMs();
    this.#registrant = new Registrant(hub.authority, hub.tokens, identity);
    this.#subscriber = new Subscriber(() => this.#changed());
    this.settings = new SessionSettings(hub.settings, this.#subscriber, {
      process: () => this.hello?.process ?? "",
      service: () => this.service,
      consumer: () => settingsConsumerOf(this.hello),
      sameEpoch: () => this.hello?.epoch === hub.epoch,
      assertMayRead: (namespace) => this.#assertMayRead(namespace),
    });
    hub.attach(this);
  }

  /** Messages down until the stream ends; throws what ended it. */
  async *run(
    requests: AsyncIterable<AttachRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageInitShape<typeof AttachResponseSchema>> {
    const abort = () => this.end(null);
    signal.addEventListener("abort", abort, { once: true });
    const cancelHello = this.#hub.clock.after(this.#hub.limits.helloTimeoutMs, () => {
      if (this.hello === null) this.end(new WeftError("deadline_exceeded", "no hello arrived", { reason: "NO_HELLO" }));
    });
    this.#read(requests).catch((thrown) => this.end(toWeftError(thrown)));
    try {
      while (!this.#ended) {
        const message = this.#subscriber.take();
        if (message === null) {
          await new Promise<void>((resolve) => {
            this.#changed = resolve;
          });
        } else {
          this.#room();
          yield message;
        }
      }
      if (this.#failure !== null) throw this.#failure;
    } finally {
      cancelHello();
      this.#cancelBeat();
      signal.removeEventListener("abort", abort);
      this.#ended = true;
      this.#room();
      for (const answered of this.#questions.values()) answered(null);
      this.#questions.clear();
      this.#hub.catalog.unsubscribe(this.#subscriber, this.#subscriber.services);
      this.settings.close();
      this.#hub.detach(this);
    }
  }

  /** Ends the stream: orderly with null. */
  end(failure: WeftError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#changed();
    this.#room();
  }

  leaseIds(): Iterable<string> {
    return this.#leases.keys();
  }

  resourcesChanged(): void {
    if (this.hello !== null) this.#subscriber.resources(this.#resources);
  }

  /** What services serve is known better: other resources may concern it. */
  scopeChanged(): void {
    if (this.#scope !== null) this.resourcesChanged();
  }

  /** What it has not been sent yet; made when it can be sent. */
  readonly #resources = (): Uint8Array | null => {
    const { ledger } = this.#hub;
    const { revision } = ledger.current;
    const before = this.revision;
    this.revision = revision;
    if (this.#scope === null) return ledger.encoded;
    return this.#scope.next(this.#hub.scopes, before);
  };

  /** It uses or serves another service; "*": all of them. */
  #widen(name: string): void {
    if (this.#scope === null) return;
    if (name === "*") this.#scope = null;
    else if (!this.#scope.add(name)) return;
    this.resourcesChanged();
  }

  trustChanged(): void {
    if (this.hello !== null) this.#subscriber.trust(this.#hub.authority.trust);
  }

  contractChanged(contract: StoredContract): void {
    if (this.#wantsContracts) this.#subscriber.contract(contract.service, contract.encoded);
  }

  /** A service turned out to serve a contract that the process named. */
  addService(service: string): ServiceState {
    const state = this.#hub.catalog.subscribe(service, this.#subscriber);
    this.#subscriber.add(state, null);
    this.#widen(service);
    return state;
  }

  /** It as a data plane; null of what only looks. */
  get dataPlane(): DataPlaneState | null {
    return dataPlaneOf(this);
  }

  /** Which of the calls that the process remembers are meant. As `ask`. */
  findDecisions(value: MessageInitShape<typeof FindDecisionsSchema>, timeoutMs: number): Promise<Answer | null> {
    return this.#ask({ case: "findDecisions", value: create(FindDecisionsSchema, value) }, timeoutMs);
  }

  /** Finds out by which revision it decides calls now, and keeps that in `probed`. */
  async probe(timeoutMs: number): Promise<void> {
    const answer = await this.#ask({ case: "probe", value: create(ProbeSchema) }, timeoutMs);
    if (answer !== null) this.probed = { revision: Number(answer.revision), atMs: this.#hub.clock.wallMs() };
  }

  /** Asks the process. Null when there is no answer within `timeoutMs`, or too much is being asked already. */
  #ask(question: Question["question"], timeoutMs: number): Promise<Answer | null> {
    if (this.#ended || this.hello === null || this.#questions.size >= MAX_QUESTIONS) return Promise.resolve(null);
    const questionId = ++this.#asked;
    return new Promise((resolve) => {
      const cancel = this.#hub.clock.after(timeoutMs, () => {
        this.#questions.delete(questionId);
        resolve(null);
      });
      this.#questions.set(questionId, (answer) => {
        cancel();
        resolve(answer);
      });
      this.#subscriber.question({ questionId, question });
    });
  }

  async #read(requests: AsyncIterable<AttachRequest>): Promise<void> {
    const { maxPendingRequests } = this.#hub.limits;
    this.#awaitBeat();
    for await (const { message } of requests) {
      if (this.#ended) return;
      this.#heard = true;
      if (this.hello === null && message.case !== "hello") {
        throw new WeftError("failed_precondition", `the first message must be hello, not ${message.case ?? "empty"}`, {
          reason: "NO_HELLO",
        });
      }
      switch (message.case) {
        case "hello":
          this.#greet(message.value);
          break;
        case "prove":
          this.#registrant.prove(message.value);
          this.#believe();
          break;
        case "subscribe":
          this.#subscribe(message.value);
          break;
        case "subscribeSettings":
          this.#subscribeSettings(message.value);
          break;
        case "settingsApplied":
          this.settings.applied(message.value);
          break;
        case "register":
          this.#work(message.value.endpoint?.id ?? "", message.value.requestId, () => this.#register(message.value));
          break;
        case "release":
          this.#work(message.value.id, message.value.requestId, () => this.#release(message.value.id));
          break;
        case "setHealth":
          this.#work(message.value.id, message.value.requestId, () => this.#setHealth(message.value));
          break;
        case "heartbeat":
          this.#heartbeat();
          this.#subscriber.acknowledge({ requestId: message.value.requestId });
          break;
        case "load":
          this.#takeLoad(message.value);
          break;
        case "applied":
          this.#takeApplied(message.value);
          break;
        case "traffic":
          this.#takeTraffic(message.value);
          break;
        case "answer":
          this.#answered(message.value);
          break;
        default:
          break; // from a newer version; it will see that it is not answered
      }
      // Not reading on is what slows a process down that asks faster than it is answered, or does not read its answers.
      while (this.#inWork + this.#subscriber.pendingAcks >= maxPendingRequests && !this.#ended) {
        await new Promise<void>((resolve) => {
          this.#room = resolve;
        });
      }
    }
    this.end(null);
  }

  /** Ends the stream when nothing was heard for a long time: the process is gone without a word, its machine perhaps. */
  #awaitBeat(): void {
    this.#cancelBeat = this.#hub.clock.after(this.#hub.defaultTtlMs, () => {
      if (this.#ended) return;
      if (!this.#heard)
        return this.end(new WeftError("deadline_exceeded", "no heartbeat arrived", { reason: "NO_HEARTBEAT" }));
      this.#heard = false;
      this.#awaitBeat();
    });
  }

  #greet(hello: Hello): void {
    if (this.hello !== null)
      throw new WeftError("failed_precondition", "a second hello arrived", { reason: "SECOND_HELLO" });
    for (const field of ["process", "node", "version", "epoch", "service"] as const) {
      if (hello[field].length <= 256 && isPrintable(hello[field])) continue;
      const what = hello[field].length > 256 ? "more than 256" : "control";
      throw new WeftError("invalid_argument", `hello: ${field} has ${what} characters`, {
        reason: "BAD_HELLO",
        place: { field },
      });
    }
    assertWhereabouts(hello);
    this.hello = hello;
    this.service = hello.service;
    this.#believe();
    if (hello.scoped && !hello.services.includes("*")) this.#scope = new SessionScope(this.#hub, hello);
    const { epoch, defaultTtlMs, ledger } = this.#hub;
    const { challenge } = this.#registrant;
    this.#subscriber.welcome({ epoch, heartbeatMs: Math.floor(defaultTtlMs / 3), defaultTtlMs, challenge });
    this.trustChanged();
    // Of a part that it knows nobody can say whether it would still be the same, nor whether what it knows is a part.
    const known = hello.epoch === epoch && Number(hello.knownRevision) === ledger.current.revision;
    if (!known || hello.scoped) this.resourcesChanged();
    else this.revision = ledger.current.revision;
  }

  /** What it tells of calls and revisions is taken as of the service that it has proved to be, whatever it says. */
  #believe(): void {
    const { hello } = this;
    const { service } = this.#registrant;
    if (hello === null || service === null || service === GATEWAY) return;
    this.service = hello.service = service;
    if (hello.role === Role.GATEWAY) hello.role = Role.SERVICE;
  }

  #subscribe({ requestId, services, contracts }: Subscribe): void {
    try {
      if (this.subscriptions.size + services.length > this.#hub.limits.maxSubscriptions) {
        throw exhausted(
          "TOO_MANY_SUBSCRIPTIONS",
          `at most ${this.#hub.limits.maxSubscriptions} subscriptions are allowed`,
        );
      }
      for (const { name } of services)
        if (name !== "*" && !CONTRACT_NAME.test(name)) assertServiceName(name, "services");
      this.#hub.registry.seek?.(services.map(({ name }) => name));
      const states: ServiceState[] = [];
      for (const { name, knownVersion } of services) {
        this.subscriptions.add(name);
        if (!name.includes(".")) this.#widen(name);
        states.push(...this.#follow(name, Number(knownVersion)));
      }
      if (contracts && !this.#wantsContracts) {
        this.#wantsContracts = true;
        for (const contract of this.#hub.contracts.all()) this.#subscriber.contract(contract.service, contract.encoded);
      }
      this.#subscriber.acknowledgeAfter(states, { requestId });
    } catch (thrown) {
      this.#refuse(requestId, thrown);
    }
  }

  #follow(name: string, knownVersion: number): ServiceState[] {
    const { catalog, contracts, epoch } = this.#hub;
    if (name === "*") {
      const states = [...catalog.subscribeAll(this.#subscriber)];
      for (const state of states) this.#subscriber.add(state, null);
      return states;
    }
    if (name.includes(".")) {
      this.contractNames.add(name);
      this.#hub.followContract(name, this);
      return contracts.servicesOf(name).map((service) => this.addService(service));
    }
    const state = catalog.subscribe(name, this.#subscriber);
    const known = this.hello?.epoch === epoch && knownVersion > 0 ? state.sequenceOf(knownVersion) : null;
    this.#subscriber.add(state, known);
    return [state];
  }

  #subscribeSettings(request: SubscribeSettings): void {
    try {
      this.settings.subscribe(request);
    } catch (thrown) {
      this.#refuse(request.requestId, thrown);
    }
  }

  /** Settings of a service that takes mutual TLS alone are for those who have proved to be it. */
  #assertMayRead(namespace: string): void {
    if (this.#hub.mutualTls(namespace) !== "strict" || this.#registrant.proves(namespace)) return;
    const text = `the settings of ${namespace} are for its own processes, for it takes mutual TLS alone (mtls: strict): ${this.#registrant.refusal}`;
    throw new WeftError("permission_denied", text, { reason: "NOT_PROVEN", place: { field: "namespace" } });
  }

  /** Carries a request out after those of the same endpoint that came before it, and acknowledges it. */
  #work(id: string, requestId: bigint, body: () => Promise<void>): void {
    this.#inWork++;
    const before = this.#working.get(id) ?? Promise.resolve();
    const work = before
      .then(body)
      .then(
        () => this.#subscriber.acknowledge({ requestId }),
        (thrown) => this.#refuse(requestId, thrown),
      )
      .then(() => {
        this.#inWork--;
        if (this.#working.get(id) === work) this.#working.delete(id);
        this.#room();
      });
    this.#working.set(id, work);
  }

  async #register({ endpoint: message, ttlMs, contracts, descriptors, descriptorsDigest }: Register): Promise<void> {
    const { registry, limits, defaultTtlMs, contracts: store, owners } = this.#hub;
    if (message === undefined)
      throw new WeftError("invalid_argument", "register: endpoint is missing", { place: { field: "endpoint" } });
    const endpoint = endpointOfMessage(message);
    const ttl = ttlMs === 0 ? defaultTtlMs : ttlMs;
    assertEndpoint(endpoint);
    assertMayRegister(endpoint, {
      system: this.#hub.authority.system,
      mode: this.#hub.mutualTls(endpoint.service),
      before: this.#hub.catalog.endpoint(endpoint.id),
      proves: (name) => this.#registrant.proves(name),
      refusal: this.#registrant.refusal,
    });
    assertTtl(ttl);
    if (!this.#leases.has(endpoint.id) && this.#leases.size >= limits.maxRegistrations) {
      throw exhausted(
        "TOO_MANY_REGISTRATIONS",
        `at most ${limits.maxRegistrations} endpoints of one process are allowed`,
      );
    }
    if (contracts.length > limits.maxContracts) {
      throw exhausted("TOO_MANY_CONTRACTS", `at most ${limits.maxContracts} contracts of one endpoint are allowed`);
    }
    // Its contract first: who learns of the endpoint can call it.
    await store.add({
      service: endpoint.service,
      endpointId: endpoint.id,
      contracts,
      descriptors,
      digest: descriptorsDigest,
    });
    const lease = await registry.register(endpoint, ttl);
    this.#leases.set(endpoint.id, lease);
    this.#widen(endpoint.service);
    this.service ||= endpoint.service;
    if (!this.#ended) owners.set(endpoint.id, this);
  }

  async #release(id: string): Promise<void> {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    this.#leases.delete(id);
    this.#forget(id);
    await lease.release();
  }

  async #setHealth({ id, health, reason }: SetHealth): Promise<void> {
    if (!this.#leases.has(id)) {
      throw new WeftError("failed_precondition", `"${id}" is not registered by this process`, { reason: "NOT_OWNER" });
    }
    await this.#hub.registry.setHealth(id, healthOfMessage(health), printable(reason, 256));
  }

  #heartbeat(): void {
    for (const [id, lease] of this.#leases) {
      lease.renew().catch((thrown) => {
        const error = toWeftError(thrown);
        if (error.code !== "not_found" || this.#leases.get(id) !== lease) return; // the registry is away: the next beat tries again
        this.#leases.delete(id);
        this.#forget(id);
        this.#subscriber.lost(id, error.reason);
      });
    }
  }

  #takeLoad({ endpoints }: LoadReport): void {
    for (const load of endpoints) {
      if (!this.#leases.has(load.id)) continue;
      // What is kept of each endpoint is bounded, whatever its process says.
      const { buckets = [], counts = [] } = load.latency ?? {};
      if (buckets.length > MAX_BUCKETS || counts.length > MAX_BUCKETS) load.latency = undefined;
      this.#hub.loads.set(load.id, load);
    }
  }

  #takeApplied({ revision, error }: Applied): void {
    // Of a revision that is still to come nobody can say anything.
    if (revision > BigInt(this.#hub.ledger.current.revision)) return;
    this.applied = { revision: Number(revision), error: printable(error, MAX_REFUSAL_LENGTH) };
    if (error === "") this.acknowledged = Number(revision);
  }

  #takeTraffic({ edges }: Traffic): void {
    const { id, hello } = this;
    if (hello === null) return;
    const reporter = { id, node: nodeOf(this), gateway: hello.role === Role.GATEWAY };
    this.#hub.traffic.report(reporter, edges.flatMap(readingOf));
  }

  #answered(answer: Answer): void {
    const answered = this.#questions.get(answer.questionId);
    this.#questions.delete(answer.questionId);
    answered?.(answer);
  }

  #forget(id: string): void {
    if (this.#hub.owners.get(id) !== this) return;
    this.#hub.owners.delete(id);
    this.#hub.loads.delete(id);
  }

  #refuse(requestId: bigint, thrown: unknown): void {
    const { code, reason, message, place } = toWeftError(thrown);
    this.#subscriber.acknowledge({ requestId, code: codeNumber(code), reason, message, field: place?.field ?? "" });
  }
}

let sessions = 0;
/** The service whose identity gateways have. */
const GATEWAY = "gateway";
/** Of what a process says of resources that it cannot use. */
const MAX_REFUSAL_LENGTH = 2_000;
/** More than a histogram has. */
const MAX_BUCKETS = 128;
/** Asked of one process at once. */
const MAX_QUESTIONS = 64;

function exhausted(reason: string, message: string): WeftError {
  return new WeftError("resource_exhausted", message, { reason });
}

function ignore(): void {}
