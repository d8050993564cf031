import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJWK, generateKeyPair } from "jose";
import { VirtualClock } from "../../core/clock.ts";
import { JwksCache } from "./jwks.ts";
import { Secrets } from "./secrets.ts";

async function key(kid: string): Promise<object> {
  const { publicKey } = await generateKeyPair("ES256", { extractable: true });
  return { ...(await exportJWK(publicKey)), kid, use: "sig" };
}

/** What happens by itself has happened. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 1));

/** An issuer in virtual time. */
async function issuer() {
  const clock = new VirtualClock();
  const state = { keys: [await key("a")], fetches: 0, down: false, cacheControl: "" };
  const fetch = async (): Promise<Response> => {
    state.fetches++;
    if (state.down) throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    return new Response(JSON.stringify({ keys: state.keys }), { headers: { "cache-control": state.cacheControl } });
  };
  const problems: string[] = [];
  const tell = (message: string) => problems.push(message);
  const cache = new JwksCache(clock, fetch, new Secrets(clock, {}, tell), tell);
  const find = async (kid: string): Promise<number | null> =>
    (await cache.find({ url: "https://id.example/keys", refresh: "10m", cooldown: "30s" }, kid, "ES256"))?.length ??
    null;
  const keys = async (kid: string) => {
    const found = await cache.find({ url: "https://id.example/keys", refresh: "10m", cooldown: "30s" }, kid, "ES256");
    assert.ok(found !== null);
    return found;
  };
  return { clock, state, problems, find, keys };
}

test("keys are kept for as long as Cache-Control says, within bounds, and callers wait for one fetch together", async () => {
  const { clock, state, find } = await issuer();
  assert.deepEqual(await Promise.all([find("a"), find("a"), find("a")]), [1, 1, 1]);
  assert.equal(state.fetches, 1);
  clock.advance(599_000);
  await settled();
  await find("a");
  assert.equal(state.fetches, 1);
  state.cacheControl = "public, max-age=1";
  clock.advance(1_000);
  await settled();
  await find("a");
  assert.equal(state.fetches, 2);
  clock.advance(59_000);
  await settled();
  await find("a");
  assert.equal(state.fetches, 2); // a minute at least
  state.cacheControl = "max-age=999999999";
  clock.advance(1_000);
  await settled();
  await find("a");
  assert.equal(state.fetches, 3);
  clock.advance(3_600_000);
  await settled();
  await find("a");
  assert.equal(state.fetches, 4); // an hour at most
});

test("an unknown key id fetches once in a cooldown, whoever makes up how many", async () => {
  const { clock, state, find } = await issuer();
  assert.equal(await find("a"), 1);
  state.keys = [...state.keys, await key("b")];
  assert.equal(await find("b"), 1);
  assert.equal(state.fetches, 2);
  for (let i = 0; i < 20; i++) assert.equal(await find(`made up ${i}`), 0);
  assert.equal(state.fetches, 2);
  clock.advance(30_000);
  assert.equal(await find("made up"), 0);
  assert.equal(state.fetches, 3);
});

test("while the issuer is away what is known stays in use, and it is not asked with every call", async () => {
  const { clock, state, problems, find } = await issuer();
  await find("a");
  state.down = true;
  clock.advance(630_000);
  await settled();
  for (let i = 0; i < 10; i++) assert.equal(await find("a"), 1);
  assert.equal(state.fetches, 3); // by itself, and once for those who asked then
  assert.match(problems[0], /cannot be had: fetch failed: connect ECONNREFUSED; the keys known so far stay in use/);
  clock.advance(5_000);
  state.down = false;
  state.keys = [await key("z")];
  assert.equal(await find("z"), 1);
  assert.equal(await find("a"), 0);
});

test("keys that cannot verify what is asked are not tried", async () => {
  const { state, find } = await issuer();
  state.keys = [
    { kty: "oct", k: "AAAA", kid: "a" },
    { ...(await key("a")), use: "enc" },
    { ...(await key("a")), alg: "ES384" },
    { kty: "RSA", kid: "a" },
  ];
  assert.equal(await find("a"), 0);
});

test("an issuer that was never there is asked again only after a while", async () => {
  const { clock, state, find } = await issuer();
  state.down = true;
  for (let i = 0; i < 10; i++) assert.equal(await find("a"), null);
  assert.equal(state.fetches, 1);
  state.down = false;
  clock.advance(5_000);
  assert.equal(await find("a"), 1);
});

test("keys are looked after while they are in use, and those that left the set are gone", async () => {
  const { clock, state, keys } = await issuer();
  const b = await key("b");
  state.keys = [state.keys[0], b];
  const [a] = await keys("a");
  const [kept] = await keys("b");
  assert.deepEqual([a.state?.gone, kept.state?.gone, state.fetches], [false, false, 1]);
  state.keys = [b];
  clock.advance(600_000);
  await settled();
  assert.deepEqual([a.state?.gone, kept.state?.gone, state.fetches], [true, false, 2]);
  state.down = true;
  clock.advance(600_000);
  await settled();
  assert.deepEqual([kept.state?.gone, state.fetches], [false, 3]); // that it is away says nothing
  clock.advance(60_000);
  await settled();
  assert.equal(state.fetches, 4);
  state.down = false;
  state.keys = [{ ...b, n: "another of the same name" } as object];
  clock.advance(60_000);
  await settled();
  assert.deepEqual([kept.state?.gone, state.fetches], [true, 5]);
  for (let i = 0; i < 300; i++) {
    clock.advance(600_000);
    await settled();
  }
  assert.ok(state.fetches < 150, `${state.fetches}`); // for a day after the last question
});
