import { createDirectClient } from "../src/call/direct.ts";
import { AggregatedDiscoveryService } from "../src/contract/gen/envoy/service/discovery/v3/ads.ts";
import type { DeltaDiscoveryRequestSchema } from "../src/contract/gen/envoy/service/discovery/v3/discovery.ts";
import type { MessageInitShape } from "../src/contract/runtime.ts";
import { startControlPlane } from "../src/control/control-plane.ts";
import { CLUSTER, ENDPOINTS } from "../src/control/xds/types.ts";
import type { Endpoint } from "../src/core/endpoint.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";

type Request = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;

/**
 * Data planes that each hold 1,000 services with 10,000 endpoints, while endpoints change: how long a change takes to all of them, ms. Both sides run in this process.
 * WEFT_XDS_PLANES (default 50) of them.
 */
export async function changeLatencies(planes = Number(process.env.WEFT_XDS_PLANES ?? 50)): Promise<readonly number[]> {
  const registry = createMemoryRegistry();
  const endpoint = (service: number, n: number, port: number): Endpoint => ({
    id: `s${service}-${n}`,
    service: `s${service}`,
    host: "127.0.0.1",
    port,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
  });
  const control = await startControlPlane({ registry, system: "shop", health: { defaults: { kind: "ttl" } } });
  for (let s = 0; s < SERVICES; s++) {
    for (let n = 0; n < 10; n++) await registry.register(endpoint(s, n, 1_000 + n), 3_600_000);
  }
  const clients: Plane[] = [];
  try {
    // One after the other: for all at once this process, which is both sides, would say nothing to the last of them for seconds.
    for (let i = 0; i < planes; i++) {
      const client = new Plane(control.address, `plane-${i}`);
      clients.push(client);
      await client.ready.promise;
    }
    const latencies: number[] = [];
    for (let i = 0; i < CHANGES; i++) {
      const told = clients.map((client) => client.next());
      const began = performance.now();
      await registry.register(endpoint(i, 0, 20_000 + i), 3_600_000);
      latencies.push(...(await Promise.all(told)).map((at) => at - began));
    }
    return latencies.sort((a, b) => a - b);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await control.stop();
  }
}

const SERVICES = 1_000;
/** So many that one of them is less than a hundredth of all. */
const CHANGES = 150;

/** A sidecar by delta: all clusters, and the endpoints of each. */
class Plane {
  readonly ready = Promise.withResolvers<void>();
  readonly #direct;
  readonly #queue: Request[] = [];
  #wake: () => void = () => {};
  #told: (at: number) => void = () => {};
  #closed = false;

  constructor(address: string, id: string) {
    this.#direct = createDirectClient(AggregatedDiscoveryService, address);
    this.#send({
      node: { id, cluster: "s0", metadata: { weft: { role: "sidecar", outbound: 15_001 } } },
      typeUrl: CLUSTER,
    });
    this.#run().catch((error) => {
      if (!this.#closed) this.ready.reject(error);
    });
  }

  /** When the next change of endpoints arrives. */
  next(): Promise<number> {
    return new Promise((resolve) => {
      this.#told = resolve;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#direct.close();
  }

  async #run(): Promise<void> {
    const have = new Set<string>();
    for await (const { typeUrl, nonce, resources } of this.#direct.client.deltaAggregatedResources(this.#requests())) {
      this.#send({ typeUrl, responseNonce: nonce });
      const names = resources.map(({ name }) => name);
      if (typeUrl === CLUSTER) this.#send({ typeUrl: ENDPOINTS, resourceNamesSubscribe: names });
      else if (have.size >= SERVICES) this.#told(performance.now());
      else {
        for (const name of names) have.add(name);
        if (have.size >= SERVICES) this.ready.resolve();
      }
    }
  }

  #send(request: Request): void {
    this.#queue.push(request);
    this.#wake();
  }

  async *#requests(): AsyncGenerator<Request> {
    while (!this.#closed) {
      const request = this.#queue.shift();
      if (request !== undefined) yield request;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
