import type { Metrics } from "./metrics.ts";

export interface ProcessMonitor {
  /** Reads the process's figures into their gauges. */
  update(): void;
}

/**
 * The process's own figures, under the names that Prometheus clients agree on, and the event loop's utilisation (0..1) since the last reading,
 * which is the saturation of a Node process better than its CPU is.
 */
export function createProcessMonitor(metrics: Metrics): ProcessMonitor {
  const resident = metrics.gauge("process_resident_memory_bytes", "Resident memory.").with();
  const heap = metrics.gauge("nodejs_heap_used_bytes", "JavaScript heap in use.").with();
  const cpu = metrics.gauge("process_cpu_seconds_total", "User and system CPU time.").with();
  const started = metrics.gauge("process_start_time_seconds", "When the process started, Unix time.").with();
  const loop = metrics
    .gauge("weft_event_loop_utilisation", "Share of the time in which the event loop was busy, since the last reading.")
    .with();
  started.set(performance.timeOrigin / 1_000);
  let last = performance.eventLoopUtilization();
  return {
    update() {
      const memory = process.memoryUsage();
      resident.set(memory.rss);
      heap.set(memory.heapUsed);
      const usage = process.cpuUsage();
      cpu.set((usage.user + usage.system) / 1e6);
      const now = performance.eventLoopUtilization();
      loop.set(performance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  };
}
