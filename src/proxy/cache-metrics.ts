import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/**
 * How caches do, read when somebody asks:
 *
 *     weft_cache_calls_total{policy, result}    "hit", "stale", "miss", "revalidated", "bypass"; "collapsed": hits by another call's fetch
 *     weft_cache_changes_total{policy, change}  "stored", "evicted", "invalidated"
 *     weft_cache_bytes{policy}, weft_cache_entries{policy}
 */
export function cacheMetrics(metrics: Metrics, policy: PolicyRuntime): void {
  const calls = metrics.counter("weft_cache_calls_total", "Calls at a cache, by what it did.", ["policy", "result"]);
  const changes = metrics.counter("weft_cache_changes_total", "Stored responses that came and went.", [
    "policy",
    "change",
  ]);
  const bytes = metrics.gauge("weft_cache_bytes", "What stored responses take.", ["policy"]);
  const entries = metrics.gauge("weft_cache_entries", "Stored responses.", ["policy"]);
  metrics.onCollect(() => {
    for (const [name, store] of policy.caches()) {
      const { hits, staleHits, misses, revalidated, bypassed, collapsed, stored, evicted, invalidated } = store.counts;
      const results = { hit: hits, stale: staleHits, miss: misses, revalidated, bypass: bypassed, collapsed };
      for (const [result, count] of Object.entries(results)) calls.with(name, result).value = count;
      for (const [change, count] of Object.entries({ stored, evicted, invalidated }))
        changes.with(name, change).value = count;
      bytes.with(name).set(store.bytes);
      entries.with(name).set(store.entries);
    }
  });
}
