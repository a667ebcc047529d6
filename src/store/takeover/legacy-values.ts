// Values as a headscale database holds them, on SQLite (text times, 0/1 or 'true') or PostgreSQL (Date, boolean).
// Every reader is tolerant: what cannot be read is undefined, and the caller reports it.

/** One row of any table, column name → value. */
export type Row = Readonly<Record<string, unknown>>;

export function textOf(value: unknown): string {
  if (typeof value === "string") {
    return value;
  }
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : "";
}

/** A whole number ≥ 0 within the safe range, else undefined. */
export function idOf(value: unknown): number | undefined {
  const number = typeof value === "bigint" || typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

export function flagOf(value: unknown): boolean {
  return value === true || value === 1 || value === 1n || /^(?:true|t|1)$/i.test(textOf(value));
}

/** As Go prints a time; years of five digits and more only where somebody asked for "never". */
const timeText = /^(\d{4,6})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?\s*(Z|[+-]\d{2}:?\d{2})?/;
/** Go's zero time. */
export const year1 = -62_135_596_800_000;
const year1900 = Date.UTC(1900, 0, 1);
/** The last instant of year 9999: texts of later times have another form. */
const latest = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Milliseconds since 1970; null for none, and for the year-1 zero time that older versions stored for "never". */
export function timeOf(value: unknown): number | null | undefined {
  const time = deadlineOf(value);
  return typeof time === "number" && time < year1900 ? null : time;
}

/** The same for the expiration of keys, where year 1 is long past: headscale takes such a key for expired. */
export function deadlineOf(value: unknown): number | null | undefined {
  if (value === null || value === undefined || value === "") {
    return null;
  }
  const time =
    value instanceof Date ? value.getTime() : typeof value === "string" ? parseTime(value) : countedTime(value);
  if (time === undefined || Number.isNaN(time)) {
    return undefined;
  }
  // What a Date cannot hold, PostgreSQL's 'infinity' too, is as good as never; and before year 1 there is nothing.
  return time > latest ? null : Math.max(time, year1);
}

/** SQLite keeps a number in a column of times as a number; headscale's driver reads it as seconds, or as milliseconds if large. */
function countedTime(value: unknown): number | undefined {
  const count = typeof value === "bigint" ? Number(value) : value;
  return typeof count !== "number" ? parseTime(textOf(value)) : Math.abs(count) > 1e12 ? count : count * 1000;
}

function parseTime(text: string): number | undefined {
  const match = timeText.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const base = new Date(0);
  base.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  base.setUTCHours(Number(hour), Number(minute), Number(second), Number((fraction ?? "").padEnd(3, "0").slice(0, 3)));
  return base.getTime() - zoneOffset(zone ?? "Z");
}

function zoneOffset(zone: string): number {
  if (zone === "Z") {
    return 0;
  }
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return (zone.startsWith("-") ? -minutes : minutes) * 60_000;
}

/** A JSON array of strings; NULL, '', 'null' and '[]' are all empty. Undefined when it is something else. */
export function listOf(value: unknown): readonly string[] | undefined {
  const json = jsonOf(value);
  if (json === null) {
    return [];
  }
  return Array.isArray(json) && json.every((item) => typeof item === "string") ? json : undefined;
}

/** Parsed JSON; null for NULL and '' too, undefined when it does not parse. */
export function jsonOf(value: unknown): unknown {
  if (value !== null && typeof value === "object" && !(value instanceof Uint8Array)) {
    return value;
  }
  const text = textOf(value).trim();
  if (text === "") {
    return null;
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
