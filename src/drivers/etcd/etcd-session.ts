import { createClient } from "../../call/client.ts";
import type { Client, ClientInterceptor } from "../../call/client-types.ts";
import { createDirectCarrier, type DirectCarrier } from "../../call/direct.ts";
import {
  Auth,
  KV,
  Lease,
  type LeaseKeepAliveRequestSchema,
  Watch,
  type WatchRequestSchema,
  type WatchResponse,
} from "../../contract/gen/etcdserverpb/rpc.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { within } from "../../core/within.ts";
import { Outbox } from "../../link/outbox.ts";
import type { TlsMaterial } from "../driver-tls.ts";

export interface EtcdSessionOptions {
  address: string;
  login: { readonly name: string; readonly password: string } | null;
  tls: TlsMaterial | null;
  clock: Clock;
  /** Told once, when it has failed; not when it was closed. */
  onEnd: (failure: WeftError) => void;
}

/**
 * One connection to one etcd server and what lives as long as it: the login's token, the stream of watches and the stream of keep-alives. It is
 * never repaired: what fails ends it, and the next one is another.
 *
 *     made, logged in --> in use --stream broken, refused, SILENT_MS without a word--> failed
 *                          \--close()--> closed
 */
export class EtcdSession {
  readonly address: string;
  readonly kv: Client<typeof KV>;
  readonly lease: Client<typeof Lease>;
  readonly #options: EtcdSessionOptions;
  readonly #direct: DirectCarrier;
  readonly #watch: Client<typeof Watch>;
  readonly #leases: Client<typeof Lease>;
  readonly #abort = new AbortController();
  readonly #metadata: Record<string, string> = {};
  readonly #watchRequests = new Outbox<MessageInitShape<typeof WatchRequestSchema>>();
  readonly #beats = new Outbox<MessageInitShape<typeof LeaseKeepAliveRequestSchema>>();
  readonly #beaten = new Map<bigint, Waiter<number>[]>();
  #beating = false;
  /** When something was asked on the watches' stream that nothing has come after; null: nothing is. */
  #askedAt: number | null = null;
  #over = false;
  failure: WeftError | null = null;

