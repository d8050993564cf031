import { Agent, request } from "node:http";
import { createDirectClient } from "../../src/call/direct.ts";
import { KV, Lease } from "../../src/contract/gen/etcdserverpb/rpc.ts";
import { type BareLine, type Lines, openLines } from "./lines.ts";
import { type Asked, CONNECTIONS, type Done, SERVICES } from "./work.ts";

/**
 * Whoever asks registries, in a process of its own. It is told one piece of work after the other, and says what came of each; lines to weft's control plane stay open in
 * between, with their leases.
 */
let open: Lines | null = null;
/** Between what is asked: lines that say nothing are ended. */
const idle = setInterval(() => {
  for (const line of open?.lines ?? [])
    line.ask((requestId) => ({ case: "heartbeat", value: { requestId } })).catch(() => {});
}, 5_000);

process.on("message", (asked: Asked) => {
  void (async () => {
    const began = performance.now();
    const latencies = await work(asked);
    process.send?.({ ms: performance.now() - began, latencies } satisfies Done);
  })().catch((error) =>
    process.send?.({ failure: error instanceof Error ? (error.stack ?? "") : String(error) } satisfies Done),
  );
});

async function work(asked: Asked): Promise<number[]> {
  switch (asked.kind) {
    case "weft":
      open ??= await openLines(asked.address, CONNECTIONS, 1);
      await each(asked.count, CONNECTIONS * asked.inFlight, (n) =>
        registerAtWeft(open!.lines[n % CONNECTIONS], asked.from + n),
      );
      return [];
    case "etcd":
      return registerAtEtcd(asked.address, asked.count, asked.from);
    case "consul":
      return registerAtConsul(asked.address, asked.count, asked.from);
    case "subscribe": {
      const { lines } = (open = await openLines(asked.address, CONNECTIONS, asked.each));
      await Promise.all(
        lines.map((line) =>
          line.ask((requestId) => ({ case: "subscribe", value: { requestId, services: [{ name: "service-0" }] } })),
        ),
      );
      return [];
    }
    case "hear":
      return hear(asked.port);
    case "beat":
      await beat(asked.seconds);
      return [];
    case "close":
      await open?.close();
      open = null;
      return [];
  }
}

/** `count` pieces of work, so many of them at once. */
async function each(count: number, atOnce: number, body: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await body(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, one));
}

function registerAtWeft(line: BareLine, n: number): Promise<void> {
  const endpoint = {
    id: `i-${n}`,
    service: `service-${n % SERVICES}`,
    host: "10.0.0.1",
    port: 1 + (n % 60_000),
    version: "v1",
    zone: "a",
    metadata: { "weft.health-check": "ttl" },
  };
  return line.ask((requestId) => ({ case: "register", value: { requestId, endpoint, ttlMs: 30_000 } }));
}

/** A lease of its own and a key for each, as etcd's own resolvers do. */
async function registerAtEtcd(address: string, count: number, from: number): Promise<number[]> {
  const leases = Array.from({ length: CONNECTIONS }, () => createDirectClient(Lease, address, {}));
  const keys = Array.from({ length: CONNECTIONS }, () => createDirectClient(KV, address, {}));
  try {
    await each(count, CONNECTIONS, async (n) => {
      const { ID } = await leases[n % CONNECTIONS].client.leaseGrant({ TTL: 30n });
      const key = Buffer.from(`/bench/service-${(from + n) % SERVICES}/i-${from + n}`);
      const value = Buffer.from(JSON.stringify({ host: "10.0.0.1", port: 1 + (n % 60_000), version: "v1", zone: "a" }));
      await keys[n % CONNECTIONS].client.put({ key, value, lease: ID });
    });
  } finally {
    await Promise.all([...leases, ...keys].map(({ close }) => close()));
  }
  return [];
}

/** At the catalog, which is a good deal faster than at the agent. */
async function registerAtConsul(address: string, count: number, from: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const [host, port] = address.split(":");
  const headers = { "content-type": "application/json" };
  const path = "/v1/catalog/register";
  await each(count, CONNECTIONS, (n) => {
    const ID = `i-${from + n}`;
    const Service = `service-${(from + n) % SERVICES}`;
    const Meta = { version: "v1", zone: "a" };
    const body = JSON.stringify({
      Node: `node-${n % CONNECTIONS}`,
      Address: "10.0.0.1",
      SkipNodeUpdate: true,
      Service: { ID, Service, Address: "10.0.0.1", Port: 1 + (n % 60_000), Meta },
    });
    return new Promise((resolve, reject) => {
      const sent = request({ host, port, agent, method: "PUT", path, headers }, (answer) => {
        answer.resume();
        answer.on("end", () =>
          answer.statusCode === 200 ? resolve() : reject(new Error(`Consul answered ${answer.statusCode}`)),
        );
      });
      sent.on("error", reject);
      sent.end(body);
    });
  });
  agent.destroy();
  return [];
}

/** When each subscriber has heard of a port, ms after the first thing that anybody is told. */
function hear(port: number): Promise<number[]> {
  const lines = open?.lines ?? [];
  return new Promise((resolve) => {
    const heard: number[] = [];
    for (const line of lines)
      line.onService = (endpoints) => {
        if (!endpoints.some((endpoint) => endpoint.port === port)) return;
        line.onService = () => {};
        heard.push(Date.now());
        if (heard.length === lines.length) resolve(heard);
      };
    process.send?.({ ready: true } satisfies Done);
  });
}

/** One message of each line every ten seconds, spread. */
async function beat(seconds: number): Promise<void> {
  clearInterval(idle);
  const lines = open?.lines ?? [];
  const ends = performance.now() + seconds * 1_000;
  for (let n = 0; performance.now() < ends; n++) {
    await lines[n % lines.length].ask((requestId) => ({ case: "heartbeat", value: { requestId } }));
    await new Promise((resolve) => setTimeout(resolve, BEAT_MS / lines.length));
  }
}

const BEAT_MS = 10_000;
