import { randomBytes } from "node:crypto";
import type { CompareSchema } from "../../contract/gen/etcdserverpb/rpc.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { InTurn } from "../../core/in-turn.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import { systemRandom } from "../../core/random.ts";
import { type EndpointValue, encodeEndpointValue, visibleOf } from "../../registry/endpoint-value.ts";
import type { EndpointRecord } from "../../registry/endpoint-view.ts";
import type {
  ConsistencyMode,
  EndpointDelta,
  EndpointList,
  HealthSource,
  Lease,
  Registry,
  Watch,
} from "../../registry/registry.ts";
import { leaseOver, registryClosed } from "../../registry/registry-errors.ts";
import { assertEndpoint, assertHealth, assertServiceName, assertTtl } from "../../registry/validate.ts";
import type { RegistryDriverOptions } from "../driver-options.ts";
import { EtcdClient } from "./etcd-client.ts";
import { EtcdKeys, encodeRemoval } from "./etcd-keys.ts";
import { EtcdLease } from "./etcd-lease.ts";
import { EtcdMirror, type Found } from "./etcd-mirror.ts";
import { EtcdPut, foundOf, grant, isAt } from "./etcd-put.ts";
import type { EtcdSession } from "./etcd-session.ts";
import { parseEtcdUrl } from "./etcd-url.ts";

/**
 * Endpoints in an etcd (3.4 and later), which several control planes may share: what one registers all see. Leases are etcd's. Without etcd what is known stays in
 * use, and nothing can be registered; when it is back, whatever it lost of what is in use here is put there again.
 *
 * Rejects `unavailable` when no server answers in time, `unauthenticated` when the login is refused, `invalid_argument` for a url that is none.
 */
export async function openEtcdRegistry(options: RegistryDriverOptions): Promise<Registry> {
  return openOrClose(new EtcdRegistry(options), (registry) => registry.opened(options.openTimeoutMs ?? 10_000));
}

export class EtcdRegistry implements Registry {
  readonly mode: ConsistencyMode;
  readonly #clock: Clock;
  readonly #keys: EtcdKeys;
  readonly #client: EtcdClient;
  readonly #mirror: EtcdMirror;
  readonly #onError: (error: WeftError) => void;
  /** The newest registration of each id here. */
  readonly #leases = new Map<string, EtcdLease>();
  /** What changes one endpoint is done one after the other. */
  readonly #turns = new InTurn();
  #givingUp = false;
  /** Since when no server is reached. */
  #lostAt: number | null = null;
  #closed = false;

