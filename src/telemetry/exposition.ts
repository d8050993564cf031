import { bucketBoundMs } from "../core/latency-buckets.ts";
import { Histogram, type Metrics } from "./metrics.ts";

/** What a scrape answers. Source: Prometheus, "Exposition formats", text format 0.0.4. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Everything recorded, as Prometheus text. Durations are in seconds, with one bucket for each doubling from 40 us to 84 s. */
export function exposition(metrics: Metrics): string {
  let out = "";
  for (const { name, help, type, labels, children } of metrics.collect()) {
    if (children.size === 0) continue;
    out += `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n# TYPE ${name} ${type}\n`;
    for (const { values, recorder } of children.values()) {
      const pairs = labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? "")}"`).join(",");
      out +=
        recorder instanceof Histogram
          ? histogram(name, pairs, recorder)
          : `${name}${pairs && `{${pairs}}`} ${recorder.value}\n`;
    }
  }
  return out;
}

function histogram(name: string, pairs: string, recorder: Histogram): string {
  const prefix = pairs === "" ? "" : `${pairs},`;
  let out = "";
  let total = 0;
  for (let i = 0; i < recorder.buckets.length; i++) {
    total += recorder.buckets[i];
    if (i >= 8 && i % 4 === 0 && Number.isFinite(bucketBoundMs(i)))
      out += `${name}_bucket{${prefix}le="${Number((bucketBoundMs(i) / 1_000).toPrecision(6))}"} ${total}\n`;
  }
  const braces = pairs && `{${pairs}}`;
  return `${out}${name}_bucket{${prefix}le="+Inf"} ${recorder.count}\n${name}_sum${braces} ${recorder.sumMs / 1_000}\n${name}_count${braces} ${recorder.count}\n`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
