import type { Cancel, Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { within } from "../../core/within.ts";
import { BackOff } from "../../link/back-off.ts";
import { Waiters } from "../../link/waiters.ts";
import { readTls, type TlsMaterial } from "../driver-tls.ts";
import { ZookeeperConnection } from "./zookeeper-connection.ts";
import type { SessionTicket, WatchEvent } from "./zookeeper-messages.ts";
import { lostError } from "./zookeeper-refusal.ts";
import type { ZookeeperTarget } from "./zookeeper-url.ts";

export interface ZookeeperClientOptions {
  target: ZookeeperTarget;
  clock: Clock;
  random: Random;
  /** How long the session outlives its connection, ms; servers have bounds of their own. */
  sessionTimeoutMs: number;
  /** Makes a new connection ready: until it resolves nobody uses it. What it rejects with ends the connection. */
  onConnection: (connection: ZookeeperConnection) => Promise<void>;
  onWatch: (event: WatchEvent) => void;
  onBeat: () => void;
  /** Told that no server is reached, once, and once more when one refuses; and that one is in use again (null). */
  onChange: (lost: WeftError | null) => void;
  /** Of what is asked after close(). */
  closed: () => WeftError;
}

/**
 * Keeps a session, and a connection of it to one of several servers:
 *
 *     connecting --session taken up or made, made ready--> in use --failed--> waiting (back-off with jitter) --next server, same session--> connecting
 *       ^  '---------- failed ------------------------------------^
 *       '--"the session is over": a new one, at the same server
 */
export class ZookeeperClient {
  readonly #options: ZookeeperClientOptions;
  readonly #tls: TlsMaterial | null;
  readonly #backOff: BackOff;
  readonly #waiters = new Waiters();
  #ticket: SessionTicket = NO_SESSION;
  #connection: ZookeeperConnection | null = null;
  #opening: ZookeeperConnection | null = null;
  #next = 0;
  #lost: WeftError | null = null;
  #stopWaiting: Cancel = ignore;
  #closed = false;

  /** Throws `invalid_argument` for files of TLS that cannot be used. Connects at once. */
  constructor(options: ZookeeperClientOptions) {
    this.#options = options;
    const { tls } = options.target;
    this.#tls = tls === null ? null : readTls(tls, "ZooKeeper");
    this.#backOff = new BackOff(options.random, { baseMs: 50, maxMs: MAX_PAUSE_MS });
    // Many processes that start together do not all ask the first one.
    this.#next = Math.floor(options.random.next() * options.target.addresses.length);
    void this.#connect();
  }

  /** What nodes that end with the session have as their owner; 0: there is none yet. */
  get sessionId(): bigint {
    return this.#ticket.id;
  }

  /**
   * Carries something out on the connection in use, or on the next one: again where a connection broke, unless a change was sent. Rejects `unavailable` after `timeoutMs` without a connection, or
   * when it is not known whether a change was made (OUTCOME_UNKNOWN); what ZooKeeper refuses is rejected.
   */
  async call<T>(what: (connection: ZookeeperConnection) => Promise<T>, timeoutMs = CALL_MS): Promise<T> {
    const { clock, closed } = this.#options;
    const deadline = clock.now() + timeoutMs;
    for (;;) {
      if (this.#closed) throw closed();
      const connection = this.#connection;
      if (connection === null) {
        // What is refused is not mended by waiting.
        if (isRefusal(this.#lost)) throw this.#away();
        await this.#waiters.wait(clock, Math.max(0, deadline - clock.now()), () => this.#away());
        continue;
      }
      try {
        return await within(clock, deadline, what(connection), late);
      } catch (thrown) {
        const error = toWeftError(thrown);
        if (!error.retryable) throw error;
        if (this.#closed) throw closed();
        if (clock.now() >= deadline) throw this.#away(error);
      }
    }
  }

  /** `end`: what lives as long as the session goes at once, rather than when its time is over. */
  async close(end: boolean): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWaiting();
    this.#opening?.close();
    const connection = this.#connection;
    this.#connection = null;
    this.#waiters.settle(null);
    if (end) await connection?.endSession();
    connection?.close();
  }

  async #connect(): Promise<void> {
    const { target, clock, sessionTimeoutMs, onConnection, onWatch, onBeat } = this.#options;
    const address = target.addresses[this.#next++ % target.addresses.length];
    const onEnd = (failure: WeftError): void => {
      if (this.#connection === null || this.#connection !== connection) return; // it was not in use yet: told below
      this.#connection = null;
      this.#again(failure);
    };
    const { login } = target;
    const connection = new ZookeeperConnection({ address, login, tls: this.#tls, clock, onWatch, onBeat, onEnd });
    this.#opening = connection;
    try {
      const opened = await connection.open(this.#ticket, sessionTimeoutMs);
      if (opened === null && this.#ticket.id === NO_SESSION.id) throw lostError(address, "brought no session");
      if (opened === null) {
        this.#ticket = NO_SESSION;
        this.#next--;
        this.#opening = null;
        if (!this.#closed) void this.#connect();
        return;
      }
      this.#ticket = opened.ticket;
      await onConnection(connection);
      if (connection.failure !== null) throw connection.failure;
      this.#opening = null;
      if (this.#closed) return connection.close();
      this.#connection = connection;
      this.#backOff.reset();
      if (this.#lost !== null) this.#options.onChange(null);
      this.#lost = null;
      this.#waiters.settle(null);
    } catch (thrown) {
      this.#opening = null;
      connection.close();
      this.#again(toWeftError(thrown));
    }
  }

  #again(failure: WeftError): void {
    if (this.#closed) return;
    if (this.#lost === null || (isRefusal(failure) && !isRefusal(this.#lost))) this.#options.onChange(failure);
    this.#lost = failure;
    if (isRefusal(failure)) this.#waiters.settle(null);
    this.#stopWaiting = this.#options.clock.after(this.#backOff.next(), () => void this.#connect());
  }

  #away(cause: WeftError | null = this.#lost): WeftError {
    const { addresses } = this.#options.target;
    const text = `no ZooKeeper answers at ${addresses.join(", ")}${cause === null ? "" : `: ${cause.message}`}`;
    if (isRefusal(cause)) return new WeftError(cause.code, text, { reason: cause.reason, cause });
    return new WeftError("unavailable", text, {
      reason: "ZOOKEEPER_AWAY",
      retryable: true,
      ...(cause !== null && { cause }),
    });
  }
}

function late(): WeftError {
  const text = "ZooKeeper did not answer in time; whether a change was made is not known";
  return new WeftError("deadline_exceeded", text, { reason: "OUTCOME_UNKNOWN" });
}

function isRefusal(error: WeftError | null): error is WeftError {
  return error !== null && REFUSALS.has(error.code);
}

function ignore(): void {}

const NO_SESSION: SessionTicket = { id: 0n, password: new Uint8Array(16) };
const REFUSALS: ReadonlySet<string> = new Set(["unauthenticated", "permission_denied", "failed_precondition"]);
/** Of one thing that is asked, however many connections it takes. */
const CALL_MS = 5_000;
const MAX_PAUSE_MS = 1_000;
