import type {
  AckSchema,
  AttachResponseSchema,
  LostLeaseSchema,
  QuestionSchema,
  WelcomeSchema,
} from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { codeNumber, toWeftError } from "../core/errors.ts";
import type { CatalogSubscriber, ServiceState } from "./catalog.ts";

/**
 * What one attached process has still to be told, as a machine: marks in, messages out. It never queues state: a service that changes a thousand times
 * while the process reads nothing is one mark, and is sent as the updates it missed or, if those were too many, as a whole.
 *
 *     changed(service) --mark--> dirty --take()--> message        up to FRAME_BYTES of encoded updates at a time
 *
 * Invariants (subscriber.test.ts): S1 what is taken, applied in order, is the catalog's state; S2 memory is bounded by the number of its
 * subscriptions and unanswered requests; S3 a subscription is acknowledged only when the first state of all of it was taken.
 */
export class Subscriber implements CatalogSubscriber {
  readonly #wake: () => void;
  /** Sequence of each service as last sent; UNSENT before its first state. */
  readonly #positions = new Map<ServiceState, number>();
  readonly #dirty = new Set<ServiceState>();
  /** Each with what has to be told first: services, names of namespaces. */
  readonly #subscribing: { ack: Ack; waiting: Set<ServiceState | string> }[] = [];
  #acks: Ack[] = [];
  #lost: MessageInitShape<typeof LostLeaseSchema>[] = [];
  #welcome: MessageInitShape<typeof WelcomeSchema> | null = null;
  #questions: MessageInitShape<typeof QuestionSchema>[] = [];
  #resources: (() => Uint8Array | null) | null = null;
  #trust = "";
  #caughtUp = false;
  /** Service name to its encoded contract. */
  readonly #contracts = new Map<string, Uint8Array>();
  /** Namespace to its encoded SettingsUpdate. */
  readonly #settings = new Map<string, Uint8Array>();

  /** `wake` is called when take() has something (more). */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  /** Services that it is kept up to date about. */
  get services(): Iterable<ServiceState> {
    return this.#positions.keys();
  }

  /** Answers that wait to be taken, for the limit on unanswered requests. */
  get pendingAcks(): number {
    return this.#acks.length + this.#subscribing.length;
  }