  constructor(options: EtcdSessionOptions) {
    this.address = options.address;
    this.#options = options;
    const { address, clock, tls } = options;
    const pool = { connectTimeoutMs: CALL_MS, maxWaiting: MAX_WAITING, ...(tls !== null && { tls }) };
    this.#direct = createDirectCarrier(address, { protocol: tls === null ? "h2c" : "h2", clock, pool });
    const { carrier, service, authority } = this.#direct;
    const shared = { carrier, service, authority, clock, maxMessageBytes: MAX_MESSAGE_BYTES };
    const calls = { ...shared, timeoutMs: CALL_MS, interceptors: [this.#withToken] };
    this.kv = createClient(KV, calls);
    this.lease = createClient(Lease, calls);
    // Streams have no end of their own.
    this.#watch = createClient(Watch, shared);
    this.#leases = createClient(Lease, shared);
  }

  /** Watches from a revision on; `onResponse` is told of everything that comes. Resolves when the server has begun; rejects once the session is over. */
  async watch(
    range: { key: Uint8Array; rangeEnd: Uint8Array; from: number },
    onResponse: (response: WatchResponse) => void,
  ): Promise<void> {
    if (this.#over) throw this.failure ?? closed();
    const { key, rangeEnd } = range;
    this.#watchRequests.push({
      requestUnion: { case: "createRequest", value: { key, rangeEnd, startRevision: BigInt(range.from) } },
    });
    this.#askedAt = this.#options.clock.now();
    await new Promise<void>((resolve, reject) => {
      this.#abort.signal.addEventListener("abort", () => reject(this.failure ?? closed()), { once: true });
      void this.#follow((response) => {
        if (response.created && !response.canceled) resolve();
        onResponse(response);
      });
      this.#ping();
    });
  }

  /** Asks how far watches are: answered with a revision, and no events, unless events come. */
  askProgress(): void {
    if (this.#over || this.#askedAt !== null) return;
    this.#askedAt = this.#options.clock.now();
    this.#watchRequests.push({ requestUnion: { case: "progressRequest", value: {} } });
  }

  /** Renews a lease; what is left of it then, seconds, or 0: there is no such lease. */
  async keepAlive(id: bigint): Promise<number> {
    if (this.#over) throw this.failure ?? closed();
    const { clock } = this.#options;
    const answer = new Promise<number>((resolve, reject) => {
      const waiting = this.#beaten.get(id);
      if (waiting !== undefined) {
        waiting.push({ resolve, reject });
        return;
      }
      this.#beaten.set(id, [{ resolve, reject }]);
      this.#beats.push({ ID: id });
      if (!this.#beating) void this.#beat();
    });
    return await within(clock, clock.now() + CALL_MS, answer, () => {
      const text = `etcd at ${this.address} did not renew a lease in time`;
      return new WeftError("deadline_exceeded", text, { reason: "ETCD_SLOW" });
    });
  }

  /** What nobody can hear any more is told so. */
  fail(failure: WeftError): void {
    if (this.#over) return;
    this.failure = failure;
    this.close();
    this.#options.onEnd(failure);
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    const failure = this.failure ?? closed();
    this.#watchRequests.end();
    this.#beats.end();
    this.#abort.abort(failure);
    for (const waiting of this.#beaten.values()) for (const { reject } of waiting) reject(failure);
    this.#beaten.clear();
    void this.#direct.close();
  }

  /** To be done first. Rejects when the server does not answer or refuses the login. */
  async login(): Promise<void> {
    const { login } = this.#options;
    if (login === null) return;
    const { carrier, service, authority } = this.#direct;
    const auth = createClient(Auth, { carrier, service, authority, timeoutMs: CALL_MS });
    try {
      this.#metadata.token = (await auth.authenticate(login)).token;
    } catch (thrown) {
      const error = toWeftError(thrown);
      if (error.code === "unavailable" || error.code === "deadline_exceeded") throw error;
      // Its cause is left out: it is not known what a server repeats.
      const text = `etcd at ${this.address} refuses the login of "${login.name}" (${error.code}); check user and password, and that authentication is switched on there`;
      throw new WeftError("unauthenticated", text, { reason: "ETCD_LOGIN_REFUSED" });
    }
  }

  readonly #withToken: ClientInterceptor = (next) => async (request) => {
    if (this.#over) throw this.failure ?? closed();
    if (this.#metadata.token !== undefined) request.metadata.set("token", this.#metadata.token);
    return await next(request);
  };

  async #follow(onResponse: (response: WatchResponse) => void): Promise<void> {
    try {
      const metadata = { ...this.#metadata, ...NEEDS_LEADER };
      for await (const response of this.#watch.watch(this.#watchRequests, { signal: this.#abort.signal, metadata })) {
        if (this.#over) return;
        onResponse(response);
        this.#askedAt = null;
      }
      this.fail(new WeftError("unavailable", `etcd at ${this.address} ended the watch`, { reason: "WATCH_ENDED" }));
    } catch (thrown) {
      this.fail(toWeftError(thrown));
    }
  }

  /** Asks for a sign of life, so that a server which stands still or cannot be reached any more is noticed. */
  #ping(): void {
    const { clock } = this.#options;
    clock.after(PING_MS, () => {
      if (this.#over) return;
      // Since it was asked something.
      const silentMs = this.#askedAt === null ? 0 : clock.now() - this.#askedAt;
      if (silentMs > SILENT_MS) {
        const text = `etcd at ${this.address} has been silent for ${Math.round(silentMs)} ms`;
        this.fail(new WeftError("unavailable", text, { reason: "ETCD_SILENT" }));
        return;
      }
      this.askProgress();
      this.#ping();
    });
  }

  async #beat(): Promise<void> {
    this.#beating = true;
    try {
      const metadata = { ...this.#metadata, ...NEEDS_LEADER };
      const { signal } = this.#abort;
      for await (const { ID, TTL } of this.#leases.leaseKeepAlive(this.#beats, { signal, metadata })) {
        const waiting = this.#beaten.get(ID) ?? [];
        this.#beaten.delete(ID);
        for (const { resolve } of waiting) resolve(Number(TTL));
      }
      this.fail(new WeftError("unavailable", `etcd at ${this.address} ended keep-alives`, { reason: "LEASES_ENDED" }));
    } catch (thrown) {
      this.fail(toWeftError(thrown));
    }
  }
}

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: WeftError): void;
}

function closed(): WeftError {
  return new WeftError("unavailable", "the connection to etcd was closed", { reason: "ETCD_CLOSED" });
}

/** A server that is cut off from the others ends the stream, and another one is asked. */
const NEEDS_LEADER = { hasleader: "true" };
/** Of one call to one server. */
const CALL_MS = 3_000;
/** A thousand endpoints may register at once. */
const MAX_WAITING = 100_000;
const PING_MS = 1_000;
const SILENT_MS = 2_500;
/** A listing's page, or the changes that a watch has to catch up with. */
const MAX_MESSAGE_BYTES = 33_554_432;
