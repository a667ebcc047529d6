// The tree that a configuration text says, before it means anything: every plain value is kept as the text that was
// written (a file mode of 0770 and a password of 0123 are not numbers), with the line of each key.

/** Null is an empty value, which counts as not set. */
export type Raw = null | string | readonly Raw[] | RawMap;

export interface RawMap {
  readonly entries: readonly RawEntry[];
}

export interface RawEntry {
  /** As written. */
  readonly name: string;
  /** From 1; null where there are no lines (the environment). */
  readonly line: number | null;
  readonly value: Raw;
}

export function isRawMap(raw: Raw): raw is RawMap {
  return raw !== null && typeof raw === "object" && "entries" in raw && !isRawList(raw);
}

export function isRawList(raw: Raw): raw is readonly Raw[] {
  return Array.isArray(raw);
}

/** What to call it in a message. */
export function kindOf(raw: Raw): string {
  return raw === null ? "empty" : typeof raw === "string" ? "a text" : isRawList(raw) ? "a list" : "a section";
}

/** A value out of JSON (an environment variable may hold one). */
export function rawFromJson(value: unknown): Raw {
  if (value === null || value === undefined) {
    return null;
  }
  if (Array.isArray(value)) {
    return value.map(rawFromJson);
  }
  if (typeof value === "object") {
    return {
      entries: Object.entries(value).map(([name, inner]) => ({ name, line: null, value: rawFromJson(inner) })),
    };
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
