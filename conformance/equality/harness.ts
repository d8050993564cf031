import type { Resource } from "../../src/policy/resource/resources.ts";
import type { Backends } from "./backends.ts";
import { compare, type Difference } from "./compare.ts";
import { asEnforced } from "./enforced.ts";
import type { EqualityCase, EqualityRequest, Observation, Place } from "./model.ts";
import { observe } from "./observe.ts";

/** Runs cases through all places, and holds each against the reference, weft's gateway, which is told what the place enforces and no more. */
export class Harness {
  readonly places: readonly Place[];
  readonly #reference: Place;
  readonly #backends: Backends;
  #ids = 0;
  #applied = 0;

  constructor(backends: Backends, reference: Place, places: readonly Place[]) {
    this.#backends = backends;
    this.#reference = reference;
    this.places = places;
  }

  /** All differences, listed or not. */
  async run(tested: EqualityCase, places = this.places): Promise<Difference[]> {
    const { scope, resources, requests } = tested;
    const ofReference = asEnforced(resources, this.#reference.plane);
    if (ofReference === null) return [];
    const known = new Map<string, readonly Observation[]>();
    const differences: Difference[] = [];
    for (const place of places) {
      const asked = requests.map((request) => (place.takes(scope, request) ? request : null));
      if (asked.every((request) => request === null)) continue;
      const same = asEnforced(ofReference, place.plane);
      if (same === null) continue;
      const key = JSON.stringify(same);
      const expected = known.get(key) ?? (await this.#observe(this.#reference, tested, same, requests));
      known.set(key, expected);
      const wanted = asked.filter((request) => request !== null);
      const found = await this.#observe(place, tested, ofReference, wanted);
      let next = 0;
      asked.forEach((request, i) => {
        if (request === null) return;
        const difference = compare(place, i, expected[i], found[next++], ofReference);
        if (difference !== null) differences.push(difference);
      });
    }
    return differences;
  }

  /**
   * The differences that nothing explains and that are there each of `times` times: what happens once in a while is the machine's load, and told apart from what
   * policy does.
   */
  async unexplained(tested: EqualityCase, times: number, places = this.places): Promise<readonly Difference[]> {
    let left: Difference[] | null = null;
    for (let i = 0; i < times; i++) {
      const found: Difference[] = (await this.run(tested, places)).filter(({ listed }) => listed.length === 0);
      left = left === null ? found : left.filter((one) => found.some((other) => isSame(one, other)));
      if (left.length === 0) break;
    }
    return left ?? [];
  }

  async #observe(
    place: Place,
    { scope }: EqualityCase,
    resources: readonly Resource[],
    requests: readonly EqualityRequest[],
  ): Promise<Observation[]> {
    // A limit by another name begins anew.
    const turn = ++this.#applied;
    const fresh = resources.map((resource) =>
      resource.kind === "RateLimit"
        ? { ...resource, metadata: { name: `${resource.metadata.name}-${turn}` } }
        : resource,
    );
    await place.apply(scope, fresh);
    const counted = resources.some(({ kind }) => kind === "RateLimit");
    const mirrored = JSON.stringify(resources).includes("RequestMirror");
    const one = async (request: EqualityRequest): Promise<Observation> => {
      const id = `${place.name}-${++this.#ids}`;
      this.#backends.script(id, request.script);
      const answer = await place.call(scope, request, id);
      if (mirrored) await new Promise((resolve) => setTimeout(resolve, MIRROR_MS));
      return observe({ scope, resources }, answer, this.#backends.seen(id));
    };
    if (!counted) return Promise.all(requests.map(one));
    const seen: Observation[] = [];
    for (const request of requests) seen.push(await one(request));
    return seen;
  }
}

function isSame(a: Difference, b: Difference): boolean {
  return a.place === b.place && a.request === b.request && a.aspects.join() === b.aspects.join();
}

/** For copies to arrive that nobody waits for. */
const MIRROR_MS = 60;
