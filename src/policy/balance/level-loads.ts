/** What a priority level gets of the calls, and whether so few of its endpoints are healthy that all are used. */
export interface LevelLoads {
  /** Percent, which add up to 100. */
  readonly share: Float64Array;
  readonly panic: Uint8Array;
}

/**
 * How calls are spread over priority levels, as Envoy does it ("Priority levels", "Panic threshold"; LoadBalancerBase::recalculatePerPriorityState): a level's health is
 * the share of its endpoints that are healthy times the overprovisioning factor, at most 100 %. The first level takes as much as its health, the
 * next of what is left as much as its health, and so on; when together they have less than 100 %, what they have is scaled up. Then, and only then,
 * a level whose healthy share is below the panic threshold uses all its endpoints; when all levels do, calls are spread by the number of endpoints.
 * Defaults: overprovisioning 1.4, panic threshold 50 %.
 */
export function levelLoads(
  healthy: readonly number[],
  total: readonly number[],
  overprovisioning: number,
  panicThreshold: number,
): LevelLoads {
  const count = total.length;
  const share = new Float64Array(count);
  const panic = new Uint8Array(count);
  const health = total.map((all, i) => (all === 0 ? 0 : Math.min(100, (overprovisioning * 100 * healthy[i]) / all)));
  const available = Math.min(
    100,
    health.reduce((sum, one) => sum + one, 0),
  );
  let inPanic = 0;
  if (available < 100) {
    for (let i = 0; i < count; i++) {
      if (total[i] > 0 && healthy[i] / total[i] >= panicThreshold) continue;
      panic[i] = panicThreshold > 0 ? 1 : 0;
      inPanic += panic[i];
    }
  }
  if (count > 0 && inPanic === count) {
    const all = total.reduce((sum, one) => sum + one, 0);
    for (let i = 0; i < count; i++) share[i] = all === 0 ? Number(i === 0) * 100 : (100 * total[i]) / all;
    return { share, panic };
  }
  if (available === 0) {
    share[0] = 100;
    return { share, panic };
  }
  let left = 100;
  for (let i = 0; i < count && left > 0; i++) {
    share[i] = Math.min(left, (health[i] * 100) / available);
    left -= share[i];
  }
  return { share, panic };
}
