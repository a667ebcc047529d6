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
  return value === true || value === 1 || value === 1n || value === "true" || value === "1" || value === "t";
}

const timeText = /^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?\s*(Z|[+-]\d{2}:?\d{2})?/;
const year1900 = Date.UTC(1900, 0, 1);

/** Milliseconds since 1970; null for none, and for the year-1 zero time that older versions stored for "never". */
export function timeOf(value: unknown): number | null | undefined {
  if (value === null || value === undefined || value === "") {
    return null;
  }
  const time = value instanceof Date ? value.getTime() : parseTime(textOf(value));
  if (time === undefined || Number.isNaN(time)) {
    return undefined;
  }
  return time < year1900 ? null : time;
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
