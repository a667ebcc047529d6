// The flags a command was given, already checked against their declared types.

export interface Flags {
  given(name: string): boolean;
  /** The last value, or "". */
  text(name: string): string;
  /** The last value as a number; `fallback` when not given. */
  number(name: string, fallback: number): number;
  on(name: string): boolean;
  /** All values, split at commas, without empty ones. */
  list(name: string): readonly string[];
}

export function createFlags(texts: ReadonlyMap<string, readonly string[]>): Flags {
  const last = (name: string): string | undefined => texts.get(name)?.at(-1);
  return {
    given: (name) => texts.has(name),
    text: (name) => last(name) ?? "",
    number: (name, fallback) => (texts.has(name) ? Number(last(name)) : fallback),
    on: (name) => ["true", "1", "t"].includes((last(name) ?? "").toLowerCase()),
    list: (name) =>
      (texts.get(name) ?? [])
        .flatMap((text) => text.split(","))
        .map((text) => text.trim())
        .filter((text) => text !== ""),
  };
}
