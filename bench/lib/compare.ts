/** Peers measured in turn, round after round, and compared by their medians: what drifts on a shared machine drifts for all of them. */
export interface Contender {
  readonly name: string;
  /** One run; the figure to compare (smaller is better). */
  run(): number | Promise<number>;
}

/** "ours <= atMost x peer's", as the project claims it. */
export interface Claim {
  readonly peer: string;
  readonly atMost: number;
}

export interface Result {
  readonly work: string;
  readonly unit: string;
  readonly medians: Readonly<Record<string, number>>;
  /** What was measured, round by round. */
  readonly rounds?: readonly Readonly<Record<string, number>>[];
  readonly claims: readonly {
    readonly peer: string;
    readonly ratio: number;
    readonly atMost: number;
    readonly kept: boolean;
  }[];
}

/** Runs every contender once to warm up, then `rounds` times in turn. The first contender is ours. */
export async function compare(
  work: string,
  unit: string,
  contenders: readonly Contender[],
  claims: readonly Claim[],
  rounds: number,
): Promise<Result> {
  const figures = new Map<string, number[]>(contenders.map((contender) => [contender.name, []]));
  for (const contender of contenders) await contender.run();
  for (let round = 0; round < rounds; round++)
    for (const contender of contenders) figures.get(contender.name)?.push(await contender.run());
  const medians = Object.fromEntries([...figures].map(([name, values]) => [name, median(values)]));
  const ours = medians[contenders[0].name];
  const all = Array.from({ length: rounds }, (_, i) =>
    Object.fromEntries([...figures].map(([name, values]) => [name, values[i]])),
  );
  return {
    work,
    unit,
    medians,
    rounds: all,
    claims: claims
      .filter(({ peer }) => medians[peer] !== undefined)
      .map(({ peer, atMost }) => ({ peer, atMost, ratio: ours / medians[peer], kept: ours / medians[peer] <= atMost })),
  };
}

export function print(result: Result): void {
  console.log(`\n${result.work}  (${result.unit}, median)`);
  for (const [name, value] of Object.entries(result.medians))
    console.log(`  ${name.padEnd(24)} ${value.toFixed(2).padStart(9)}`);
  for (const { peer, ratio, atMost, kept } of result.claims)
    console.log(`  ${kept ? "ok  " : "MISS"} ${ratio.toFixed(3)} x ${peer}, at most ${atMost.toFixed(3)}`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