  changed(state: ServiceState): void {
    if (!this.#positions.has(state)) this.#positions.set(state, UNSENT);
    this.#dirty.add(state);
    this.#wake();
  }

  /** Begins with the service; `knownSequence` when it is known up to there. A service that it has already is left as it is. */
  add(state: ServiceState, knownSequence: number | null): void {
    if (this.#positions.has(state)) return;
    this.#positions.set(state, knownSequence ?? UNSENT);
    if (knownSequence !== state.sequence) this.#dirty.add(state);
    this.#wake();
  }

  /** `ack` is sent with or after the first state of each of `states`, and the settings of `namespaces` that have not been taken yet. */
  acknowledgeAfter(states: Iterable<ServiceState>, ack: Ack, namespaces: Iterable<string> = []): void {
    const waiting = new Set<ServiceState | string>();
    for (const state of states) if (this.#positions.get(state) === UNSENT) waiting.add(state);
    for (const namespace of namespaces) if (this.#settings.has(namespace)) waiting.add(namespace);
    if (waiting.size === 0) this.#acks.push(ack);
    else this.#subscribing.push({ ack, waiting });
    this.#wake();
  }

  acknowledge(ack: Ack): void {
    this.#acks.push(ack);
    this.#wake();
  }

  /** Acknowledges with what was wrong. */
  refuse(requestId: bigint, thrown: unknown): void {
    const { code, reason, message, place } = toWeftError(thrown);
    this.acknowledge({ requestId, code: codeNumber(code), reason, message, field: place?.field ?? "" });
  }

  welcome(welcome: MessageInitShape<typeof WelcomeSchema>): void {
    this.#welcome = welcome;
    this.#wake();
  }

  lost(id: string, reason: string): void {
    this.#lost.push({ id, reason });
    this.#wake();
  }

  question(question: MessageInitShape<typeof QuestionSchema>): void {
    this.#questions.push(question);
    this.#wake();
  }

  /** What is known of endpoints is not old any more: all services are told again, whole. */
  caughtUp(): void {
    this.#caughtUp = true;
    for (const state of this.#positions.keys()) {
      this.#positions.set(state, UNSENT);
      this.#dirty.add(state);
    }
    this.#wake();
  }

  /** There may be other resources. `make` gives them, encoded, when they are taken; null when there is nothing new after all. */
  resources(make: () => Uint8Array | null): void {
    this.#resources = make;
    this.#wake();
  }

  /** PEM of the authorities to trust; what was not taken yet is superseded. */
  trust(pem: string): void {
    this.#trust = pem;
    this.#wake();
  }

  /** An encoded ServiceContract; one of the same service that was not taken yet is superseded. */
  contract(service: string, bytes: Uint8Array): void {
    this.#contracts.set(service, bytes);
    this.#wake();
  }

  /** An encoded SettingsUpdate; one of the same namespace that was not taken yet is superseded. */
  settings(namespace: string, bytes: Uint8Array): void {
    this.#settings.set(namespace, bytes);
    this.#wake();
  }

  /** The next message, null when all has been told. */
  take(): MessageInitShape<typeof AttachResponseSchema> | null {
    const services: Uint8Array[] = [];
    let size = 0;
    for (const state of this.#dirty) {
      if (size >= FRAME_BYTES) break;
      this.#dirty.delete(state);
      const position = this.#positions.get(state) ?? UNSENT;
      const updates = (position === UNSENT ? null : state.since(position)) ?? [state.full()];
      if (state.gone) this.#positions.delete(state);
      else this.#positions.set(state, state.sequence);
      for (const bytes of updates) {
        services.push(bytes);
        size += bytes.byteLength;
      }
      for (const { waiting } of this.#subscribing) waiting.delete(state);
    }
    const contracts: Uint8Array[] = [];
    for (const [service, bytes] of this.#contracts) {
      if (size >= FRAME_BYTES) break;
      this.#contracts.delete(service);
      contracts.push(bytes);
      size += bytes.byteLength;
    }
    const settings: Uint8Array[] = [];
    for (const [namespace, bytes] of this.#settings) {
      if (size >= FRAME_BYTES) break;
      this.#settings.delete(namespace);
      settings.push(bytes);
      size += bytes.byteLength;
      for (const { waiting } of this.#subscribing) waiting.delete(namespace);
    }
    while (this.#subscribing.length > 0 && this.#subscribing[0].waiting.size === 0) {
      const [{ ack }] = this.#subscribing.splice(0, 1);
      this.#acks.push(ack);
    }
    const resources = this.#resources?.() ?? null;
    this.#resources = null;
    const message: MessageInitShape<typeof AttachResponseSchema> = {
      welcome: this.#welcome ?? undefined,
      acks: this.#acks,
      resources: resources ?? undefined,
      services,
      contracts,
      lost: this.#lost,
      trust: this.#trust,
      questions: this.#questions,
      settings,
      caughtUp: this.#caughtUp,
    };
    const empty =
      services.length +
        contracts.length +
        settings.length +
        this.#acks.length +
        this.#lost.length +
        this.#questions.length ===
        0 &&
      this.#welcome === null &&
      !this.#caughtUp &&
      resources === null &&
      this.#trust === "";
    if (empty) return null;
    this.#welcome = null;
    this.#caughtUp = false;
    this.#trust = "";
    this.#acks = [];
    this.#lost = [];
    this.#questions = [];
    return message;
  }
}

export type Ack = MessageInitShape<typeof AckSchema>;

const UNSENT = -1;
/** Encoded updates in one message, about. Small enough to share a connection, large enough for thousands of endpoints. */
const FRAME_BYTES = 1_048_576;
