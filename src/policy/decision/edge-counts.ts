import { grown } from "../../core/grown.ts";
import { isServerFault } from "../../core/grpc-status.ts";
import { LATENCY_BUCKETS, latencyBucket } from "../../core/latency-buckets.ts";

/**
 * Calls of this process by the backend (service and version) that they went to: an edge of the system's topology each. Flat arrays by the edge's number, so that
 * counting a call is a few additions; an edge is found by the slot of the call's endpoint. Measured in a call (bench/policy.ts): 65 to 90 ns.
 *
 *     slot of the endpoint -> edge -> calls[edge] errors[edge] secure[edge] attempts[edge] latency[edge x 93 + bucket]
 *
 * At most MAX_EDGES edges are kept, since names of services may come from callers; what would be one more is not counted.
 */
export class EdgeCounts {
  readonly services: string[] = [];
  readonly versions: string[] = [];
  calls = new Float64Array(CAPACITY);
  /** Of the calls: HTTP 5xx; gRPC unknown, deadline exceeded, internal, unavailable, data loss. */
  errors = new Float64Array(CAPACITY);
  /** Of the calls: those over mutual TLS. */
  secure = new Float64Array(CAPACITY);
  attempts = new Float64Array(CAPACITY);
  /** Durations of calls whose end says something of them (core/latency-buckets.ts). */
  latency = new Float64Array(CAPACITY * LATENCY_BUCKETS);
  #ofSlot = new Int32Array(CAPACITY).fill(-1);
  readonly #ofName = new Map<string, number>();

  get size(): number {
    return this.services.length;
  }

  /** The edge to a backend, made when it is first asked for; -1 when there are too many. */
  edge(service: string, version: string): number {
    const key = version === "" ? service : `${service}@${version}`;
    const known = this.#ofName.get(key);
    if (known !== undefined) return known;
    const edge = this.services.length;
    if (edge >= MAX_EDGES) return -1;
    if (edge >= this.calls.length) this.#grow();
    this.services.push(service);
    this.versions.push(version);
    this.#ofName.set(key, edge);
    return edge;
  }

  /** The edge to the endpoint that has this slot of the endpoint table now. */
  edgeOfSlot(slot: number, service: string, version: string): number {
    if (slot >= this.#ofSlot.length) {
      const size = Math.max(slot + 1, this.#ofSlot.length * 2);
      this.#ofSlot = grown(this.#ofSlot, new Int32Array(size).fill(-1));
    }
    const edge = this.#ofSlot[slot];
    // A slot may have been given to another endpoint.
    if (edge >= 0 && this.services[edge] === service && this.versions[edge] === version) return edge;
    return (this.#ofSlot[slot] = this.edge(service, version));
  }

  /** Counts a call that is over. `durationMs` below 0: it says nothing (a stream, a session). `grpcStatus` -1: it was not gRPC. */
  count(edge: number, status: number, grpcStatus: number, attempts: number, secure: boolean, durationMs: number): void {
    if (edge < 0) return;
    this.calls[edge]++;
    this.attempts[edge] += attempts;
    if (status >= 500 || isServerFault(grpcStatus)) this.errors[edge]++;
    if (secure) this.secure[edge]++;
    if (durationMs >= 0) this.latency[edge * LATENCY_BUCKETS + latencyBucket(durationMs)]++;
  }

  #grow(): void {
    const size = this.calls.length * 2;
    this.calls = grown(this.calls, new Float64Array(size));
    this.errors = grown(this.errors, new Float64Array(size));
    this.secure = grown(this.secure, new Float64Array(size));
    this.attempts = grown(this.attempts, new Float64Array(size));
    this.latency = grown(this.latency, new Float64Array(size * LATENCY_BUCKETS));
  }
}

const CAPACITY = 8;
const MAX_EDGES = 4_096;
