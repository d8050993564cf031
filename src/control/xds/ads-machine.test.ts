import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AdsMachine, type AdsResponse } from "./ads-machine.ts";
import { CLUSTER, ENDPOINTS, LISTENER, ROUTE, type XdsReference, type XdsResource, type XdsSnapshot } from "./types.ts";

const LIMITS = { maxNames: 100, maxNameLength: 50, maxTypes: 8, settleMs: 1_000 };

function resource(typeUrl: string, name: string, version: string, needs: XdsReference[] = []): XdsResource {
  return { typeUrl, name, version, bytes: new TextEncoder().encode(`${name} ${version}`), needs };
}

function snapshot(revision: number, list: readonly XdsResource[]): XdsSnapshot {
  const resources = new Map<string, Map<string, XdsResource>>();
  for (const one of list) {
    let named = resources.get(one.typeUrl);
    if (named === undefined) resources.set(one.typeUrl, (named = new Map()));
    named.set(one.name, one);
  }
  return { revision, version: String(revision), resources };
}

const eds = (name: string): XdsReference => ({ typeUrl: ENDPOINTS, name });
const cds = (name: string): XdsReference => ({ typeUrl: CLUSTER, name });
const rds = (name: string): XdsReference => ({ typeUrl: ROUTE, name });

/** A data plane as Envoy is one: all clusters and listeners, the endpoints and routes that they name; a version that starts with "bad" is refused. */
class DataPlane {
  readonly machine: AdsMachine;
  readonly delta: boolean;
  has = new Map<string, Map<string, XdsResource>>();
  readonly #inbox: AdsResponse[] = [];
  readonly #asked = new Map<string, Set<string>>();
  readonly #nonces = new Map<string, string>();
  /** False once it was so slow that what is late was not waited for. */
  punctual = true;

  constructor(delta: boolean) {
    this.delta = delta;
    this.machine = new AdsMachine(delta, LIMITS);
  }

  start(): void {
    this.#ask(CLUSTER, [], "", null);
    this.#ask(LISTENER, [], "", null);
  }

  /** What the server has to send travels. */
  pull(now: number): boolean {
    const response = this.machine.take(now);
    if (response === null) return false;
    assert.ok(!this.#inbox.some(({ typeUrl }) => typeUrl === response.typeUrl), "M5");
    this.#inbox.push(response);
    return true;
  }

  /** Takes the oldest message; false when there is none. */
  read(): boolean {
    const response = this.#inbox.shift();
    if (response === undefined) return false;
    const { typeUrl, resources, removed, nonce } = response;
    this.#nonces.set(typeUrl, nonce);
    const has = this.held(typeUrl);
    const bad = resources.filter(
      ({ version, name }) => version.startsWith("bad") && has.get(name)?.version !== version,
    );
    // As Envoy, which takes what is good of a response that it refuses.
    if (!this.delta && (typeUrl === CLUSTER || typeUrl === LISTENER)) {
      for (const name of has.keys()) if (!resources.some((one) => one.name === name)) has.delete(name);
    }
    for (const one of resources) if (!bad.includes(one)) has.set(one.name, one);
    for (const name of removed) has.delete(name);
    this.check();
    const error = bad.length === 0 ? null : `cannot take ${bad.map(({ name }) => name).join(", ")}: no good`;
    if (typeUrl === CLUSTER) this.#follow(ENDPOINTS, CLUSTER);
    if (typeUrl === LISTENER) this.#follow(ROUTE, LISTENER);
    this.#ask(typeUrl, [...(this.#asked.get(typeUrl) ?? [])], nonce, error);
    return true;
  }

  held(typeUrl: string): Map<string, XdsResource> {
    let held = this.has.get(typeUrl);
    if (held === undefined) this.has.set(typeUrl, (held = new Map()));
    return held;
  }

  /** Nothing that it uses is missing. */
  check(): void {
    if (!this.punctual) return;
    for (const typeUrl of [ROUTE, LISTENER]) {
      for (const { name, needs } of this.held(typeUrl).values()) {
        for (const need of needs) {
          if (need.typeUrl !== CLUSTER) continue;
          assert.ok(this.held(CLUSTER).has(need.name), `M1/M3: ${name} needs cluster ${need.name}`);
          assert.ok(this.held(ENDPOINTS).has(need.name), `M1/M3: ${name} needs the endpoints of ${need.name}`);
        }
      }
    }
  }

  #follow(typeUrl: string, of: string): void {
    const wanted = new Set<string>();
    for (const { needs } of this.held(of).values())
      for (const need of needs) if (need.typeUrl === typeUrl) wanted.add(need.name);
    const before = this.#asked.get(typeUrl) ?? new Set();
    this.#asked.set(typeUrl, wanted);
    const gone = [...before].filter((name) => !wanted.has(name));
    const added = [...wanted].filter((name) => !before.has(name));
    for (const name of gone) this.held(typeUrl).delete(name);
    if (gone.length + added.length === 0) return;
    if (!this.delta) this.#ask(typeUrl, [...wanted], this.#nonces.get(typeUrl) ?? "", null);
    else {
      const request = {
        kind: "change",
        typeUrl,
        nonce: "",
        error: null,
        subscribe: added,
        unsubscribe: gone,
        known: {},
      } as const;
      this.machine.request(request, 0, 0);
    }
  }