  constructor({ url, system, clock = systemClock, random = systemRandom, ...told }: RegistryDriverOptions) {
    this.mode = told.mode ?? "available";
    const target = parseEtcdUrl(url);
    assertServiceName(system, "system");
    this.#clock = clock;
    this.#onError = told.onError ?? ignore;
    this.#keys = new EtcdKeys(target.prefix, system);
    this.#mirror = new EtcdMirror({
      keys: this.#keys,
      clock,
      isOurs: (record) => this.#leaseOf(record) !== null,
      onLost: (records, removed) => {
        for (const record of records) {
          const lease = this.#leaseOf(record);
          // In the mode "consistent" what was removed stays so until its owner says otherwise.
          if (removed && this.mode === "consistent" && lease !== null) {
            lease.over = "expired";
            this.#leases.delete(lease.id);
          } else this.#restoreSoon(lease);
        }
      },
      onGivenUp: (ids) => void this.#giveUp(ids),
      onError: this.#onError,
    });
    this.#client = new EtcdClient({
      target,
      clock,
      random,
      onSession: (session) => this.#follow(session),
      onChange: (lost) => {
        this.#lostAt = lost === null ? null : (this.#lostAt ?? clock.now());
        if (lost === null) told.onRecovered?.();
        else this.#onError(away(lost));
      },
    });
  }

  /** Resolves when everything in etcd is known here. */
  async opened(timeoutMs: number): Promise<void> {
    await this.#client.call(async () => {}, timeoutMs);
  }

  async register(endpoint: Endpoint, ttlMs: number): Promise<Lease> {
    this.#assertOpen();
    assertEndpoint(endpoint);
    assertTtl(ttlMs);
    const copy = Object.freeze({ ...endpoint, metadata: Object.freeze({ ...endpoint.metadata }) });
    const value: EndpointValue = { endpoint: copy, check: "healthy", owner: randomBytes(8).toString("hex"), ttlMs };
    return this.#turns.take(endpoint.id, async () => {
      const lease = new EtcdLease(this, value, this.#clock.now());
      const key = this.#keys.endpoint(endpoint.id);
      const known = this.#mirror.view.get(endpoint.id);
      const at = known === undefined || known.heldUntil !== null ? 0 : known.revision;
      const put = new EtcdPut({ key, value, at, certain: this.mode === "consistent" });
      const { revision, leaseId, earlier } = await this.#client.write((session) => put.attempt(session));
      lease.leaseId = leaseId;
      const old = this.#leases.get(endpoint.id);
      this.#leases.set(endpoint.id, lease);
      if (earlier !== 0n) this.#revoke(earlier);
      await this.#mirror.reached(revision);
      // Not before its caller hears of the new one: renewals of the old one may be under way, whose refusal would be taken for another owner.
      if (old !== undefined) old.over ??= "replaced";
      return lease;
    });
  }

  async query(services: readonly string[]): Promise<EndpointList> {
    this.#assertOpen();
    const { view } = this.#mirror;
    if (this.mode === "consistent" && services.length > 0) {
      const { found } = await this.#client.call((session) => this.#mirror.read(session)).catch(notConfirmed);
      const all = services.includes("*");
      const endpoints = Array.from(found.values(), ({ value }) => visibleOf(value));
      const wanted = endpoints.filter(({ service }) => all || services.includes(service));
      return { endpointVersion: view.version, staleMs: 0, endpoints: wanted };
    }
    const staleMs = this.#lostAt === null ? 0 : this.#clock.now() - this.#lostAt;
    return { endpointVersion: view.version, staleMs, endpoints: view.list(services) };
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    this.#assertOpen();
    return this.#mirror.watch(services, listener);
  }

  async setHealth(id: string, health: Health, _reason: string, by: HealthSource = "owner"): Promise<void> {
    this.#assertOpen();
    assertHealth(health);
    await this.#turns.take(id, async () => {
      const known = this.#mirror.view.get(id);
      const changed = (value: EndpointValue): EndpointValue | null => {
        if (by === "check") return value.check === health ? null : { ...value, check: health };
        return value.endpoint.health === health ? null : { ...value, endpoint: { ...value.endpoint, health } };
      };
      let at: Found | null = known === undefined || known.heldUntil !== null ? await this.#find(id) : known;
      while (at !== null) {
        const value = changed(at.value);
        if (value === null) return;
        const key = this.#keys.endpoint(id);
        const change = { key, value: encodeEndpointValue(value), ignoreLease: true };
        const done = await this.#change([isAt(key, at.revision)], [{ case: "requestPut", value: change }]);
        if (done) return;
        at = await this.#find(id);
      }
      throw new WeftError("not_found", `no endpoint "${id}" is registered`, { reason: "UNKNOWN_ENDPOINT" });
    });
  }

  async renew(lease: EtcdLease): Promise<void> {
    this.#assertOpen();
    const record = this.#mirror.view.get(lease.id);
    const present = record !== undefined && record.heldUntil === null;
    if (lease.over === null && present && record.value.owner !== lease.value.owner) lease.over = "replaced";
    if (lease.over !== null) throw leaseOver(lease.id, lease.over === "replaced" ? "replaced" : "expired");
    const now = this.#clock.now();
    const inTime = lease.isInUse(now);
    if (inTime) lease.askedAt = now;
    const { leaseId } = lease;
    const left =
      leaseId === 0n || !present ? Number(present) : await this.#client.call((session) => session.keepAlive(leaseId));
    if (lease.over !== null) throw leaseOver(lease.id, lease.over === "replaced" ? "replaced" : "expired");
    // Renewals may wait for etcd, and end in another order than they began.
    if (left > 0) lease.askedAt = Math.max(lease.askedAt, now);
    else if (inTime) await this.#restore(lease);
    else {
      // Its owner was away for longer than it had.
      const there = await this.#find(lease.id);
      lease.over = there === null || there.value.owner === lease.value.owner ? "expired" : "replaced";
    }
    if (lease.over !== null) throw leaseOver(lease.id, lease.over === "replaced" ? "replaced" : "expired");
  }

  async release(lease: EtcdLease): Promise<void> {
    if (lease.over !== null) return;
    this.#assertOpen();
    lease.over = "released"; // from now on it is not put there again
    const { id, value } = lease;
    if (this.#leases.get(id) === lease) this.#leases.delete(id);
    await this.#turns.take(id, async () => {
      const key = this.#keys.endpoint(id);
      const mark = { case: "requestPut" as const, value: { key: this.#keys.removed, value: removal(id) } };
      const known = this.#mirror.view.get(id);
      if (known?.heldUntil !== null && known?.value.owner === value.owner) {
        if (await this.#change([isAt(key, 0)], [mark])) return;
      }
      let at: Found | null = known === undefined || known.heldUntil !== null ? await this.#find(id) : known;
      while (at !== null && at.value.owner === value.owner) {
        const done = await this.#change(
          [isAt(key, at.revision)],
          [{ case: "requestDeleteRange", value: { key } }, mark],
        );
        if (done) break;
        at = await this.#find(id);
      }
    });
    if (lease.leaseId !== 0n) this.#revoke(lease.leaseId);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.close();
    this.#mirror.close();
  }

  async #follow(session: EtcdSession): Promise<void> {
    // First, so that no lease ends that waited for etcd to come back.
    const now = this.#clock.now();
    for (const lease of this.#leases.values()) {
      if (lease.leaseId !== 0n && lease.isInUse(now)) session.keepAlive(lease.leaseId).catch(ignore);
    }
    await this.#mirror.follow(session);
  }

  /** The registration here of an endpoint whose key is gone, if it is in use; if not, it is over. */
  #leaseOf({ value }: EndpointRecord): EtcdLease | null {
    const lease = this.#leases.get(value.endpoint.id);
    if (lease === undefined || lease.value.owner !== value.owner) return null;
    if (lease.isInUse(this.#clock.now())) return lease;
    lease.over ??= "expired";
    this.#leases.delete(lease.id);
    return null;
  }

  #restoreSoon(lease: EtcdLease | null): void {
    if (lease === null) return;
    this.#restore(lease).catch(ignore); // its next renewal does it, or tells its owner why not
  }

  /** Puts an endpoint back whose lease ended though it was renewed in time. */
  #restore(lease: EtcdLease): Promise<void> {
    return this.#turns.take(lease.id, async () => {
      const known = this.#mirror.view.get(lease.id);
      if (lease.over !== null || (known?.heldUntil === null && known.value.owner === lease.value.owner)) return;
      const value = known?.value.owner === lease.value.owner ? known.value : lease.value;
      const key = this.#keys.endpoint(lease.id);
      const { there, revision, leaseId } = await this.#client.write(async (session) => {
        const leaseId = await grant(session, lease.ttlMs);
        const put = { key, value: encodeEndpointValue(value), lease: leaseId };
        const { succeeded, responses, header } = await session.kv.txn({
          compare: [isAt(key, 0)],
          success: [{ request: { case: "requestPut", value: put } }],
          failure: [{ request: { case: "requestRange", value: { key } } }],
        });
        if (succeeded) return { there: null, leaseId, revision: header?.revision ?? 0n };
        const { response } = responses[0];
        return { there: response.case === "responseRange" ? response.value.kvs[0] : null, leaseId, revision: 0n };
      });
      if (there === null) lease.leaseId = leaseId;
      else {
        this.#revoke(leaseId);
        if (foundOf(there)?.value.owner === lease.value.owner) lease.leaseId = there.lease;
        else lease.over = "replaced";
      }
      await this.#mirror.reached(revision);
    });
  }

  /** Tells everybody that nobody has put these there again; what is there has no need of it. */
  async #giveUp(ids: readonly string[]): Promise<void> {
    if (this.#givingUp || this.#closed) return;
    this.#givingUp = true;
    try {
      for (const id of ids) {
        const record = this.#mirror.view.get(id);
        if (record === undefined || record.heldUntil === null || this.#leaseOf(record) !== null) continue;
        const value = { key: this.#keys.removed, value: removal(id, "lease expired") };
        await this.#change([isAt(this.#keys.endpoint(id), 0)], [{ case: "requestPut", value }]);
      }
    } catch (thrown) {
      if (!this.#closed && !this.#client.lost) this.#onError(toWeftError(thrown));
    } finally {
      this.#givingUp = false;
    }
  }

  /** False: what it was to be compared with is not so any more. */
  async #change(compare: MessageInitShape<typeof CompareSchema>[], changes: Change[]): Promise<boolean> {
    const success = changes.map((request) => ({ request }));
    const { succeeded, header } = await this.#client.write((session) => session.kv.txn({ compare, success }));
    if (succeeded) await this.#mirror.reached(header?.revision ?? 0n);
    return succeeded;
  }

  async #find(id: string): Promise<Found | null> {
    const { kvs } = await this.#client.write((session) => session.kv.range({ key: this.#keys.endpoint(id) }));
    return kvs.length === 0 ? null : foundOf(kvs[0]);
  }

  #revoke(id: bigint): void {
    this.#client.write((session) => session.lease.leaseRevoke({ ID: id })).catch(ignore); // then it runs out
  }

  #assertOpen(): void {
    if (this.#closed) throw registryClosed();
  }
}

type Change =
  | { case: "requestPut"; value: { key: Uint8Array; value: Uint8Array; ignoreLease?: boolean } }
  | { case: "requestDeleteRange"; value: { key: Uint8Array } };

function removal(id: string, reason = "released"): Uint8Array {
  return encodeRemoval({ ids: [id], reason });
}

function away(cause: WeftError): WeftError {
  const text = `no etcd answers, and what is known stays in use: ${cause.message}`;
  return new WeftError("unavailable", text, { reason: "REGISTRY_AWAY", cause });
}

function notConfirmed(thrown: unknown): never {
  const cause = toWeftError(thrown);
  if (cause.code !== "unavailable" || cause.reason === "REGISTRY_CLOSED") throw cause;
  const text = `what etcd holds cannot be confirmed, and an older answer was not wanted: ${cause.message}`;
  throw new WeftError("unavailable", text, { reason: "NOT_CONFIRMED", retryable: true, cause });
}

function ignore(): void {}
