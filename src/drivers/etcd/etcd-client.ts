import { AtMost } from "../../core/at-most.ts";
import type { Cancel, Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { within } from "../../core/within.ts";
import { BackOff } from "../../link/back-off.ts";
import { Waiters } from "../../link/waiters.ts";
import { registryClosed } from "../../registry/registry-errors.ts";
import { readTls, type TlsMaterial } from "../driver-tls.ts";
import { EtcdSession } from "./etcd-session.ts";
import type { EtcdTarget } from "./etcd-url.ts";

export interface EtcdClientOptions {
  target: EtcdTarget;
  clock: Clock;
  random: Random;
  /** Makes a new connection ready: until it resolves nobody uses it. What it rejects with ends the connection. */
  onSession: (session: EtcdSession) => Promise<void>;
  /** Told that no server is reached, once, and once more when one is that refuses; and that one is in use again (null). */
  onChange: (lost: WeftError | null) => void;
}

/**
 * Keeps a connection to one of several etcd servers:
 *
 *     connecting --made ready--> in use --failed--> waiting (back-off with jitter) --next address--> connecting
 *          '---------- failed ----------------------^
 */
export class EtcdClient {
  readonly #options: EtcdClientOptions;
  readonly #tls: TlsMaterial | null;
  readonly #backOff: BackOff;
  readonly #waiters = new Waiters();
  readonly #writes = new AtMost(MAX_WRITES);
  #session: EtcdSession | null = null;
  #opening: EtcdSession | null = null;
  #next = 0;
  #lost: WeftError | null = null;
  #stopWaiting: Cancel = ignore;
  #closed = false;

  /** Throws `invalid_argument` for files of TLS that cannot be used. Connects at once. */
  constructor(options: EtcdClientOptions) {
    this.#options = options;
    const { tls } = options.target;
    this.#tls = tls === null ? null : readTls(tls, "etcd");
    this.#backOff = new BackOff(options.random, { baseMs: 50, maxMs: MAX_PAUSE_MS });
    // Many processes that start together do not all ask the first one.
    this.#next = Math.floor(options.random.next() * options.target.addresses.length);
    void this.#connect();
  }

  /** What went wrong last; null while a server is in use. */
  get lost(): WeftError | null {
    return this.#lost;
  }

  get session(): EtcdSession | null {
    return this.#session;
  }

  /**
   * Carries something out on the connection in use, or on the next one: again where a connection broke, so it must be safe to be done twice. Rejects `unavailable`
   * after `timeoutMs`; what etcd refuses is rejected as etcd says it.
   */
  async call<T>(what: (session: EtcdSession) => Promise<T>, timeoutMs = CALL_MS): Promise<T> {
    const { clock } = this.#options;
    const deadline = clock.now() + timeoutMs;
    for (;;) {
      const asked = await this.#ask(what, deadline);
      if (asked.error === null) return asked.answer;
      if (isBusy(asked.error)) await new Promise<void>((resolve) => void clock.after(this.#busyMs(), resolve));
      if (clock.now() >= deadline) throw this.#away(asked.error);
    }
  }

  /**
   * As call(), but nothing is asked for twice: where the connection broke, or etcd was slow, it may have been carried out, or be later. `retryable` is what certainly was not.
   */
  async once<T>(what: (session: EtcdSession) => Promise<T>, timeoutMs = CALL_MS): Promise<T> {
    const { error, answer, session } = await this.#ask(what, this.#options.clock.now() + timeoutMs);
    if (error === null) return answer;
    const text = `etcd at ${session.address} did not do it, as far as is known: ${error.message}`;
    const retryable = isBusy(error) || error.code === "unauthenticated";
    throw new WeftError("unavailable", text, { reason: "ETCD_UNANSWERED", retryable, cause: error });
  }

  /** As call(), and no more of these at once than etcd takes: its deadline begins with its turn. */
  write<T>(what: (session: EtcdSession) => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const began = clock.now();
    return this.#writes.do(async () => {
      if (this.#session === null && clock.now() - began >= CALL_MS && !this.#closed) throw this.#away();
      return await this.call(what);
    });
  }

  close(): void {
    this.#closed = true;
    this.#stopWaiting();
    this.#opening?.close();
    this.#session?.close();
    this.#session = null;
    this.#waiters.settle(null);
  }

  /** Asks once, on the connection in use or the next one, which ends where it is its fault. Rejects what etcd refuses; resolves with an error that passes. */
  async #ask<T>(what: (session: EtcdSession) => Promise<T>, deadline: number): Promise<Asked<T>> {
    const session = await this.#inUse(deadline);
    try {
      return { error: null, answer: await within(this.#options.clock, deadline, what(session), late), session };
    } catch (thrown) {
      const error = toWeftError(thrown);
      if (this.#closed) throw registryClosed();
      if (!passes(error)) throw error;
      // A token that has run out, a leader that is gone: by another connection it may work.
      if (!isBusy(error) && error.code !== "deadline_exceeded") session.fail(error);
      return { error, answer: null, session };
    }
  }

  /** The connection in use, or the next one. Rejects at the deadline. */
  async #inUse(deadline: number): Promise<EtcdSession> {
    const { clock } = this.#options;
    for (;;) {
      if (this.#closed) throw registryClosed();
      if (this.#session !== null) return this.#session;
      await this.#waiters.wait(clock, Math.max(0, deadline - clock.now()), () => this.#away());
    }
  }

  async #connect(): Promise<void> {
    const { target, clock, onSession } = this.#options;
    const address = target.addresses[this.#next++ % target.addresses.length];
    let session: EtcdSession | null = null;
    const onEnd = (failure: WeftError): void => {
      if (session === null || this.#session !== session) return; // it was not in use yet: told below
      this.#session = null;
      this.#again(failure);
    };
    try {
      session = new EtcdSession({ address, login: target.login, tls: this.#tls, clock, onEnd });
      this.#opening = session;
      await session.login();
      await onSession(session);
      if (session.failure !== null) throw session.failure;
      this.#opening = null;
      if (this.#closed) return session.close();
      this.#session = session;
      this.#backOff.reset();
      if (this.#lost !== null) this.#options.onChange(null);
      this.#lost = null;
      this.#waiters.settle(null);
    } catch (thrown) {
      this.#opening = null;
      session?.close();
      this.#again(explained(toWeftError(thrown)));
    }
  }

  #again(failure: WeftError): void {
    if (this.#closed) return;
    const refused = isRefusal(this.#lost);
    if (this.#lost === null || (isRefusal(failure) && !refused)) this.#options.onChange(failure);
    // Who was too slow to be heard has not taken back what was said before.
    if (!refused || failure.code !== "deadline_exceeded") this.#lost = failure;
    this.#stopWaiting = this.#options.clock.after(this.#backOff.next(), () => void this.#connect());
  }

  #busyMs(): number {
    return 50 + 100 * this.#options.random.next();
  }

  #away(cause: WeftError | null = this.#lost): WeftError {
    const { addresses } = this.#options.target;
    const text = `no etcd answers at ${addresses.join(", ")}${cause === null ? "" : `: ${cause.message}`}`;
    const refused = isRefusal(cause);
    const code = refused ? cause.code : "unavailable";
    return new WeftError(code, text, {
      reason: "REGISTRY_AWAY",
      retryable: !refused,
      ...(cause !== null && { cause }),
    });
  }
}

type Asked<T> =
  | { readonly error: null; readonly answer: T; readonly session: EtcdSession }
  | { readonly error: WeftError; readonly answer: null; readonly session: EtcdSession };

/** What etcd says of somebody without a login is not understood by who has not written one. */
function explained(error: WeftError): WeftError {
  if (error.code !== "invalid_argument" || !error.message.includes("user name is empty")) return error;
  const text = "it wants a login: etcd://USER:PASSWORD@HOST";
  return new WeftError("unauthenticated", text, { reason: "ETCD_LOGIN_MISSING", cause: error });
}

/** A login or right that is refused is not mended by waiting. */
function isRefusal(error: WeftError | null): error is WeftError {
  return error?.code === "unauthenticated" || error?.code === "permission_denied";
}

/** Whether it is the connection's fault, or the server's for now, rather than the request's. */
function passes(error: WeftError): boolean {
  const { code } = error;
  if (code === "unavailable" || code === "deadline_exceeded" || code === "unauthenticated") return true;
  return code === "cancelled" || isBusy(error);
}

/** It has more to do than it takes, and did not look at it; some versions say so without a code. */
export function isBusy({ message }: WeftError): boolean {
  return message.includes("too many requests");
}

function late(): WeftError {
  return new WeftError("deadline_exceeded", "etcd did not answer in time", { reason: "ETCD_SLOW" });
}

function ignore(): void {}

/** Of one thing that is asked, however many connections it takes. */
const CALL_MS = 5_000;
const MAX_WRITES = 512;
const MAX_PAUSE_MS = 1_000;
