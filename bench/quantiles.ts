// Quantiles: of values one has, and of a server's histogram between two readings of its metrics.

/** The least value that at least this part of them does not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const ascending = values.toSorted((a, b) => a - b);
  return ascending[Math.max(0, Math.ceil(ascending.length * part) - 1)] ?? NaN;
}

type Metrics = ReadonlyMap<string, number>;

/** Between a bucket's bounds values count as evenly spread; above the last bound, as that bound. Seconds. */
export function histogramQuantile(name: string, before: Metrics, after: Metrics, part: number): number {
  const buckets = [...after.keys()]
    .flatMap((key) => {
      const bound = new RegExp(`^${name}_bucket\\{le="([^"]+)"\\}$`).exec(key)?.[1];
      const count = (after.get(key) ?? 0) - (before.get(key) ?? 0);
      return bound === undefined ? [] : [{ bound: bound === "+Inf" ? Infinity : Number(bound), count }];
    })
    .sort((a, b) => a.bound - b.bound);
  const wanted = (buckets.at(-1)?.count ?? 0) * part;
  let below = { bound: 0, count: 0 };
  for (const bucket of buckets) {
    if (bucket.count >= wanted && bucket.count > below.count) {
      if (bucket.bound === Infinity) {
        return below.bound;
      }
      const inside = (wanted - below.count) / (bucket.count - below.count);
      return below.bound + (bucket.bound - below.bound) * inside;
    }
    below = bucket;
  }
  return NaN;
}
