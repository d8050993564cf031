import type { Clock } from "../core/clock.ts";
import type { WeftError } from "../core/errors.ts";
import { assertServiceName, CONTRACT_NAME } from "../registry/validate.ts";
import { alsoNeeded } from "./also-needed.ts";
import { errorOf } from "./errors.ts";
import type { Mirror, MirrorChange } from "./mirror.ts";
import type { Stream } from "./stream.ts";
import { Waiters } from "./waiters.ts";

/** What subscriptions need of the line. */
export interface SubscriptionLine {
  readonly clock: Clock;
  readonly mirror: Mirror;
  /** The stream that has been welcomed; null while the line is down. */
  stream(): Stream | null;
  isDown(): boolean;
  unreachable(timeoutMs: number): WeftError;
  wantsContracts(): boolean;
  /** Told what is gone, because it was not among all that was told. */
  onUntold(removed: MirrorChange["removed"]): void;
}

/** The services, contracts or ("*") everything that this process follows: said again on every stream, with what is known of each. */
export class Subscriptions {
  readonly #line: SubscriptionLine;
  readonly #wanted = new Map<string, Wish>();
  /** Services known when it was last looked what they name. */
  #seen = 0;

  constructor(line: SubscriptionLine) {
    this.#line = line;
  }

  /** Resolves when what there is of it is known, or was known before the line went down. */
  async subscribe(name: string, timeoutMs: number): Promise<void> {
    if (name !== "*" && !CONTRACT_NAME.test(name)) assertServiceName(name);
    const { clock, mirror } = this.#line;
    let wish = this.#wanted.get(name);
    if (wish === undefined) {
      wish = { name, ready: false, waiters: new Waiters() };
      this.#wanted.set(name, wish);
      const stream = this.#line.stream();
      if (stream !== null) this.#say(stream, [wish]);
    }
    if (wish.ready || (this.#line.isDown() && mirror.has(name))) return;
    await wish.waiters.wait(clock, timeoutMs, () => this.#line.unreachable(timeoutMs));
  }

  /** All of them, as a line is told that begins. */
  names(): Set<string> {
    return this.#namesOf(this.#wanted.values());
  }

  /** A new stream knows of none. */
  sayTo(stream: Stream): void {
    this.#say(stream, [...this.#wanted.values()]);
  }

  /** That contracts are wanted, too. */
  sayContracts(stream: Stream): void {
    this.#say(stream, []);
  }

  /** Everything has been told once more: who follows all of it finds out what is gone. */
  caughtUp(stream: Stream): void {
    const all = this.#wanted.get("*");
    if (all !== undefined) this.#say(stream, [all]);
  }

  /** Follows what policies and routes of the followed services name beside them. `resources`: there are others. */
  followNamed(resources: boolean): void {
    const { mirror } = this.#line;
    const { services } = mirror;
    if (!resources && services.size === this.#seen) return;
    this.#seen = services.size;
    if (this.#wanted.has("*")) return;
    const named = alsoNeeded(mirror.resources, (service) => services.has(service) || this.#wanted.has(service));
    // Nobody waits for it: a call that turns there before it is known finds no endpoint.
    for (const service of named) void this.subscribe(service, 5_000).catch(ignore);
  }

  /** The line is down: what is known is what there is. */
  lost(): void {
    for (const { name, waiters } of this.#wanted.values()) if (this.#line.mirror.has(name)) waiters.settle(null);
  }

  /** The line was closed. */
  settle(error: WeftError): void {
    for (const { waiters } of this.#wanted.values()) waiters.settle(error);
  }

  /** Says the wishes, with what is known of each service; without wishes, that contracts are wanted. */
  #say(stream: Stream, wishes: readonly Wish[]): void {
    const { mirror } = this.#line;
    const contracts = this.#line.wantsContracts();
    if (wishes.length === 0 && !contracts) return;
    const names = this.#namesOf(wishes);
    const services = Array.from(names, (name) => ({
      name,
      knownVersion: BigInt(mirror.services.get(name)?.version ?? 0),
    }));
    const requestId = stream.request((ack) => {
      if (ack === null) return; // the next stream says it again
      const error = errorOf(ack);
      if (error === null && names.has("*") && !mirror.behind) {
        const removed = mirror.keepOnly(stream.told);
        if (removed.length > 0) this.#line.onUntold(removed);
      }
      for (const wish of wishes) {
        if (error === null) wish.ready = true;
        else if (!wish.ready) this.#wanted.delete(wish.name);
        wish.waiters.settle(error);
      }
    });
    stream.outbox.push({ message: { case: "subscribe", value: { requestId, services, contracts } } });
  }

  /** What wishes are about: what a contract's name led to is named too, and first, so that what is known of it counts. */
  #namesOf(wishes: Iterable<Wish>): Set<string> {
    const named = Array.from(wishes, ({ name }) => name);
    const names = new Set<string>();
    for (const name of named) for (const service of this.#line.mirror.servicesOf(name)) names.add(service);
    for (const name of named) names.add(name);
    return names;
  }
}

interface Wish {
  readonly name: string;
  ready: boolean;
  readonly waiters: Waiters;
}

function ignore(): void {}
