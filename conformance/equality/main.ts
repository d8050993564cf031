/**
 * `npm run conformance -- equality [--seed N] [--case M] [--cases N] [--minutes N] [--places NAME,...]`, as a process of its own: the same systems and requests
 * through every place. Tells its parent what came of each case, when it has one.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import { DIVERGENCES, type Divergence } from "../../src/policy/check/divergences.ts";
import { anyCase } from "./arbitrary.ts";
import { startBackends } from "./backends.ts";
import { Harness } from "./harness.ts";
import { LISTED } from "./listed.ts";
import type { EqualityCase, Place } from "./model.ts";
import { openClient } from "./places/client.ts";
import { openEnvoys } from "./places/envoy.ts";
import { openGateway } from "./places/gateway.ts";
import { openInbound, openOutbound } from "./places/sidecar.ts";
import { describeCase } from "./report.ts";
import { sequenceCases, sequencesOf } from "./sequences.ts";
import { shrink } from "./shrink.ts";
import { splitCases } from "./splits.ts";

const BOUND_MINUTES = 2;
const MAX_FAILURES = 8;
/** A run of two minutes. */
const SEQUENCES = 12;
const SHRINK_MS = 30_000;
/** fast-check makes its first samples small. */
const VARIETY = 6;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    case: { type: "string" },
    cases: { type: "string", default: "250" },
    minutes: { type: "string", default: process.env.WEFT_EQUALITY_MINUTES ?? "" },
    places: { type: "string", default: "" },
  },
});
const seed = number("seed", values.seed);
const only = values.case === undefined ? null : number("case", values.case);
const minutes = values.minutes === "" ? null : number("minutes", values.minutes);
const until = performance.now() + (minutes ?? BOUND_MINUTES) * 60_000;
const cases = minutes === null ? number("cases", values.cases) : Number.POSITIVE_INFINITY;

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
const backends = await startBackends();
const reference = await openGateway(backends.endpoints, seed);
const opened: Place[] = [
  openClient(backends.endpoints, seed),
  await openOutbound(backends.endpoints, seed),
  await openInbound(backends.endpoints, seed),
  ...(await openEnvoys(backends.endpoints)),
];
const wanted = values.places === "" ? opened.map(({ name }) => name) : values.places.split(",");
const unknown = wanted.filter((name) => !opened.some((place) => place.name === name));
if (unknown.length > 0)
  throw new Error(`no place ${unknown.join()}; there are ${opened.map(({ name }) => name).join()}`);
const harness = new Harness(
  backends,
  reference,
  opened.filter(({ name }) => wanted.includes(name)),
);

let ran = 0;
let requests = 0;
let failures = 0;
const met = new Map<string, number>();
const begun = performance.now();
for (
  let number = only ?? 1;
  number <= (only ?? cases) && performance.now() < until && failures < MAX_FAILURES;
  number++
) {
  const tested = caseOf(number);
  ran++;
  requests += tested.requests.length;
  const first = await harness.run(tested).catch((error: unknown) => error as Error);
  if (first instanceof Error) {
    failures++;
    const refused = (candidate: EqualityCase) =>
      harness.run(candidate).then(
        () => false,
        () => true,
      );
    const smallest = await shrink(tested, refused, performance.now() + SHRINK_MS);
    console.log(`\ncase ${number} cannot be run, shrunk: ${first.message}\n\n${describeCase(smallest, [])}`);
    tell(`seed ${seed}, case ${number}`, false, first.message);
    continue;
  }
  for (const id of first.flatMap(({ listed }) => listed)) met.set(id, (met.get(id) ?? 0) + 1);
  if (first.every(({ listed }) => listed.length > 0)) continue;
  const stays = await harness.unexplained(tested, 2);
  if (stays.length === 0) continue;
  failures++;
  const places = harness.places.filter(({ name }) => name === stays[0].place);
  const about = { ...tested, requests: [tested.requests[stays[0].request]] };
  const alone = (await harness.unexplained(about, 2, places)).length > 0;
  const smallest = await shrink(
    alone ? about : tested,
    async (candidate) => (await harness.unexplained(candidate, 2, places)).length > 0,
    performance.now() + SHRINK_MS,
  );
  const text = describeCase(smallest, await harness.unexplained(smallest, 1, places));
  console.log(
    `\ncase ${number} differs; shrunk (again: npm run conformance -- equality --seed ${seed} --case ${number})\n\n${text}`,
  );
  tell(`seed ${seed}, case ${number}`, false, "places differ; see above");
}
if (only === null) for (const one of DIVERGENCES) if (one.together !== true) await showListed(one);
if (only === null)
  for (const { name, ok, detail } of await splitCases(backends, [reference, ...harness.places]))
    tell(name, ok, detail ?? "");
if (only === null)
  for (const { name, ok, detail } of await sequenceCases(
    backends,
    reference,
    harness.places,
    sequencesOf(seed, minutes !== null && minutes > BOUND_MINUTES ? 3 * SEQUENCES : SEQUENCES),
  ))
    tell(name, ok, detail ?? "");
const took = ((performance.now() - begun) / 1000).toFixed(0);
console.log(
  `  ${ran} systems, ${requests} requests, seed ${seed}, ${took} s; places: gateway, ${harness.places.map(({ name }) => name).join(", ")}; listed divergences met: ${
    [...met].map(([id, times]) => `${id} (${times})`).join(", ") || "none"
  }`,
);
if (failures === 0)
  tell(`${ran} systems, ${requests} requests at ${harness.places.length + 1} places`, ran > 0, "no case ran");
for (const place of [reference, ...opened]) await place.close();
await backends.close();
process.disconnect?.();

/** What is listed happens, where its place is among those that are run. */
async function showListed({ id, places }: Divergence): Promise<void> {
  const about = harness.places.filter((place) => place.planes.some((plane) => places.includes(plane)));
  const { example } = LISTED[id] ?? {};
  if (example === undefined)
    return tell(`${id}: is listed`, false, "conformance/equality/listed.ts has no example of it");
  const able = about.filter((place) => example.requests.some((request) => place.takes(example.scope, request)));
  if (able.length === 0) return;
  const listed = await harness.shown(example, id, able);
  const detail = listed.length === 0 ? "does not happen any more: take it out of the table" : `shows as ${listed}`;
  tell(`${id}: happens as listed`, listed.length === 1 && listed[0] === id, detail);
}

/** The case of a number, the same for the same seed. */
function caseOf(number: number): EqualityCase {
  return fc.sample(anyCase(), { seed: (seed * 1_000_003 + number) | 0, numRuns: VARIETY })[VARIETY - 1];
}

function tell(name: string, ok: boolean, detail: string): void {
  process.send?.({ name, ok, detail });
  if (!ok) process.exitCode = 1;
  if (process.send === undefined) console.log(`${ok ? "ok" : "FAILED"}  ${name}${ok ? "" : `: ${detail}`}`);
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0) || text.trim() === "") throw new Error(`--${name} must be a number, is "${text}"`);
  return value;
}
