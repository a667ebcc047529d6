// The two ways to write a length of time in config.yaml: Go's ("1h30m", "800ms") and Prometheus' ("180d", "1y").
// Results are milliseconds.

const goUnits: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go keeps a duration as an int64 of nanoseconds: about 292 years. */
const goMax = (2 ** 63 - 1) / 1e6;

/** Reads Go's form: "0", or numbers with a unit each, with an optional sign before them. */
export function parseGoDuration(text: string): number | undefined {
  const match = /^([+-]?)(0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (match === null) {
    return undefined;
  }
  let sum = 0;
  for (const part of (match[2] ?? "").matchAll(/([\d.]+)([a-zµμ]+)/g)) {
    sum += Number(part[1]) * (goUnits[part[2] ?? ""] ?? Number.NaN);
  }
  return sum <= goMax ? (match[1] === "-" && sum !== 0 ? -sum : sum) : undefined;
}

const day = 86_400_000;

/** Reads Prometheus' form: whole numbers with units y (365 days), w, d, h, m, s, ms, largest first, each at most once; or "0". */
export function parsePrometheusDuration(text: string): number | undefined {
  if (text === "0") {
    return 0;
  }
  const match = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (match === null || text === "") {
    return undefined;
  }
  const sizes = [365 * day, 7 * day, day, 3_600_000, 60_000, 1000, 1];
  const sum = sizes.reduce((sum, size, index) => sum + Number(match[index + 1] ?? 0) * size, 0);
  return sum <= goMax ? sum : undefined;
}

/** Go's way to print one: "1h30m0s", "800ms", "0s". */
export function formatGoDuration(milliseconds: number): string {
  if (milliseconds === 0) {
    return "0s";
  }
  const sign = milliseconds < 0 ? "-" : "";
  const size = Math.abs(milliseconds);
  if (size < 1) {
    return size < 1e-3 ? `${sign}${trim(size * 1e6)}ns` : `${sign}${trim(size * 1e3)}µs`;
  }
  if (size < 1000) {
    return `${sign}${trim(size)}ms`;
  }
  const hours = Math.floor(size / 3_600_000);
  const minutes = Math.floor((size % 3_600_000) / 60_000);
  const seconds = `${trim((size % 60_000) / 1000)}s`;
  return sign + (hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "") + seconds;
}

function trim(value: number): string {
  return String(Number(value.toFixed(9)));
}

const prometheusUnits: readonly (readonly [unit: string, size: number])[] = [
  ["d", day],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

/** Prometheus' form: "180d", "1h30m", "0". Of whole milliseconds. */
export function formatPrometheusDuration(milliseconds: number): string {
  let rest = milliseconds;
  const parts = prometheusUnits.map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count === 0 ? "" : `${count}${unit}`;
  });
  return parts.join("") || "0";
}