  #ask(typeUrl: string, names: string[], nonce: string, error: string | null): void {
    if (this.delta) {
      this.machine.request({ kind: "change", typeUrl, nonce, error, subscribe: [], unsubscribe: [], known: {} }, 0, 0);
    } else this.machine.request({ kind: "list", typeUrl, nonce, error, names }, 0, 0);
  }
}

const NAMES = ["a", "b", "c"];
const version = fc.constantFrom("1", "2", "3", "bad4");
const good = fc.constantFrom("1", "2", "3");
const revision = fc.record({
  clusters: fc.dictionary(fc.constantFrom(...NAMES), version, { noNullPrototype: true }),
  endpoints: fc.array(good, { minLength: 3, maxLength: 3 }),
  routes: fc.dictionary(fc.constantFrom("r", "s"), fc.tuple(version, fc.subarray(NAMES)), { noNullPrototype: true }),
  listener: version,
});

function made(
  number: number,
  { clusters, endpoints, routes, listener }: typeof revision extends fc.Arbitrary<infer T> ? T : never,
): XdsSnapshot {
  const list: XdsResource[] = [];
  const names = Object.keys(clusters);
  for (const name of names) {
    list.push(resource(CLUSTER, name, clusters[name], [eds(name)]));
    list.push(resource(ENDPOINTS, name, endpoints[NAMES.indexOf(name)]));
  }
  for (const [name, [version, uses]] of Object.entries(routes)) {
    const used = uses.filter((cluster) => names.includes(cluster));
    list.push(resource(ROUTE, name, `${version}-${used.join("")}`, used.map(cds)));
  }
  const used = Object.keys(routes).sort();
  list.push(resource(LISTENER, "in", `${listener}-${used.join("")}`, used.map(rds)));
  return snapshot(number, list);
}

