import { healthToMessage } from "../contract/endpoint-message.ts";
import type { Clock } from "../core/clock.ts";
import type { Health } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import type { BackOff } from "./back-off.ts";
import { errorOf } from "./errors.ts";
import { HeldRegistration } from "./held-registration.ts";
import type { Stream } from "./stream.ts";
import type { Registered, Registration } from "./types.ts";

/** What registrations need of the line. */
export interface RegistrationLine {
  readonly clock: Clock;
  readonly backOff: BackOff;
  /** The stream that has been welcomed; null while the line is down. */
  stream(): Stream | null;
  /** Shows who this process is, if that has not been shown on this stream. */
  prove(stream: Stream): void;
  unreachable(timeoutMs: number): WeftError;
  report(error: WeftError): void;
}

/** What this process has registered: said again on every stream, until it is released. */
export class Registrations {
  readonly #line: RegistrationLine;
  readonly #held = new Map<string, HeldRegistration>();

  constructor(line: RegistrationLine) {
    this.#line = line;
  }

  async register(registration: Registration): Promise<Registered> {
    const held = new HeldRegistration(registration);
    if (this.#held.has(held.id)) {
      throw new WeftError("already_exists", `this process has registered "${held.id}" already`, {
        reason: "REGISTERED_TWICE",
      });
    }
    this.#held.set(held.id, held);
    const acknowledged = held.waiters.wait(this.#line.clock, REGISTER_TIMEOUT_MS, () =>
      this.#line.unreachable(REGISTER_TIMEOUT_MS),
    );
    const stream = this.#line.stream();
    if (stream !== null) this.#send(stream, held);
    try {
      await acknowledged;
    } catch (thrown) {
      if (this.#held.get(held.id) === held) this.#held.delete(held.id);
      throw thrown;
    }
    return {
      setHealth: (health, reason) => this.#setHealth(held, health, reason),
      release: () => this.#release(held),
    };
  }

  /** A new stream knows of none. */
  sayTo(stream: Stream): void {
    for (const held of this.#held.values()) this.#send(stream, held);
  }

  lost(stream: Stream, id: string, reason: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    if (reason !== "LEASE_REPLACED") return this.#send(stream, held);
    // Taking it back would begin a tug-of-war between two processes with one id.
    this.#held.delete(id);
    this.#line.report(
      new WeftError("already_exists", `another process has registered "${id}"; give each its own id (WEFT_INSTANCE)`, {
        reason,
      }),
    );
  }

  /** How often to be heard of: a third of the shortest lease, at most every `periodMs`. */
  beatMs(periodMs: number): number {
    let ms = periodMs;
    for (const { registration } of this.#held.values()) ms = Math.min(ms, (registration.ttlMs ?? ms * 3) / 3);
    return ms;
  }

  /** The services that it serves. */
  *services(): Generator<string> {
    for (const { registration } of this.#held.values()) yield registration.endpoint.service;
  }

  async releaseAll(): Promise<void> {
    await Promise.all(Array.from(this.#held.values(), (held) => this.#release(held)));
  }

  /** Answers whoever still waits. */
  settle(error: WeftError): void {
    for (const held of this.#held.values()) held.waiters.settle(error);
  }

  #send(stream: Stream, held: HeldRegistration, withDescriptors = !held.sent): void {
    this.#line.prove(stream);
    const requestId = stream.request((ack) => {
      if (ack === null) return; // the next stream says it again
      if (ack.reason === "DESCRIPTORS_NEEDED" && !withDescriptors) return this.#send(stream, held, true);
      const error = errorOf(ack);
      if (this.#held.get(held.id) !== held) {
        // Released or given up meanwhile: nobody would renew it knowingly.
        if (error === null && !this.#held.has(held.id)) void this.#sendRelease(stream, held.id).catch(ignore);
        return;
      }
      if (error === null) {
        held.sent = true;
        held.waiters.settle(null);
      } else if (passes(error) || (held.sent && notProven(error))) {
        // The registry behind the control plane is in trouble, or does not know this process's certificate until it is renewed.
        this.#line.report(error);
        const cancel = this.#line.clock.after(this.#line.backOff.next(), () =>
          this.#send(stream, held, withDescriptors),
        );
        stream.onStop(cancel);
      } else {
        this.#held.delete(held.id);
        if (held.sent) this.#line.report(error); // nobody waits any more
        held.waiters.settle(error);
      }
    });
    stream.outbox.push(held.message(requestId, withDescriptors));
  }

  async #setHealth(held: HeldRegistration, health: Health, reason: string): Promise<void> {
    held.health = health;
    const stream = this.#line.stream();
    if (this.#held.get(held.id) !== held) return;
    // Without a line the next registration says it; with one, this follows the registration even if that is on its way.
    if (stream === null) {
      return held.waiters.wait(this.#line.clock, REGISTER_TIMEOUT_MS, () =>
        this.#line.unreachable(REGISTER_TIMEOUT_MS),
      );
    }
    await stream.ask((requestId) => ({
      message: { case: "setHealth", value: { requestId, id: held.id, health: healthToMessage(health), reason } },
    }));
  }

  async #release(held: HeldRegistration): Promise<void> {
    if (this.#held.get(held.id) !== held) return;
    this.#held.delete(held.id);
    held.waiters.settle(new WeftError("cancelled", `"${held.id}" was released`, { reason: "RELEASED" }));
    const stream = this.#line.stream();
    if (stream === null) return; // its lease ends by itself
    await this.#sendRelease(stream, held.id);
  }

  #sendRelease(stream: Stream, id: string): Promise<void> {
    return stream.ask((requestId) => ({ message: { case: "release", value: { requestId, id } } }));
  }
}

/** What it asks for is to register again. */
function passes({ code, reason }: WeftError): boolean {
  return code === "unavailable" || code === "internal" || reason === "OUTCOME_UNKNOWN";
}

/** Who it was is not believed now, although it was before. */
function notProven({ reason }: WeftError): boolean {
  return reason === "NOT_PROVEN";
}

function ignore(): void {}

const REGISTER_TIMEOUT_MS = 15_000;
