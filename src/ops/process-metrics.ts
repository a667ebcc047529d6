// What every process says of itself: time, memory, and how late its event loop runs.
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Metrics } from "./metrics.ts";

/** Returns what ends the watching. */
export function addProcessMetrics(metrics: Metrics): () => void {
  const startedAt = Date.now() / 1000 - process.uptime();
  metrics.gauge("process_start_time_seconds", "When the process began, in seconds since 1970.", () => startedAt);
  metrics.counter("process_cpu_seconds_total", "CPU time used, user and system.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge("process_resident_memory_bytes", "Memory held by the process.", () => process.memoryUsage.rss());
  metrics.gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use.", () => process.memoryUsage().heapUsed);
  metrics.gauge(
    "nodejs_external_memory_bytes",
    "Memory of buffers outside the heap.",
    () => process.memoryUsage().external,
  );
  // Looked at when the loop turns anyway: a timer for it would be most of what wakes an idle server.
  const delay = monitorEventLoopDelay({ samplePerIteration: true });
  delay.enable();
  metrics.gauge(
    "nodejs_eventloop_lag_seconds",
    "How long turns of the event loop took since the last scrape, by quantile.",
    () => {
      const samples = [0.5, 0.99].map((quantile) => ({
        labels: { quantile: String(quantile) },
        value: delay.percentile(quantile * 100) / 1e9,
      }));
      delay.reset();
      return samples;
    },
  );
  return () => delay.disable();
}
