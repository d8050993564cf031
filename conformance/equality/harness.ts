import type { Resource } from "../../src/policy/resource/resources.ts";
import type { Backends } from "./backends.ts";
import { compare, type Difference } from "./compare.ts";
import { asEnforced } from "./enforced.ts";
import type { EqualityCase, EqualityRequest, Observation, Place, Scope } from "./model.ts";
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
    const enforced = asEnforced(inGatewayTerms(scope, resources), this.#reference.planes);
    if (enforced === null) return [];
    const ofReference = inPlacesTerms(scope, enforced);
    const known = new Map<string, readonly Observation[]>();
    const asked = places.filter((place) => requests.some((request) => place.takes(scope, request)));
    for (const place of asked) {
      const same = asEnforced(ofReference, place.planes);
      const key = JSON.stringify(same);
      if (same === null || known.has(key)) continue;
      known.set(key, await this.#observe(this.#reference, tested, inGatewayTerms(scope, same), requests));
    }
    const differences = await Promise.all(
      asked.map(async (place) => {
        const expected = known.get(JSON.stringify(asEnforced(ofReference, place.planes)));
        if (expected === undefined) return [];
        const taken = requests.map((_, i) => i).filter((i) => place.takes(scope, requests[i]));
        const found = await this.#observe(
          place,
          tested,
          ofReference,
          taken.map((i) => requests[i]),
        );
        return taken.flatMap((i, n) => compare(place, requests[i], i, expected[i], found[n], ofReference) ?? []);
      }),
    );
    return differences.flat();
  }

  /**
   * The differences that nothing explains and that are there each of `times` times: what happens once in a while is the machine's load, and told apart from what
   * policy does. A time at which the machine was late for its own timers does not count: a hedge or a time-out of policy comes early then.
   */
  async unexplained(tested: EqualityCase, times: number, places = this.places): Promise<readonly Difference[]> {
    let left: Difference[] | null = null;
    await this.#calmly(times, async () => {
      const found = (await this.run(tested, places)).filter(({ listed }) => listed.length === 0);
      left = left === null ? found : left.filter((one) => found.some((other) => isSame(one, other)));
      return left.length === 0;
    });
    return left ?? [];
  }

  /** The listed divergences that a case shows: `wanted` alone once that is all, others when they were there twice at times at which the machine was not late. */
  async shown(tested: EqualityCase, wanted: string, places: readonly Place[]): Promise<readonly string[]> {
    let listed: string[] = [];
    await this.#calmly(2, async () => {
      listed = [...new Set((await this.run(tested, places)).flatMap((difference) => difference.listed))];
      return listed.length === 1 && listed[0] === wanted;
    });
    return listed;
  }

  /** Looks until that settles it, but `times` times at which the machine was not late for its own timers, and MAX_TRIES times at all, at most. */
  async #calmly(times: number, settles: () => Promise<boolean>): Promise<void> {
    for (let calm = 0, tries = 0; calm < times && tries < MAX_TRIES; tries++) {
      using lateness = new Lateness();
      if (await settles()) return;
      if (lateness.worst <= CALM_MS) calm++;
      else await new Promise((resolve) => setTimeout(resolve, CALMER_MS));
    }
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
      return observe({ scope, resources }, answer, this.#backends.seen(id), request);
    };
    if (!counted) return Promise.all(requests.map(one));
    const seen: Observation[] = [];
    for (const request of requests) seen.push(await one(request));
    return seen;
  }
}

/** A gateway stands in for the place under test: limits of services and quotas of callers are the gateway's there. */
function inGatewayTerms(scope: Scope, resources: readonly Resource[]): Resource[] {
  return limitsBy(resources, ENFORCED_BY[scope], "gateway");
}

function inPlacesTerms(scope: Scope, resources: readonly Resource[]): Resource[] {
  return limitsBy(resources, "gateway", ENFORCED_BY[scope]);
}

/** Whose limits those of a scope are. */
const ENFORCED_BY = { edge: "gateway", in: "server", web: "client", rpc: "client" } as const;
type EnforcedBy = (typeof ENFORCED_BY)[Scope];

function limitsBy(resources: readonly Resource[], from: EnforcedBy, to: EnforcedBy): Resource[] {
  return resources.map((resource) =>
    resource.kind === "RateLimit" && (resource.spec.enforcedBy ?? "gateway") === from
      ? { ...resource, spec: { ...resource.spec, enforcedBy: to } }
      : resource,
  );
}

function isSame(a: Difference, b: Difference): boolean {
  return a.place === b.place && a.request === b.request && a.aspects.join() === b.aspects.join();
}

/** How late the timers of this process come. */
class Lateness {
  #worst = 0;
  #due = performance.now() + LOOK_MS;
  readonly #timer = setInterval(() => this.#look(), LOOK_MS);

  /** Since the beginning, ms. */
  get worst(): number {
    this.#look();
    return this.#worst;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    this.#worst = Math.max(this.#worst, now - this.#due);
    this.#due = now + LOOK_MS;
  }
}

const LOOK_MS = 5;
/** Half of what there is between when backends answer and when policies' times end. */
const CALM_MS = 20;
const CALMER_MS = 300;
const MAX_TRIES = 10;

/** For copies to arrive that nobody waits for. */
const MIRROR_MS = 60;
