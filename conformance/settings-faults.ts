import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { createDirectClient, type DirectClient } from "../src/call/direct.ts";
import { Admin } from "../src/contract/gen/weft/control/v1/control.ts";
import { type ControlPlane, startControlPlane } from "../src/control/control-plane.ts";
import { type Clock, systemClock } from "../src/core/clock.ts";
import type { Registry } from "../src/registry/registry.ts";
import type { KeyValue } from "../src/settings/key-value.ts";
import { HurtLine } from "./hurt-line.ts";
import { LINE_FAULTS } from "./line-faults.ts";
import { LiveProcess } from "./live-process.ts";
import type { HurtableServer } from "./registry-faults.ts";
import { succeeds, timeUntil, wait } from "./registry-plane.ts";

export interface SettingsFaultsOptions {
  server: () => Promise<HurtableServer>;
  /** Of a system named "settings", by way of an address. */
  openStore: (address: string, clock: Clock) => Promise<KeyValue>;
  openRegistry: (address: string, clock: Clock) => Promise<Registry>;
}

/**
 * Two control planes over one real store, a process at each that uses live settings, and an endpoint that both know, while the store is hurt. Each test says how long it takes, from the store's recovery, until what is
 * published at one control plane is the live value at both processes, and what either of them registers is known to the other (at most 5 s), and holds that no process ever was without a value, or without an
 * endpoint that is there.
 */
export function settingsFaults(name: string, { server: start, openStore, openRegistry }: SettingsFaultsOptions): void {
  let server: HurtableServer;
  let line: HurtLine;
  const planes: ControlPlane[] = [];
  const admins: DirectClient<typeof Admin>[] = [];
  const processes: LiveProcess[] = [];
  let value = 0;
  let registered = 0;
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
    for (const { address } of planes) processes.push(await LiveProcess.start(address, 3_000, processes.length === 0));
    for (const each of processes) await timeUntil(() => each.sees("alpha"), "the endpoint");
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
      () => succeeds(admins[1].client.publishSettings({ changes: [set] }, { timeoutMs: 5_000, metadata })),
      "a publication",
      10_000,
    );
  };

  /** How long it takes from before a publication until both processes have it, ms. */
  const live = async (): Promise<number> => {
    const began = performance.now();
    await publish();
    await timeUntil(() => processes.every(({ limit }) => limit === value), "the value at both processes", 10_000);
    return Math.round(performance.now() - began);
  };

  /** How long it takes until each process knows what the other one registers now, ms. */
  const endpoints = async (): Promise<number> => {
    const began = performance.now();
    const [one, other] = processes;
    const services = [`one-${++registered}`, `other-${registered}`];
    await Promise.all([one.follow(services[1]), other.follow(services[0])]);
    await Promise.all([one.register(services[0]), other.register(services[1])]);
    const known = (): boolean => one.sees(services[1]) && other.sees(services[0]);
    await timeUntil(known, "each what the other one registered", 10_000);
    return Math.round(performance.now() - began);
  };

  const recovered = async (what: string): Promise<void> => {
    const [settingsMs, endpointsMs] = await Promise.all([live(), endpoints()]);
    console.log(
      `measured ${name}, live settings, ${what}: right again ${settingsMs} ms after recovery, endpoints after ${endpointsMs} ms`,
    );
    assert.ok(Math.max(settingsMs, endpointsMs) < 5_000, `${settingsMs} ms, endpoints ${endpointsMs} ms`);
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
    console.log(`measured ${name}, live settings, over 200 ms each way: published and live in ${await live()} ms`);
    line.delayMs = 0;
  });

  for (const [what, hurt] of Object.entries(LINE_FAULTS)) fault(what, () => hurt(line));

  for (const ms of [3_600_000, -3_600_000])
    fault(`our clocks jump an hour ${ms > 0 ? "forth" : "back"}`, async () => {
      jumpMs = ms;
      await wait(4_000);
    });

  test(`${name}, live settings: nothing that is renewed leaves afterwards`, async () => {
    await wait(5_000);
    for (const { went } of processes) assert.deepEqual(went, []);
    for (let number = 1; number <= registered; number++) {
      assert.ok(processes[0].sees(`other-${number}`), `other-${number}`);
      assert.ok(processes[1].sees(`one-${number}`), `one-${number}`);
    }
  });
}

const OPERATOR = randomBytes(32).toString("base64");
const metadata = { authorization: `Bearer ${OPERATOR}` };
