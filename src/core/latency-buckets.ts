/**
 * Durations in buckets that grow by 2^(1/4), so that any quantile is known within 9 %, from 10 us to 80 s.
 *
 *     bucket 0 holds up to 10 us, bucket i up to 10 us x 2^(i/4), the last one everything longer
 */
export function latencyBucket(ms: number): number {
  if (!(ms > FIRST_MS)) return 0;
  // log2 from the number's own bits, which halves what counting a call takes: the exponent counts octaves, the mantissa's first bits the quarters above it.
  NUMBER[0] = ms / FIRST_MS;
  const high = WORDS[HIGH];
  const mantissa = high & 0xfffff;
  const quarters = mantissa <= Q1 ? (mantissa > 0 ? 1 : 0) : mantissa <= Q2 ? 2 : mantissa <= Q3 ? 3 : 4;
  return Math.min(LATENCY_BUCKETS - 1, ((high >>> 20) - 1_023) * 4 + quarters);
}

/** The largest duration that a bucket holds, ms; Infinity for the last. */
export function bucketBoundMs(bucket: number): number {
  return bucket >= LATENCY_BUCKETS - 1 ? Number.POSITIVE_INFINITY : FIRST_MS * 2 ** (bucket / 4);
}

/** The q-quantile (q in 0..1), ms, of what the buckets hold; 0 when they hold nothing. */
export function latencyQuantile(buckets: ArrayLike<number>, q: number): number {
  let total = 0;
  for (let i = 0; i < LATENCY_BUCKETS; i++) total += buckets[i];
  let rank = q * total;
  for (let i = 0; i < LATENCY_BUCKETS && total > 0; i++) {
    const held = buckets[i];
    if (held > 0 && rank <= held) {
      const low = i === 0 ? 0 : bucketBoundMs(i - 1);
      return low + (Math.min(bucketBoundMs(i), low * 2 + FIRST_MS) - low) * (rank / held);
    }
    rank -= held;
  }
  return 0;
}

/** How many there are, with the one for everything longer. */
export const LATENCY_BUCKETS = 93;
const FIRST_MS = 0.01;

const NUMBER = new Float64Array(1);
const WORDS = new Uint32Array(NUMBER.buffer);
/** Which of the words has the exponent. */
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
/** 2^(1/4), 2^(2/4) and 2^(3/4) as mantissas of 20 bits. */
const [Q1, Q2, Q3] = [1, 2, 3].map((quarter) => Math.round((2 ** (quarter / 4) - 1) * 2 ** 20));
