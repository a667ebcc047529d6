// How long changes take from being accepted to being written, as counts by bucket, so that telling ten thousand
// sessions is one addition.

/** Upper bounds of the buckets, seconds. The last bucket has none. */
export const latencyBounds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10,
];

export interface Latency {
  /** One for each bound, and one for what is above them all. */
  readonly counts: number[];
  /** Of all values, seconds. */
  sum: number;
}

export function createLatency(): Latency {
  return { counts: Array.from({ length: latencyBounds.length + 1 }, () => 0), sum: 0 };
}

/** The same value so many times. A clock that was set back counts as no time at all. */
export function observeLatency(latency: Latency, seconds: number, times: number): void {
  const value = Math.max(0, seconds);
  const found = latencyBounds.findIndex((bound) => value <= bound);
  const bucket = found === -1 ? latencyBounds.length : found;
  latency.counts[bucket] = (latency.counts[bucket] ?? 0) + times;
  latency.sum += value * times;
}

/** Adds to `sum` what `now` has grown by since `before`. */
export function addLatency(sum: Latency, now: Latency, before: Latency | undefined): void {
  now.counts.forEach((count, bucket) => {
    sum.counts[bucket] = (sum.counts[bucket] ?? 0) + count - (before?.counts[bucket] ?? 0);
  });
  sum.sum += now.sum - (before?.sum ?? 0);
}
