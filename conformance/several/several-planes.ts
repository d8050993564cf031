import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { Load } from "./load.ts";
import { asked, leaderOf, Plane, timeUntil } from "./planes.ts";
import { Publisher } from "./publisher.ts";

/** A real server whose store and registry control planes share. */
export interface SharedServer {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Three control planes over one real server, under constant load of typed services and clients that know all three, while revisions are published: each is killed, stopped, cut off from the store, restarted. No call
 * fails, processes move, what was acknowledged stays, and one leads.
 */
export function severalPlanes(
  name: string,
  server: () => Promise<SharedServer>,
  url: (address: string) => string,
): void {
  let store: SharedServer;
  let planes: Plane[] = [];
  let load: Load;
  let publisher: Publisher;

  before(async () => {
    store = await server();
    planes = await Promise.all([1, 2, 3].map(() => Plane.start(store.port, url)));
    load = await Load.start(planes.map(({ address }) => address).join(","), 3, 4);
    publisher = new Publisher(planes);
    await settled(planes);
  });

  after(async () => {
    await load?.stop();
    for (const plane of planes) await plane.close();
    await store?.stop();
  });

  /** Every process is attached to one of these, one leads, and each knows the others. */
  const settled = async (those: readonly Plane[], withinMs = 30_000): Promise<number> =>
    timeUntil(
      async () => {
        const { processes } = await asked(those, ({ admin }) => admin.listProcesses({}, { timeoutMs: 2_000 }));
        const there = new Set(those.map(({ address }) => address));
        const attached = processes.filter(({ controlPlane }) => there.has(controlPlane));
        return attached.length === load.processes && (await leaderOf(those)) !== null;
      },
      "all processes at control planes that are there",
      withinMs,
    );

  const noneFailed = (t: TestContext, what: string): void => {
    t.diagnostic(`measured ${name}: ${what}; ${load.calls} calls, slowest ${Math.round(load.slowestMs)} ms`);
    load.slowestMs = 0;
    assert.deepEqual(load.failures.splice(0).slice(0, 3), []);
  };

  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const otherThan = (plane: Plane): Plane[] => planes.filter((each) => each !== plane);

  test(`${name}: each control plane is killed in turn`, async (t) => {
    for (const plane of planes) {
      const led = (await leaderOf(planes)) === plane;
      await plane.end("SIGKILL");
      const others = otherThan(plane);
      const movedMs = await settled(others);
      await plane.start();
      await wait(2_500);
      noneFailed(
        t,
        `killed${led ? " while it led, another one leads" : ""}, its processes are elsewhere within ${seconds(movedMs)}`,
      );
    }
  });

  test(`${name}: the one that leads is stopped for 20 s`, async (t) => {
    const leader = (await leaderOf(planes)) ?? planes[0];
    leader.pause();
    const others = otherThan(leader);
    const takenMs = await timeUntil(async () => (await leaderOf(others)) !== null, "another leader", 30_000);
    const movedMs = takenMs + (await settled(others));
    await wait(Math.max(0, 20_000 - movedMs));
    leader.resume();
    await settled(planes);
    await wait(3_000);
    noneFailed(
      t,
      `stopped 20 s: another one leads after ${seconds(takenMs)}, processes are elsewhere within ${seconds(movedMs)}`,
    );
  });

  test(`${name}: the one that leads is cut off from the store for 20 s`, async (t) => {
    const leader = (await leaderOf(planes)) ?? planes[0];
    leader.line.silent = true;
    const others = otherThan(leader);
    const takenMs = await timeUntil(async () => (await leaderOf(others)) !== null, "another leader", 30_000);
    assert.equal(await leaderOf([leader]), null, "it stopped before");
    await wait(Math.max(0, 20_000 - takenMs));
    leader.line.silent = false;
    leader.line.reset();
    const rightMs = await settled(planes);
    await wait(3_000);
    noneFailed(
      t,
      `cut off 20 s: another one leads after ${seconds(takenMs)}; all right again within ${seconds(rightMs)}`,
    );
  });

  test(`${name}: all are restarted, one after the other`, async (t) => {
    for (const plane of planes) {
      await plane.end("SIGTERM");
      const movedMs = await settled(otherThan(plane));
      await plane.start();
      await wait(2_500);
      noneFailed(t, `restarted, its processes are elsewhere within ${seconds(movedMs)}`);
    }
  });

  test(`${name}: what was acknowledged is there`, async (t) => {
    const { acknowledged, refused } = publisher;
    await publisher.check();
    t.diagnostic(
      `measured ${name}: ${acknowledged} publications were acknowledged, none is lost; ${refused} were not acknowledged`,
    );
    assert.ok(acknowledged > 50);
    const services = await asked(planes, ({ admin }) => admin.listServices({ services: ["counter"] }));
    assert.equal(services.services[0]?.endpoints.length, 3);
  });
}
