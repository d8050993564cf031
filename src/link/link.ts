import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { type AttachResponse, type EndpointLoadSchema, Role } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { answerTo } from "./answers.ts";
import { BackOff, type BackOffOptions } from "./back-off.ts";
import { ControlChannel } from "./control-channel.ts";
import type { ControlSecurity } from "./control-security.ts";
import { unreachable } from "./errors.ts";
import { FleetLine } from "./fleet-line.ts";
import { Heartbeats } from "./heartbeats.ts";
import { LimitLine } from "./limit-line.ts";
import type { LineProof } from "./line-proof.ts";
import { LineReports } from "./line-reports.ts";
import { Mirror, type MirrorChange, noChange } from "./mirror.ts";
import { type Applied, PolicyFeed } from "./policy-feed.ts";
import { Registrations } from "./registrations.ts";
import { SettingsFile } from "./settings-file.ts";
import { SettingsLine } from "./settings-line.ts";
import { StateSaver } from "./state-file.ts";
import { Stream } from "./stream.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Link, ProcessRole, Registered, Registration, ServiceContract, SuppliedPolicy } from "./types.ts";

export interface LinkOptions {
  /** The control plane, "host:port", or several separated by commas: one of them at a time is used, the next one when it fails. */
  address: string;
  /** Kept supplied with resources, methods and endpoints. */
  policy: SuppliedPolicy;
  /** The service that this process is, or stands beside; default "" (none). */
  service?: string;
  /** What it is to the mesh. Default: a tool that looks, and carries nothing for others. */
  role?: ProcessRole;
  /** Name of this process for people and for the control plane; made unique by its pid and a random part. Default: "process". */
  process?: string;
  /** Default: the machine's name. */
  node?: string;
  /** What runs here, for people. */
  version?: string;
  /** Where it runs, by what gray releases of settings choose. Default: nowhere, as nobody. */
  whereabouts?: {
    readonly zone: string;
    readonly instance: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly tags: readonly string[];
  };
  /** Where the last state is kept, to start from when the control plane is away. Default: nowhere. */
  stateFile?: string;
  backOff?: BackOffOptions;
  /** The line does not keep the process alive: for clients, which end when their work does. Default false. */
  background?: boolean;
  /** Load of the endpoints, asked about once a second. Default: nothing is reported. */
  load?: () => readonly MessageInitShape<typeof EndpointLoadSchema>[];
  /** Shows the control plane who this process is, on each line before it registers anything. Default: nobody, who registers what takes plain text. */
  proof?: LineProof;
  /** How the control plane is spoken with, as the identity's line says (`control`). Default: in plain text. */
  control?: ControlSecurity | null;
  /** Told whom to trust from now on: PEM of all authorities. */
  onTrust?: (pem: string) => void;
  /** Told what goes wrong in the background: a line that broke, resources that cannot be used here, an id that was taken. Default: nobody. */
  onError?: (error: WeftError) => void;
  clock?: Clock;
  random?: Random;
}

/** Opens the line at once, in the background; nothing rejects until something is asked of it. Throws `invalid_argument` for a bad address. */
export function createLink(options: LinkOptions): Link {
  return new ControlLink(options);
}

/**
 *     connecting --welcome--> attached --stream ends, silence--> waiting (back-off) --> connecting
 *         '------------------- refused, no welcome in time -------^
 *
 * Where there are several control planes, each attempt goes to the next one, in an order of this process's own; versions that another one told mean nothing there (its epoch says so), so that
 * everything is told anew.
 *
 * What outlives a stream: the mirror (what is known), the wishes (subscriptions) and the registrations. Each new stream begins by saying all of
 * them again, with the versions that are known.
 */
