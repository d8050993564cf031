import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { createDirectClient, type DirectClient } from "../src/call/direct.ts";
import { Admin } from "../src/contract/gen/weft/control/v1/control.ts";
import { type ControlPlane, startControlPlane } from "../src/control/control-plane.ts";
import { type Clock, systemClock } from "../src/core/clock.ts";
import { endpointOf } from "../src/registry/registry.case.ts";
import type { Registry } from "../src/registry/registry.ts";
import { createRuntime, type Runtime } from "../src/service/runtime.ts";
import { settings } from "../src/service/settings/settings.ts";
import type { KeyValue } from "../src/settings/key-value.ts";
import { HurtLine } from "./hurt-line.ts";
import type { HurtableServer } from "./registry-faults.ts";
import { timeUntil, wait } from "./registry-plane.ts";

export interface SettingsFaultsOptions {
  server: () => Promise<HurtableServer>;
  /** Of a system named "settings", by way of an address. */
  openStore: (address: string, clock: Clock) => Promise<KeyValue>;
  openRegistry: (address: string, clock: Clock) => Promise<Registry>;
}

/**
 * Two control planes over one real store, a process at each that uses live settings, and an endpoint that both know, while the store is hurt. Each test says how long it takes, from the store's recovery, until what is
 * published at one control plane is the live value at both processes (at most 5 s), and holds that no process ever was without a value, or without the endpoint.
 */
export function settingsFaults(name: string, { server: start, openStore, openRegistry }: SettingsFaultsOptions): void {
  let server: HurtableServer;
  let line: HurtLine;
  const planes: ControlPlane[] = [];
  const admins: DirectClient<typeof Admin>[] = [];
  const processes: Process[] = [];
  let value = 0;
  let jumpMs = 0;
  const clock: Clock = { ...systemClock, wallMs: () => Date.now() + jumpMs };

  before(async () => {
    server = await start();
    line = await HurtLine.open(server.port);
    for (const address of [server.address, line.address]) {
      const plane = await startControlPlane({
        registry: await openRegistry(address, clock),
        store: await openStore(address, clock),
        shared: true,
        system: "settings",
        defaultTtlMs: 3_000,
        health: { defaults: { kind: "ttl" } },
        identity: { operatorToken: OPERATOR },
        clock,
      });
      planes.push(plane);
      admins.push(createDirectClient(Admin, plane.address));
    }
    await publish();
    await timeUntil(() => planes.every(({ revision }) => revision === 1), "the first revision at both");
    for (const { address } of planes) processes.push(await Process.start(address, processes.length === 0));
    for (const each of processes) await timeUntil(() => each.sees, "the endpoint");
  });

  after(async () => {
    for (const each of processes) await each.close();
    for (const admin of admins) await admin.close();
    for (const plane of planes) await plane.stop();
    await line?.close();
    await server?.stop();
  });

  /** At the control plane that is cut off and slowed. */
  const publish = async (): Promise<void> => {
    const set = { namespace: "orders", change: { case: "set" as const, value: { key: "limit", json: `${++value}` } } };
    await timeUntil(
      () =>
        admins[1].client.publishSettings({ changes: [set] }, { timeoutMs: 5_000, metadata }).then(
          () => true,
          () => false,
        ),
      "a publication",
      10_000,
    );
  };

  const recovered = async (what: string): Promise<void> => {
    const began = performance.now();
    await publish();
    await timeUntil(() => processes.every(({ limit }) => limit === value), "the value at both processes", 10_000);
    const took = Math.round(performance.now() - began);
    console.log(`measured ${name}, live settings, ${what}: right again ${took} ms after recovery`);
    assert.ok(took < 5_000, `${took} ms`);
    for (const { went } of processes) assert.deepEqual(went, [], "something that was in use went away");
  };

  const fault = (what: string, body: () => Promise<void>): void => {
    test(`${name}, live settings: ${what}`, async () => {
      await body();
      await recovered(what);
    });
  };

  fault("killed and started again after 2 s", async () => {
    await server.kill();
    await wait(2_000);
    await server.start();
  });

  fault("paused for 30 s", async () => {
    server.pause();
    await wait(30_000);
    server.resume();
  });

  fault("its data lost", async () => {
    await server.kill();
    await server.lose();
    await server.start();
  });

  fault("slow: 200 ms each way", async () => {
    line.delayMs = 200;
    await wait(3_000);
  });

  fault("cut off for 10 s", async () => {
    line.delayMs = 0;
    line.refusing = true;
    line.reset();
    await wait(10_000);
    line.refusing = false;
  });

  fault("connections reset ten times", async () => {
    for (let round = 0; round < 10; round++) {
      line.reset();
      await wait(100);
    }
  });

  fault("silent without a word for 10 s", async () => {
    line.silent = true;
    await wait(10_000);
    line.silent = false;
  });

  for (const ms of [3_600_000, -3_600_000])
    fault(`our clocks jump an hour ${ms > 0 ? "forth" : "back"}`, async () => {
      jumpMs = ms;
      await wait(4_000);
    });
}

const OPERATOR = randomBytes(32).toString("base64");
const metadata = { authorization: `Bearer ${OPERATOR}` };

/** A process that uses the settings of orders, and an endpoint of alpha, which one of them registers. */
class Process {
  /** What was in use and is no more. */
  readonly went: string[] = [];
  readonly #runtime: Runtime;
  readonly #values: { readonly limit: number };
  readonly #looking: NodeJS.Timeout;

  static async start(control: string, registers: boolean): Promise<Process> {
    const runtime = createRuntime({ env: {}, control, service: "orders" });
    const values = await settings<{ limit: number }>(
      { type: "object", properties: { limit: { type: "integer" } }, required: ["limit"] },
      { runtime },
    );
    const link = runtime.link();
    assert.ok(link !== null);
    await link.subscribe("alpha");
    const { health: _, ...endpoint } = endpointOf("alpha", 1);
    if (registers) await link.register({ endpoint, contracts: [], descriptors: null, ttlMs: 3_000 });
    return new Process(runtime, values);
  }

  private constructor(runtime: Runtime, values: { readonly limit: number }) {
    this.#runtime = runtime;
    this.#values = values;
    let saw = false;
    this.#looking = setInterval(() => {
      if (saw && !this.sees) this.went.push("the endpoint");
      saw ||= this.sees;
      if (!(this.limit > 0)) this.went.push(`the value: ${this.limit}`);
    }, 2);
  }

  get limit(): number {
    return this.#values.limit;
  }

  get sees(): boolean {
    return this.#runtime.policy.describe("alpha", 0).length > 0;
  }

  async close(): Promise<void> {
    clearInterval(this.#looking);
    await this.#runtime.close();
  }
}
