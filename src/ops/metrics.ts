// A small registry of metrics in Prometheus' text format. Rooms keep plain numbers; the registry reads them when it is
// asked, so that counting costs nothing. Histograms are the exception: they are told.

export type Labels = Readonly<Record<string, string>>;
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface Histogram {
  observe(value: number): void;
}

export interface HistogramCounts {
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface Metrics {
  /** Only ever grows; the name ends in `_total`. */
  counter(name: string, help: string, read: () => number | readonly Sample[]): void;
  gauge(name: string, help: string, read: () => number | readonly Sample[]): void;
  /** `bounds` ascending, without infinity. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram;
  /** A histogram that a room keeps itself: one count for each bound, not summed up, and one for what is above. */
  counts(name: string, help: string, bounds: readonly number[], read: () => HistogramCounts): void;
  /** Every number of a room's counters: `prefix_snake_case_name`, as a counter, or a gauge where `gauges` names it. */
  object<Counters extends object>(
    prefix: string,
    help: string,
    counters: Counters,
    gauges: readonly (keyof Counters)[],
  ): void;
  /** Text format 0.0.4. */
  render(): string;
}

export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";

export function createMetrics(): Metrics {
  const families = new Map<string, () => string>();

  function add(name: string, type: string, help: string, lines: () => readonly string[]): void {
    if (families.has(name)) {
      throw new Error(`metric ${name} exists already`);
    }
    const head = `# HELP ${name} ${help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}\n# TYPE ${name} ${type}\n`;
    families.set(name, () => `${head}${lines().join("\n")}\n`);
  }

  function read(name: string, type: "counter" | "gauge", help: string, value: () => number | readonly Sample[]): void {
    add(name, type, help, () => {
      const now = value();
      return typeof now === "number"
        ? [`${name} ${number(now)}`]
        : now.map((sample) => `${name}${labelText(sample.labels)} ${number(sample.value)}`);
    });
  }

  function addCounts(name: string, help: string, bounds: readonly number[], now: () => HistogramCounts): void {
    add(name, "histogram", help, () => {
      const { counts, sum } = now();
      let below = 0;
      const buckets = bounds.map((bound, index) => {
        below += counts[index] ?? 0;
        return `${name}_bucket{le="${bound}"} ${below}`;
      });
      const count = below + (counts[bounds.length] ?? 0);
      return [...buckets, `${name}_bucket{le="+Inf"} ${count}`, `${name}_sum ${number(sum)}`, `${name}_count ${count}`];
    });
  }

  return {
    counter: (name, help, value) => read(name, "counter", help, value),
    gauge: (name, help, value) => read(name, "gauge", help, value),
    histogram(name, help, bounds) {
      const counts = [...bounds, Infinity].map(() => 0);
      let sum = 0;
      addCounts(name, help, bounds, () => ({ counts, sum }));
      return {
        observe(value) {
          sum += value;
          const found = bounds.findIndex((bound) => value <= bound);
          const bucket = found === -1 ? bounds.length : found;
          counts[bucket] = (counts[bucket] ?? 0) + 1;
        },
      };
    },
    counts: addCounts,
    object(prefix, help, counters, gauges) {
      for (const [field, first] of Object.entries(counters)) {
        if (typeof first !== "number") {
          continue;
        }
        const isGauge = gauges.some((name) => name === field);
        const words = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
        const value = (): number => {
          const now: unknown = Reflect.get(counters, field);
          return typeof now === "number" ? now : 0;
        };
        const about = `${help}: ${words.replaceAll("_", " ")}`;
        read(`${prefix}_${words}${isGauge ? "" : "_total"}`, isGauge ? "gauge" : "counter", about, value);
      }
    },
    render: () => [...families.values()].map((family) => family()).join(""),
  };
}

function number(value: number): string {
  if (Number.isNaN(value)) {
    return "NaN";
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? "+Inf" : "-Inf";
  }
  return String(value);
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