for (const [delta, slow] of [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
]) {
  const protocol = delta ? "delta" : "state of the world";
  const plane = slow ? "a slow data plane" : "a data plane never uses what it lacks, and";
  test(`${protocol}: ${plane} ends with all that is good of the last snapshot`, () => {
    fc.assert(
      fc.property(
        fc.array(revision, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat({ max: slow ? 4 : 3 }), { maxLength: 80 }),
        (revisions, steps) => {
          const plane = new DataPlane(delta);
          plane.start();
          let offered = 0;
          let now = 0;
          const offer = () => {
            if (offered < revisions.length) plane.machine.offer(made(offered, revisions[offered++]));
          };
          offer();
          for (const step of steps) {
            if (step === 0) offer();
            else if (step === 1) plane.read();
            else if (step < 4) plane.pull(now);
            else {
              now += 400;
              plane.punctual = false;
            }
          }
          while (offered < revisions.length) offer();
          for (let quiet = false, turns = 0; !quiet; turns++) {
            assert.ok(turns < 500, "it never comes to rest");
            quiet = !plane.pull(now);
            if (plane.read()) quiet = false;
          }
          // The clusters and endpoints that are good are there as they are now.
          const last = made(revisions.length - 1, revisions[revisions.length - 1]);
          const target = plane.machine.target;
          assert.equal(target?.version, last.version);
          const refused = new Set(plane.machine.refusals().map(({ typeUrl, name }) => `${typeUrl} ${name}`));
          for (const [typeUrl, resources] of last.resources) {
            for (const { name, version, needs } of resources.values()) {
              const has = plane.held(typeUrl).get(name);
              const asked =
                typeUrl !== ROUTE || (plane.held(LISTENER).get("in")?.needs ?? []).some((need) => need.name === name);
              const waits = needs.some(
                (need) => refused.has(`${need.typeUrl} ${need.name}`) && need.typeUrl === CLUSTER,
              );
              if (version.startsWith("bad")) {
                if (asked && !waits) assert.ok(refused.has(`${typeUrl} ${name}`), `${name} is refused`);
              } else if (asked && !waits && (typeUrl !== ENDPOINTS || plane.held(CLUSTER).has(name))) {
                assert.equal(has?.version, version, `${typeUrl} ${name}`);
              }
            }
          }
          assert.equal(plane.machine.applied === target, refused.size === 0);
        },
      ),
      { numRuns: 300 },
    );
  });
}

const twoClusters = (version: string, extra: XdsResource[] = []) =>
  snapshot(1, [resource(CLUSTER, "orders", version), resource(CLUSTER, "orders-v2", version), ...extra]);
const list = (typeUrl: string, names: string[], nonce = "", error: string | null = null) =>
  ({ kind: "list", typeUrl, nonce, error, names }) as const;
const change = (
  typeUrl: string,
  subscribe: string[],
  more: { nonce?: string; error?: string; known?: Record<string, string>; unsubscribe?: string[] } = {},
) => ({ kind: "change", typeUrl, subscribe, unsubscribe: [], known: {}, nonce: "", error: null, ...more }) as const;
const names = (response: AdsResponse | null) =>
  response?.resources.map(({ name, version }) => `${name}@${version}`) ?? null;

test("state of the world: a subscription without names is to all, and none once there were names", () => {
  const machine = new AdsMachine(false, LIMITS);
  machine.offer(twoClusters("1"));
  machine.request(list(CLUSTER, []), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["orders@1", "orders-v2@1"]);
  machine.request(list(CLUSTER, [], "1"), 0, 0);
  assert.equal(machine.take(0), null);
  machine.request(list(CLUSTER, ["orders"], "1"), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["orders@1"]);
  machine.request(list(CLUSTER, [], "2"), 0, 0);
  machine.offer(twoClusters("2"));
  assert.equal(machine.take(0), null);
});

test("an answer to an older response says nothing", () => {
  const machine = new AdsMachine(false, LIMITS);
  machine.offer(snapshot(1, [resource(ENDPOINTS, "a", "1"), resource(ENDPOINTS, "b", "1")]));
  machine.request(list(ENDPOINTS, ["a"]), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["a@1"]);
  machine.request(list(ENDPOINTS, ["a", "b"], "1"), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["b@1"]);
  machine.request(list(ENDPOINTS, ["a"], "1"), 0, 0);
  machine.request(list(ENDPOINTS, ["a", "b"], "2"), 0, 0);
  machine.offer(snapshot(2, [resource(ENDPOINTS, "a", "1"), resource(ENDPOINTS, "b", "2")]));
  assert.deepEqual(names(machine.take(0)), ["b@2"]);
});

test("delta: what is not there is said so, and what is subscribed to again is sent again", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(snapshot(1, [resource(ENDPOINTS, "a", "1")]));
  machine.request(change(ENDPOINTS, ["a", "none"]), 0, 0);
  const first = machine.take(0);
  assert.deepEqual(names(first), ["a@1"]);
  assert.deepEqual(first?.removed, ["none"]);
  machine.request(change(ENDPOINTS, [], { nonce: "1" }), 0, 0);
  assert.equal(machine.take(0), null);
  machine.request(change(ENDPOINTS, ["a"]), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["a@1"]);
});

