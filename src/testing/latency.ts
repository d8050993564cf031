import { WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";

/**
 * How long one call takes on an idle server, ms:
 *
 *     10                                                        always
 *     { uniform: [5, 15] }
 *     { exponential: 10 }                                       its mean
 *     { logNormal: { p50: 10, p99: 80 } }                       by two percentiles
 *     { percentiles: { p50: 4, p90: 9, p99: 30, p100: 200 } }   measured ones, straight lines between; `p0` is 0 unless it is given
 *     { mix: [[99, 10], [1, { exponential: 200 }]] }            one of several, by weight
 *     (random) => 5 + 10 * random.next()                        anything else
 */
export type LatencyModel =
  | number
  | { readonly uniform: readonly [from: number, to: number] }
  | { readonly exponential: number }
  | { readonly logNormal: { readonly p50: number; readonly p99: number } }
  | { readonly percentiles: Readonly<Record<`p${number}`, number>> }
  | { readonly mix: readonly (readonly [weight: number, model: LatencyModel])[] }
  | ((random: Random) => number);

/** Throws `invalid_argument` for a model that means nothing. `where` names it in the error. */
export function createLatency(model: LatencyModel, where: string): (random: Random) => number {
  if (typeof model === "function") return (random) => Math.max(0, model(random));
  if (typeof model === "number") {
    positive(model, where);
    return () => model;
  }
  if ("uniform" in model) {
    const [from, to] = model.uniform;
    positive(from, where);
    if (!(to >= from)) bad(where, `uniform from ${from} to ${to}: the second must not be below the first`);
    return (random) => from + (to - from) * random.next();
  }
  if ("exponential" in model) {
    const mean = positive(model.exponential, where);
    return (random) => -mean * Math.log(1 - random.next());
  }
  if ("logNormal" in model) {
    const { p50, p99 } = model.logNormal;
    if (!(p50 > 0) || !(p99 >= p50)) bad(where, `logNormal with p50 ${p50} and p99 ${p99}: needs 0 < p50 <= p99`);
    const sigma = Math.log(p99 / p50) / Z99;
    return (random) => p50 * Math.exp(sigma * normal(random));
  }
  if ("percentiles" in model) return percentiles(model.percentiles, where);
  if ("mix" in model) return mix(model.mix, where);
  return bad(where, `${JSON.stringify(model)} is no latency; write milliseconds, or one of ${FORMS}`);
}

function percentiles(given: Readonly<Record<string, number>>, where: string): (random: Random) => number {
  const points = Object.entries(given).map(([name, ms]) => {
    const at = /^p(\d+(?:\.\d+)?)$/.test(name) ? Number(name.slice(1)) / 100 : Number.NaN;
    if (!(at >= 0 && at <= 1)) bad(where, `"${name}" is no percentile; write p50, p99, p99.9, p100`);
    return [at, positive(ms, where)] as const;
  });
  points.sort(([a], [b]) => a - b);
  if (points.length === 0) bad(where, "percentiles: at least one is needed");
  if (points[0][0] > 0) points.unshift([0, 0]);
  const [, top] = points[points.length - 1];
  points.push([1, top]);
  return (random) => {
    const draw = random.next();
    let i = 1;
    while (i < points.length - 1 && points[i][0] <= draw) i++;
    const [from, low] = points[i - 1];
    const [to, high] = points[i];
    return to === from ? high : low + ((high - low) * (draw - from)) / (to - from);
  };
}

function mix(parts: readonly (readonly [number, LatencyModel])[], where: string): (random: Random) => number {
  const models = parts.map(([weight, model]) => [positive(weight, where), createLatency(model, where)] as const);
  const total = models.reduce((sum, [weight]) => sum + weight, 0);
  if (!(total > 0)) bad(where, "mix: needs a weight above 0");
  return (random) => {
    let draw = random.next() * total;
    for (const [weight, model] of models) if ((draw -= weight) < 0) return model(random);
    return models[models.length - 1][1](random);
  };
}

/** Standard normal. Source: Box and Muller, 1958. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

function positive(value: number, where: string): number {
  if (!(value >= 0) || value === Number.POSITIVE_INFINITY) bad(where, `${value} must be a number of at least 0`);
  return value;
}

function bad(where: string, message: string): never {
  throw new WeftError("invalid_argument", `${where}: ${message}`, { reason: "BAD_LATENCY", place: { field: where } });
}

/** The 99th percentile of the standard normal distribution. */
const Z99 = 2.3263478740408408;
const FORMS = "{ uniform }, { exponential }, { logNormal }, { percentiles }, { mix }, or a function";
