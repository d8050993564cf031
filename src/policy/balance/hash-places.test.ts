import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { hashNumber, hashText, joinHashes } from "./hash.ts";
import { type HashMember, type HashPlaces, HashRing } from "./hash-ring.ts";
import { isPrime, Maglev } from "./maglev.ts";

/*
 * What the sources say, beside what is held here:
 *
 *   Karger et al. 1997    when one of n members goes, only its own keys move: about 1/n
 *   ketama (Last.fm)      160 points a server; the ring here has 1,024 in all by default (Envoy), so a share's spread is about 1 / sqrt(points of a member)
 *   Maglev, NSDI 2016     section 3.4, table size M = 65,537 "more than 100 x N": the largest share is at most 1 % above the smallest for 100 members,
 *                         since members take turns; section 5.3, figure 12: when 1 member in 1,000 fails 2 % of the entries change at M = 65,537, and next
 *                         to none beyond the failed one's own at M = 655,373. Envoy's documentation: with 65,537 entries "less than 2 %" beyond.
 */

const members = (count: number, weight: (i: number) => number = () => 1): HashMember[] =>
  Array.from({ length: count }, (_, i) => ({ id: `server-${i}`, index: i, weight: weight(i) }));

const KINDS: readonly [string, (of: readonly HashMember[]) => HashPlaces][] = [
  ["ring", (of) => new HashRing(of, 1_024, 8_388_608)],
  ["large ring", (of) => new HashRing(of, 16_000, 8_388_608)],
  ["maglev", (of) => new Maglev(of, 65_537)],
];

function owners(places: HashPlaces, of: readonly HashMember[], keys: number): string[] {
  const byIndex = new Map(of.map(({ id, index }) => [index, id]));
  return Array.from(
    { length: keys },
    (_, key) => byIndex.get(places.memberAt(places.placeOf(hashText(`key-${key}`, 0)))) ?? "",
  );
}

const KEYS = 40_000;

for (const [name, make] of KINDS) {
  test(`${name}: when 1 of 100 servers goes, its own keys move and (all but) no other`, () => {
    const all = members(100);
    const before = owners(make(all), all, KEYS);
    for (const gone of [0, 42, 99]) {
      const left = all.filter((_, i) => i !== gone);
      const after = owners(make(left), left, KEYS);
      const own = before.filter((owner) => owner === `server-${gone}`).length;
      const moved = after.filter((owner, key) => owner !== before[key]).length;
      // A ring moves nothing else at all where everybody keeps its number of points (11 here); the large one's goes from 160 to 162, as Envoy's does.
      if (name === "ring") assert.equal(moved, own);
      assert.ok((moved - own) / KEYS <= 0.02, `${moved} moved, ${own} were its own`);
      assert.ok(own / KEYS < (name === "ring" ? 0.03 : 0.02), `it had ${own}`);
    }
  });

  test(`${name}: shares follow weights, whatever the order in which servers are known`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 12 }),
        fc.integer(),
        (weights, seed) => {
          const all = members(weights.length, (i) => weights[i]);
          const random = seededRandom(seed);
          const mixed = all.map((member) => ({ member, at: random.next() })).sort((a, b) => a.at - b.at);
          const one = owners(make(all), all, 200);
          const other = owners(make(mixed.map(({ member }) => member)), all, 200);
          assert.deepEqual(one, other);
        },
      ),
      { numRuns: name === "maglev" ? 8 : 20 },
    );
    const all = members(4, (i) => i + 1);
    const shares = new Map<string, number>();
    for (const owner of owners(make(all), all, KEYS)) shares.set(owner, (shares.get(owner) ?? 0) + 1 / KEYS);
    all.forEach(({ id, weight }) => {
      const share = shares.get(id) ?? 0;
      assert.ok(
        Math.abs(share / (weight / 10) - 1) < (name === "ring" ? 0.25 : 0.1),
        `${id}: ${share} of ${weight / 10}`,
      );
    });
  });
}

test("Maglev's table is as even as the paper has it: 100 servers, 65,537 places, none more than 1 % above another", () => {
  const all = members(100);
  const table = new Maglev(all, 65_537);
  const counts = new Array(100).fill(0);
  for (let place = 0; place < table.size; place++) counts[table.memberAt(place)]++;
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${Math.min(...counts)} to ${Math.max(...counts)}`);
});

test("a ring's shares spread about as 1 / sqrt(points): within 35 % for 160 points a server, ketama's number", () => {
  const all = members(100);
  const ring = new HashRing(all, 16_000, 8_388_608);
  assert.equal(ring.size, 16_000);
  const counts = new Map<string, number>();
  for (const owner of owners(ring, all, KEYS)) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  for (const count of counts.values()) assert.ok(Math.abs(count / (KEYS / 100) - 1) < 0.35, String(count));
});

test("a ring has at least its smallest size, the lightest member whole points, and no more than its largest", () => {
  assert.equal(new HashRing(members(3), 1_024, 8_388_608).size, 1_026);
  assert.equal(
    new HashRing(
      members(2, (i) => (i === 0 ? 1 : 99)),
      1_024,
      8_388_608,
    ).size,
    1_100,
  );
  assert.equal(new HashRing(members(100), 1_024, 512).size, 512);
  assert.equal(new HashRing(members(1), 10, 100).memberAt(0), 0);
});

test("the hash is xxHash32 of the text's UTF-16 bytes, and spreads what differs little", () => {
  // Of the reference implementation, seed 0: no bytes.
  assert.equal(hashText("", 0), 0x02cc5d05);
  const buckets = new Array(64).fill(0);
  for (let i = 0; i < 64_000; i++) buckets[hashText(`user-${i}`, 0) % 64]++;
  for (const count of buckets) assert.ok(Math.abs(count - 1_000) < 160, `${buckets}`);
  assert.notEqual(hashNumber(1, 0), hashNumber(1, 1));
  assert.notEqual(joinHashes(1, 2), joinHashes(2, 1));
});

test("primes are told from other numbers", () => {
  for (const prime of [2, 251, 65_537, 5_000_011]) assert.equal(isPrime(prime), true, String(prime));
  for (const other of [1, 4, 252, 65_536, 5_000_009, 2.5]) assert.equal(isPrime(other), false, String(other));
});
