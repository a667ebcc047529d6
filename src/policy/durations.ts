// Durations as Go writes them (`1h30m`, `-1m`, `12h0m0s`): check periods are given so, and error texts repeat them.
import type { Parsed } from "./ports.ts";

const nanosecondsOf: ReadonlyMap<string, number> = new Map([
  ["ns", 1],
  ["us", 1e3],
  ["µs", 1e3],
  ["μs", 1e3],
  ["ms", 1e6],
  ["s", 1e9],
  ["m", 60e9],
  ["h", 3600e9],
]);

const part = /^(\d*)(?:\.(\d*))?([^\d.]*)/;

/** Milliseconds; error texts are those of Go's time package. */
export function parseDuration(text: string): Parsed<number> {
  const quoted = JSON.stringify(text);
  const invalid = { ok: false, error: `time: invalid duration ${quoted}` } as const;
  let rest = text;
  const negative = rest.startsWith("-");
  if (negative || rest.startsWith("+")) {
    rest = rest.slice(1);
  }
  if (rest === "0") {
    return { ok: true, value: 0 };
  }
  if (rest === "" || rest.length > 64) {
    return invalid;
  }
  let nanoseconds = 0;
  while (rest !== "") {
    const match = part.exec(rest);
    const whole = match?.[1] ?? "";
    const fraction = match?.[2] ?? "";
    const unit = match?.[3] ?? "";
    if (whole === "" && fraction === "") {
      return invalid;
    }
    if (unit === "") {
      return { ok: false, error: `time: missing unit in duration ${quoted}` };
    }
    const size = nanosecondsOf.get(unit);
    if (size === undefined) {
      return { ok: false, error: `time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}` };
    }
    nanoseconds += Number(`${whole === "" ? "0" : whole}.${fraction === "" ? "0" : fraction}`) * size;
    rest = rest.slice(match?.[0].length ?? rest.length);
  }
  // Go counts in int64 nanoseconds.
  return nanoseconds >= 2 ** 63 ? invalid : { ok: true, value: ((negative ? -1 : 1) * nanoseconds) / 1e6 };
}

/** As Go prints a duration: `168h0m1s`, `-1m0s`, `1.5s`, `0s`. */
export function formatDuration(milliseconds: number): string {
  const sign = milliseconds < 0 ? "-" : "";
  const total = Math.abs(milliseconds);
  if (total === 0) {
    return "0s";
  }
  if (total < 1000) {
    return total < 1 ? `${sign}${Math.round(total * 1000)}µs` : `${sign}${total}ms`;
  }
  const seconds = (total % 60_000) / 1000;
  const minutes = Math.floor(total / 60_000) % 60;
  const hours = Math.floor(total / 3_600_000);
  if (hours > 0) {
    return `${sign}${hours}h${minutes}m${seconds}s`;
  }
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}
