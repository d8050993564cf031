import {
  type Answer,
  type Applied,
  type AttachRequest,
  type AttachResponseSchema,
  type FindDecisionsSchema,
  type Hello,
  Role,
  type Traffic,
} from "../contract/gen/weft/control/v1/control.ts";
import type { SubscribeSettings } from "../contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Cancel } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { isPrintable, printable } from "../core/printable.ts";
import type { ServerCall } from "../service/server-call.ts";
import type { Hub } from "./hub.ts";
import type { DataPlaneState } from "./mesh/data-plane.ts";
import { dataPlaneOf, nodeOf, readingOf } from "./mesh/session-plane.ts";
import { Registrant } from "./registrant.ts";
import { SessionEndpoints } from "./session-endpoints.ts";
import { SessionQuestions } from "./session-questions.ts";
import { SessionScope } from "./session-scope.ts";
import { SessionSubscriptions } from "./session-subscriptions.ts";
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
  readonly subscriptions: SessionSubscriptions;
  /** Who the process has proved to be. */
  readonly #registrant: Registrant;
  readonly #endpoints: SessionEndpoints;
  readonly #questions: SessionQuestions;
  #ended = false;
  #failure: WeftError | null = null;
  #heard = false;
  /** The revision of this ledger that it knows and that is not current here yet; 0: none. */
  #ahead = 0;
  #cancelAhead: Cancel = ignore;
  /** It was told that what is known of endpoints may be old. */
  #behind = false;
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
    const sameEpoch = (): boolean => this.hello?.epoch === hub.epoch;
    this.settings = new SessionSettings(hub.settings, this.#subscriber, {
      process: () => this.hello?.process ?? "",
      service: () => this.service,
      consumer: () => settingsConsumerOf(this.hello, this.#endpoints.tags()),
      sameEpoch,
      isAhead: () => this.#ahead > 0,
      assertMayRead: (namespace) => this.#assertMayRead(namespace),
    });
    this.#questions = new SessionQuestions(hub.clock, (question) => this.#subscriber.question(question));
    this.subscriptions = new SessionSubscriptions({
      hub,
      session: this,
      subscriber: this.#subscriber,
      sameEpoch,
      onFollowed: (service) => this.#widen(service),
    });
    this.#endpoints = new SessionEndpoints({
      hub,
      session: this,
      subscriber: this.#subscriber,
      registrant: this.#registrant,
      onRegistered: (service) => {
        this.#widen(service);
        this.service ||= service;
      },
      onTags: () => this.settings.chosenAnew(),
      onDone: () => this.#room(),
      isOver: () => this.#ended,
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
      this.#cancelAhead();
      signal.removeEventListener("abort", abort);
      this.#ended = true;
      this.#room();
      this.#questions.close();
      this.subscriptions.close();
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
    return this.#endpoints.ids();
  }

  resourcesChanged(): void {
    if (this.hello === null) return;
    if (this.#ahead > 0) {
      const { current, line } = this.#hub.ledger;
      if (current.revision < this.#ahead && line === this.hello.knownLedger) return;
      return this.#caughtUp();
    }
    this.#subscriber.resources(this.#resources);
  }

  /** What is current here counts for it. */
  #caughtUp(): void {
    this.#ahead = 0;
    this.#cancelAhead();
    this.resourcesChanged();
    this.settings.caughtUp();
  }

  /** What is known of endpoints is not old any more. */
  viewCaughtUp(): void {
    if (!this.#behind) return;
    this.#behind = false;
    this.#subscriber.caughtUp();
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

  /** It as a data plane; null of what only looks. */
  get dataPlane(): DataPlaneState | null {
    return dataPlaneOf(this);
  }

  /** Which of the calls that the process remembers are meant. Null when there is no answer within `timeoutMs`. */
  async findDecisions(value: MessageInitShape<typeof FindDecisionsSchema>, timeoutMs: number): Promise<Answer | null> {
    return this.#isAsked ? await this.#questions.findDecisions(value, timeoutMs) : null;
  }

  /** Finds out by which revision it decides calls now, and keeps that in `probed`. */
  async probe(timeoutMs: number): Promise<void> {
    const answer = this.#isAsked ? await this.#questions.probe(timeoutMs) : null;
    if (answer !== null) this.probed = { revision: Number(answer.revision), atMs: this.#hub.clock.wallMs() };
  }

  get #isAsked(): boolean {
    return !this.#ended && this.hello !== null;
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
          this.subscriptions.subscribe(message.value);
          break;
        case "subscribeSettings":
          this.#subscribeSettings(message.value);
          break;
        case "settingsApplied":
          this.settings.applied(message.value);
          break;
        case "register":
          this.#endpoints.register(message.value);
          break;
        case "release":
          this.#endpoints.release(message.value);
          break;
        case "setHealth":
          this.#endpoints.setHealth(message.value);
          break;
        case "heartbeat":
          this.#endpoints.heartbeat();
          this.#subscriber.acknowledge({ requestId: message.value.requestId });
          break;
        case "load":
          this.#endpoints.takeLoad(message.value);
          break;
        case "applied":
          this.#takeApplied(message.value);
          break;
        case "traffic":
          this.#takeTraffic(message.value);
          break;
        case "answer":
          this.#questions.answered(message.value);
          break;
        default:
          break; // from a newer version; it will see that it is not answered
      }
      // Not reading on is what slows a process down that asks faster than it is answered, or does not read its answers.
      while (this.#endpoints.inWork + this.#subscriber.pendingAcks >= maxPendingRequests && !this.#ended) {
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
    for (const field of ["process", "node", "version", "epoch", "service", "knownLedger"] as const) {
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
    const heartbeatMs = Math.floor(defaultTtlMs / 3);
    this.#behind = this.#hub.view.staleMs > 0;
    this.#subscriber.welcome({ epoch, heartbeatMs, defaultTtlMs, challenge, behind: this.#behind });
    this.trustChanged();
    // Of a part that it knows nobody can say whether it would still be the same, nor whether what it knows is a part.
    const knownRevision = Number(hello.knownRevision);
    if (hello.knownLedger !== "" && hello.knownLedger === ledger.line && knownRevision > ledger.current.revision) {
      // It came from a control plane that was told earlier.
      this.revision = this.#ahead = knownRevision;
      this.#cancelAhead = this.#hub.catchUp.wait(() => this.#caughtUp());
      return;
    }
    const known = hello.epoch === epoch && knownRevision === ledger.current.revision;
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

  #subscribeSettings(request: SubscribeSettings): void {
    try {
      this.settings.subscribe(request);
    } catch (thrown) {
      this.#subscriber.refuse(request.requestId, thrown);
    }
  }

  /** Settings of a service that takes mutual TLS alone are for those who have proved to be it. */
  #assertMayRead(namespace: string): void {
    if (this.#hub.mutualTls(namespace) !== "strict" || this.#registrant.proves(namespace)) return;
    const text = `the settings of ${namespace} are for its own processes, for it takes mutual TLS alone (mtls: strict): ${this.#registrant.refusal}`;
    throw new WeftError("permission_denied", text, { reason: "NOT_PROVEN", place: { field: "namespace" } });
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
}

let sessions = 0;
/** The service whose identity gateways have. */
const GATEWAY = "gateway";
/** Of what a process says of resources that it cannot use. */
const MAX_REFUSAL_LENGTH = 2_000;
function ignore(): void {}
