/**
 * What a balancer looked at for one attempt, as numbers; why.ts makes words of them. Reused from call to call. All of it was read through
 * the call's tape.
 */
export class Pick {
  /** The balancer's kind. */
  how = "";
  /** The slot compared with, -1 for none. */
  rival = -1;
  rivalId = "";
  ewmaMs = 0;
  inFlight = 0;
  rivalEwmaMs = 0;
  rivalInFlight = 0;
  candidates = 0;
  /** In: the call's hash, -1 when it has none. */
  hash = -1;
  /** In: what the hash was made of, "header x-user". */
  hashSource = "";
  /** In: the values of the subset that the call wants. */
  wanted = "";
  /** The place in the ring or table that the hash led to, -1 for none. */
  place = -1;
  /** Endpoints that were passed over since they were at their bound, and that bound. */
  passed = 0;
  bound = 0;
  /** Hot-cold: the limit above which an endpoint is hot, how many of the pool were looked at, and were cold. -1: not of this kind. */
  hotAbove = -1;
  looked = 0;
  cold = 0;
  /** The weight that counted, and the sum of all; 0 where weights do not count. */
  weight = 0;
  /** Share of its weight that a new endpoint has; 1 for others. */
  warmth = 1;
  /** Priority level, of how many. */
  level = 0;
  levels = 0;
  /** Percent of the calls that the level gets. */
  levelShare = 100;
  /** Of the level's calls, the percent that stay in the caller's zone; -1: zones are not looked at. */
  localShare = -1;
  zone = "";
  panic = false;
  /** What subset was looked for, and whether its fallback was used. */
  subset = "";
  subsetFallback = "";
  /** Drawn endpoints that were in no state to be used: tried by this call, put aside, or full. */
  skipped = 0;
  /** Endpoints that could not be used, and why; "" when there are none, or nobody asks. */
  others = "";
  /** No draw found one in rotation: the best of all was taken. */
  resort = false;
  /** Nobody of its level and zone would do: one from beyond was taken. */
  beyond = false;

  /** Makes it as new, but for what goes in. */
  begin(how: string): void {
    this.how = how;
    this.rivalId = this.others = this.zone = this.subset = this.subsetFallback = "";
    this.rival = this.place = this.hotAbove = this.localShare = -1;
    this.candidates = this.passed = this.skipped = this.weight = this.levels = 0;
    this.warmth = 1;
    this.resort = this.panic = this.beyond = false;
  }
}

/** Whether a call has tried an endpoint. The list is nearly always empty, and then not worth a call. */
export function isIn(avoid: readonly number[], slot: number): boolean {
  return avoid.length > 0 && avoid.includes(slot);
}