test("delta: a data plane that comes back is told only what changed, and what went", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(snapshot(5, [resource(CLUSTER, "same", "1"), resource(CLUSTER, "other", "2")]));
  machine.request(change(CLUSTER, [], { known: { same: "1", other: "1", gone: "1" } }), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["other@2"]);
  machine.request(change(CLUSTER, [], { nonce: "1" }), 0, 0);
  assert.equal(machine.take(0), null);
  assert.equal(machine.wakeAt, 1_000);
  // It has asked for no listeners and no routes, so it has none that use it.
  assert.deepEqual(machine.take(1_000)?.removed, ["gone"]);
  machine.request(change(CLUSTER, [], { nonce: "2" }), 1_000, 0);
  assert.equal(machine.take(1_000), null);
  assert.equal(machine.wakeAt, null);
  assert.equal(machine.applied?.revision, 5);
});

test("delta: a data plane that comes back keeps what its old routes use until it has the new ones", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(
    snapshot(2, [
      resource(CLUSTER, "new", "1"),
      resource(LISTENER, "in", "1", [rds("r")]),
      resource(ROUTE, "r", "2", [cds("new")]),
    ]),
  );
  machine.request(change(CLUSTER, [], { known: { old: "1" } }), 0, 0);
  const first = machine.take(0);
  assert.deepEqual([names(first), first?.removed], [["new@1"], []]);
  machine.request(change(LISTENER, [], { known: { in: "1" } }), 0, 0);
  machine.request(change(ROUTE, ["r"], { known: { r: "1" } }), 0, 0);
  machine.request(change(CLUSTER, [], { nonce: "1" }), 0, 0);
  const sent = [machine.take(0), machine.take(0)];
  assert.deepEqual(sent.map(names), [[], ["r@2"]]);
  machine.request(change(LISTENER, [], { nonce: "2" }), 0, 0);
  assert.equal(machine.take(0), null, "the old cluster stays");
  machine.request(change(ROUTE, [], { nonce: "3" }), 0, 0);
  assert.deepEqual(machine.take(0)?.removed, ["old"]);
});

test("delta: leaving a name of a subscription to all is answered, for the resource is still there", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(twoClusters("1"));
  machine.request(change(CLUSTER, ["*", "orders"]), 0, 0);
  assert.equal(machine.take(0)?.resources.length, 2);
  machine.request(change(CLUSTER, [], { nonce: "1", unsubscribe: ["orders"] }), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["orders@1"]);
});

test("an empty answer is owed to who waits for all of a type", () => {
  for (const delta of [false, true]) {
    const machine = new AdsMachine(delta, LIMITS);
    machine.offer(snapshot(1, []));
    machine.request(delta ? change(LISTENER, []) : list(LISTENER, []), 0, 0);
    assert.deepEqual(machine.take(0)?.resources, []);
    assert.equal(machine.take(0), null);
  }
});

test("of several resources that are refused together, the one that is at fault is found and the others are sent", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(snapshot(1, [resource(CLUSTER, "a", "1"), resource(CLUSTER, "b", "bad"), resource(CLUSTER, "c", "1")]));
  machine.request(change(CLUSTER, []), 0, 0);
  assert.equal(machine.take(0)?.resources.length, 3);
  assert.equal(machine.request(change(CLUSTER, [], { nonce: "1", error: "something is wrong" }), 0, 7), null);
  assert.deepEqual(names(machine.take(0)), ["a@1"]);
  machine.request(change(CLUSTER, [], { nonce: "2" }), 0, 7);
  assert.deepEqual(names(machine.take(0)), ["b@bad"]);
  const refusal = machine.request(change(CLUSTER, [], { nonce: "3", error: "b is wrong" }), 0, 7);
  assert.deepEqual(refusal, { typeUrl: CLUSTER, name: "b", version: "bad", reason: "b is wrong", atMs: 7 });
  assert.deepEqual(names(machine.take(0)), ["c@1"]);
  machine.request(change(CLUSTER, [], { nonce: "4" }), 0, 7);
  assert.equal(machine.take(0), null);
  assert.equal(machine.refusals().length, 1);
  assert.equal(machine.applied, null);
});

