// Durations as people give them to --expiration: Prometheus' syntax (`90d`, `1h30m`), units from large to small.
import { CliError } from "./cli-error.ts";

const pattern = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;
const unitMs = [365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000, 1];

/** Milliseconds; undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") {
    return 0;
  }
  const match = text === "" ? null : pattern.exec(text);
  return match === null
    ? undefined
    : unitMs.reduce((sum, unit, index) => sum + Number(match[index + 1] ?? 0) * unit, 0);
}

/** When a key made now ends: a time, or null for `never`. Throws CliError in headscale's words. */
export function expirationFrom(text: string, now: number): number | null {
  if (text === "never") {
    return null;
  }
  const ms = parseDuration(text);
  if (ms === undefined) {
    throw new CliError(
      `parsing duration: not a valid duration string: ${JSON.stringify(text)} (like 30m, 24h, 90d, 1y, or never)`,
    );
  }
  if (ms === 0) {
    throw new CliError("an expiration of 0 makes a key that is dead at once; write never for a key without an end");
  }
  return now + ms;
}

/** `2006-01-02 15:04:05` in UTC, as tables show times; N/A for none. */
export function tableTime(ms: number | null, none = "N/A"): string {
  return ms === null ? none : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}