class ControlLink implements Link {
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #feed: PolicyFeed;
  readonly #mirror = new Mirror();
  readonly #backOff: BackOff;
  readonly #process: string;
  readonly #channel: ControlChannel;
  readonly #beats: Heartbeats;
  readonly #reports: LineReports;
  readonly #fleet: FleetLine;
  readonly limits: LimitLine;
  readonly settings: SettingsLine;
  readonly #subscriptions: Subscriptions;
  readonly #registrations: Registrations;
  readonly #contractListeners: ((contracts: readonly ServiceContract[]) => void)[] = [];
  #stream: Stream | null = null;
  /** What came of the newest resources; null before any came. */
  #applied: Applied | null = null;
  #lastError: WeftError | null = null;
  /** Of heartbeats, as the control plane wishes it. */
  #periodMs = 5_000;
  #closed = false;
  #wakeRetry: () => void = ignore;
  readonly #saver: StateSaver | null;
  readonly #running: Promise<void>;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#feed = new PolicyFeed(
      options.policy,
      this.#mirror,
      (error) => this.#report(error),
      (applied) => this.#tellApplied(applied),
    );
    const random = options.random ?? systemRandom;
    this.#random = random;
    this.#process = `${options.process ?? "process"}/${process.pid}/${randomBytes(4).toString("hex")}`;
    this.#channel = new ControlChannel(options, this.#clock, random);
    this.#backOff = new BackOff(random, { ...options.backOff, round: this.#channel.count });
    const client = () => this.#channel.fleet;
    this.#fleet = new FleetLine({ client, policy: options.policy, process: this.#process, clock: this.#clock });
    const line = {
      clock: this.#clock,
      stream: () => (this.#stream?.welcomed ? this.#stream : null),
      prove: (stream: Stream) => this.#prove(stream),
      isDown: () => this.#lastError !== null,
      unreachable: (timeoutMs: number) => unreachable(options.address, timeoutMs, this.#lastError),
      report: (error: WeftError) => this.#report(error),
    };
    this.#subscriptions = new Subscriptions({
      ...line,
      mirror: this.#mirror,
      wantsContracts: () => this.#contractListeners.length > 0,
      onUntold: (removed) => this.#supply({ ...noChange(), resources: true, removed }),
    });
    this.#registrations = new Registrations({ ...line, backOff: this.#backOff });
    this.#beats = new Heartbeats({
      clock: this.#clock,
      beatMs: (periodMs) => this.#registrations.beatMs(periodMs),
      several: this.#channel.count > 1,
    });
    this.#reports = new LineReports({
      clock: this.#clock,
      load: options.load,
      edges: options.role === undefined ? undefined : options.policy.edges,
      isCurrent: (stream) => this.#stream === stream,
    });
    this.limits = new LimitLine({ client, process: this.#process, clock: this.#clock });
    const { stateFile } = options;
    this.#saver =
      stateFile === undefined
        ? null
        : new StateSaver(stateFile, this.#mirror, this.#clock, (error) => this.#report(error));
    const { instance = "" } = options.whereabouts ?? {};
    this.settings = new SettingsLine({
      ...line,
      file: stateFile === undefined ? null : new SettingsFile(stateFile, instance, (error) => this.#report(error)),
    });
    this.#running = this.#run();
  }

  get connected(): boolean {
    return this.#stream?.welcomed === true;
  }

  subscribe(service: string, timeoutMs = 5_000): Promise<void> {
    return this.#subscriptions.subscribe(service, timeoutMs);
  }

  register(registration: Registration): Promise<Registered> {
    const before = this.#registrations.beatMs(this.#periodMs);
    const registered = this.#registrations.register(registration);
    // A shorter lease than all others would end before the next heartbeat.
    const stream = this.#stream;
    if (stream?.welcomed && this.#registrations.beatMs(this.#periodMs) < before)
      this.#beats.start(stream, this.#periodMs);
    return registered;
  }

  watchContracts(listener: (contracts: readonly ServiceContract[]) => void): void {
    this.#contractListeners.push(listener);
    if (this.#mirror.contracts.size > 0) listener([...this.#mirror.contracts.values()]);
    if (this.#contractListeners.length === 1 && this.#stream?.welcomed) this.#subscriptions.sayContracts(this.#stream);
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#running;
    await Promise.race([
      this.#registrations.releaseAll().catch(ignore),
      new Promise<void>((resolve) => void this.#clock.after(CLOSE_TIMEOUT_MS, resolve)),
    ]);
    this.#closed = true;
    this.#stream?.outbox.end();
    this.#stream?.abort.abort();
    this.#wakeRetry();
    await this.#running;
    const closed = new WeftError("cancelled", "the line to the control plane was closed", { reason: "LINK_CLOSED" });
    this.#subscriptions.settle(closed);
    this.#registrations.settle(closed);
    await this.settings.close(closed);
    await this.#saver?.close();
    this.#fleet.close();
    this.limits.close();
    await this.#channel.close();
  }

  // --- the stream -----------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    while (!this.#closed) {
      const stream = new Stream();
      this.#stream = stream;
      let failure: WeftError;
      try {
        await this.#attach(stream);
        failure = new WeftError("unavailable", "the control plane ended the line", { reason: "LINE_ENDED" });
      } catch (thrown) {
        failure = stream.failure ?? toWeftError(thrown);
      }
      stream.stop();
      this.#stream = null;
      if (this.#closed) return;
      await this.#lost(failure, stream.welcomed);
      // Told to go, it goes on at once, and not all at one time; whoever is alone waits for it to come back.
      const told = failure.reason === "LINE_ENDED" && this.#channel.count > 1;
      const pauseMs = told ? this.#random.next() * MOVE_WITHIN_MS : this.#backOff.next();
      this.#channel.advance();
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(pauseMs, resolve);
        this.#wakeRetry = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  async #attach(stream: Stream): Promise<void> {
    await this.#options.control?.prepare(this.#options.background === true);
    if (this.#closed) return;
    const { epoch, revision, ledger } = this.#mirror;
    const { service = "", role, whereabouts } = this.#options;
    stream.outbox.push({
      message: {
        case: "hello",
        value: {
          process: this.#process,
          node: this.#options.node ?? hostname(),
          version: this.#options.version ?? "",
          epoch,
          knownRevision: BigInt(revision),
          knownLedger: ledger,
          service,
          role: role === undefined ? Role.UNSPECIFIED : ROLES[role],
          scoped: true,
          services: [...this.#subscriptions.names(), ...this.#registrations.services()],
          ...(whereabouts && { ...whereabouts, labels: { ...whereabouts.labels }, tags: [...whereabouts.tags] }),
        },
      },
    });
    const welcomeMs = this.#channel.count > 1 ? WELCOME_OF_ONE_MS : WELCOME_TIMEOUT_MS;
    stream.timer = this.#clock.after(welcomeMs, () => {
      stream.fail(new WeftError("unavailable", `no welcome within ${welcomeMs} ms`, { reason: "NO_WELCOME" }));
    });
    for await (const message of this.#channel.control.attach(stream.outbox, { signal: stream.abort.signal })) {
      stream.heard();
      this.#receive(stream, message);
    }
  }

  #receive(stream: Stream, message: AttachResponse): void {
    const change = this.#mirror.apply(message);
    if (message.caughtUp) stream.told.clear();
    for (const service of change.touched) stream.told.add(service);
    this.#supply(change);
    // What was not told again once all has been is gone.
    if (message.caughtUp) this.#subscriptions.caughtUp(stream);
    if (message.trust !== "") {
      this.#options.control?.take({ trust: message.trust });
      this.#options.onTrust?.(message.trust);
    }
    if (message.welcome !== undefined && !stream.welcomed) {
      stream.welcomed = true;
      stream.challenge = message.welcome.challenge;
      this.#lastError = null;
      this.#backOff.reset();
      this.#backOff.limit(message.welcome.heartbeatMs || 5_000);
      this.#periodMs = message.welcome.heartbeatMs || this.#periodMs;
      this.#beats.start(stream, this.#periodMs);
      this.#reports.start(stream);
      if (this.#applied !== null) this.#tellApplied(this.#applied);
      this.#subscriptions.sayTo(stream);
      // What is registered has tags, by which gray releases of settings choose.
      this.#registrations.sayTo(stream);
      this.settings.attached(stream);
    }
    for (const bytes of message.settings) this.settings.receive(bytes);
    for (const ack of message.acks) {
      const done = stream.requests.get(ack.requestId);
      stream.requests.delete(ack.requestId);
      done?.(ack);
    }
    for (const { id, reason } of message.lost) this.#registrations.lost(stream, id, reason);
    for (const question of message.questions) {
      const answer = answerTo(question, this.#options.policy, this.#clock);
      if (answer !== null) stream.outbox.push({ message: { case: "answer", value: answer } });
    }
  }

  /** Says who this process is, unless that has been said. */
  #prove(stream: Stream): void {
    const { proof } = this.#options;
    const by = proof?.by() ?? null;
    if (proof === undefined || by === null || stream.provenBy === by || stream.challenge.length === 0) return;
    stream.provenBy = by;
    stream.outbox.push({ message: { case: "prove", value: proof.over(stream.challenge) } });
  }

  #tellApplied(applied: Applied): void {
    this.#applied = applied;
    const { revision, error } = applied;
    const stream = this.#stream;
    if (stream?.welcomed !== true) return; // it is told when the line is up
    const value = { revision: BigInt(revision), error: error.slice(0, MAX_REFUSAL_LENGTH) };
    stream.outbox.push({ message: { case: "applied", value } });
  }

  /** Gives the policy runtime what is new. */
  #supply(change: MirrorChange): void {
    const { resources, advanced, contracts, changed, removed } = change;
    this.#feed.feed(change);
    if (contracts) {
      const all = [...this.#mirror.contracts.values()];
      for (const listener of this.#contractListeners) listener(all);
    }
    if (resources || advanced || contracts || changed.length + removed.length > 0) this.#saver?.saveSoon();
    this.#subscriptions.followNamed(resources);
  }

  /** The line is down: the last state stays in use; before there was one, the saved state is taken. */
  async #lost(failure: WeftError, hadBeenWelcome: boolean): Promise<void> {
    const first = this.#lastError === null;
    this.#lastError = failure;
    if (hadBeenWelcome || first) {
      this.#report(
        new WeftError(
          "unavailable",
          hadBeenWelcome
            ? `the line is down, the last state stays in use: ${failure.message}`
            : `no line to the control plane yet: ${failure.message}; trying again`,
          { reason: "LINE_DOWN", cause: failure },
        ),
      );
    }
    if (this.#mirror.services.size === 0 && (await this.#saver?.load())) {
      const contracts = this.#mirror.contracts.size > 0;
      this.#supply({ ...noChange(), resources: true, contracts, changed: this.#mirror.endpoints() });
    }
    this.#subscriptions.lost();
    this.settings.lost();
  }

  #report(error: WeftError): void {
    this.#options.onError?.(error);
  }
}

function ignore(): void {}

const WELCOME_TIMEOUT_MS = 5_000;
/** Another control plane may be quicker. */
const WELCOME_OF_ONE_MS = 3_000;
/** Processes of a control plane that stops arrive elsewhere within so long. */
const MOVE_WITHIN_MS = 1_000;
const CLOSE_TIMEOUT_MS = 1_000;
/** What is told of resources that cannot be used here; the process's own log has it whole. */
const MAX_REFUSAL_LENGTH = 2_000;
const ROLES: Readonly<Record<ProcessRole, Role>> = {
  gateway: Role.GATEWAY,
  service: Role.SERVICE,
  sidecar: Role.SIDECAR,
};