test("a name that is part of another is not taken for it", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(twoClusters("1"));
  machine.request(change(CLUSTER, []), 0, 0);
  machine.take(0);
  machine.request(change(CLUSTER, [], { nonce: "1", error: "cluster orders-v2: no good" }), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["orders@1"]);
});

test("a cluster that changes gets its endpoints again, which it waits for", () => {
  for (const delta of [false, true]) {
    const machine = new AdsMachine(delta, LIMITS);
    const ask = (typeUrl: string, some: string[], nonce = "") =>
      machine.request(delta ? change(typeUrl, nonce === "" ? some : [], { nonce }) : list(typeUrl, some, nonce), 0, 0);
    const at = (version: string) =>
      snapshot(1, [resource(CLUSTER, "a", version, [eds("a")]), resource(ENDPOINTS, "a", "1")]);
    machine.offer(at("1"));
    ask(CLUSTER, []);
    machine.take(0);
    ask(ENDPOINTS, ["a"]);
    machine.take(0);
    ask(CLUSTER, [], "1");
    ask(ENDPOINTS, ["a"], "2");
    machine.offer(at("2"));
    assert.deepEqual(names(machine.take(0)), ["a@2"]);
    assert.deepEqual(names(machine.take(0)), ["a@1"], "the endpoints");
  }
});

test("what is only late is waited for no longer than settleMs", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(
    snapshot(1, [
      resource(CLUSTER, "a", "1", [eds("a")]),
      resource(ENDPOINTS, "a", "1"),
      resource(LISTENER, "l", "1", [cds("a")]),
    ]),
  );
  machine.request(change(CLUSTER, []), 0, 0);
  machine.request(change(LISTENER, []), 0, 0);
  assert.equal(machine.take(0)?.typeUrl, CLUSTER);
  machine.request(change(CLUSTER, [], { nonce: "1" }), 0, 0);
  assert.equal(machine.take(0), null);
  assert.equal(machine.wakeAt, 1_000);
  assert.deepEqual(names(machine.take(1_000)), ["l@1"]);
});

test("a stream that asks for too much is ended", () => {
  const machine = new AdsMachine(false, LIMITS);
  const many = Array.from({ length: 101 }, (_, i) => `n${i}`);
  assert.throws(() => machine.request(list(ENDPOINTS, many), 0, 0), { reason: "TOO_MANY_SUBSCRIPTIONS" });
  assert.throws(() => machine.request(list(ENDPOINTS, ["x".repeat(51)]), 0, 0), { reason: "TOO_MANY_SUBSCRIPTIONS" });
  const other = new AdsMachine(false, LIMITS);
  assert.throws(
    () => {
      for (let i = 0; i < 9; i++) other.request(list(`type${i}`, []), 0, 0);
    },
    { reason: "TOO_MANY_SUBSCRIPTIONS" },
  );
});

test("what does not fit into one response follows when that is answered", () => {
  const machine = new AdsMachine(true, LIMITS);
  const large = (name: string) => ({ ...resource(CLUSTER, name, "1"), bytes: new Uint8Array(600_000) });
  machine.offer(snapshot(1, ["a", "b", "c"].map(large)));
  machine.request(change(CLUSTER, []), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["a@1", "b@1"]);
  assert.equal(machine.take(0), null);
  machine.request(change(CLUSTER, [], { nonce: "1" }), 0, 0);
  assert.deepEqual(names(machine.take(0)), ["c@1"]);
});

test("only the first request says what is known from before", () => {
  const machine = new AdsMachine(true, LIMITS);
  machine.offer(twoClusters("1"));
  machine.request(change(CLUSTER, []), 0, 0);
  machine.take(0);
  machine.request(change(CLUSTER, [], { nonce: "1", known: { more: "1" } }), 0, 0);
  assert.equal(machine.take(2_000), null);
});
