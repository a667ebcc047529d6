// Random HuJSON texts for property tests: plain values dressed in white space, comments and trailing commas.
import * as fc from "fast-check";
import type { JsonValue } from "./hujson.ts";

const anyName = fc.string({ unit: fc.constantFrom("a", "b", "é", "日", "\n", '"', "\\", "/", "😀"), maxLength: 8 });

const { value: plain } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom<JsonValue>(null, true, false, 0, -1.5, 1e21, "", "x"),
    anyName,
    fc.string(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(anyName, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

/** A JSON value. */
export const anyJson: fc.Arbitrary<JsonValue> = plain;

const anyTrivia = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant("") },
      fc.constantFrom(" ", "\n", "\n\n", "\t", "\r\n", "// note\n", "//\n", "/* c */", "/* a\n\t * b\n*/", "/**/"),
    ),
    { maxLength: 3 },
  )
  .map((parts) => parts.join(""));

export interface DressedText {
  readonly text: string;
  readonly value: JsonValue;
}

/** A value, and one of the many texts that say it. */
export const anyHujson: fc.Arbitrary<DressedText> = fc
  .tuple(anyJson, fc.infiniteStream(anyTrivia), fc.infiniteStream(fc.boolean()))
  .map(([value, trivia, commas]) => {
    const next = (): string => trivia.next().value;
    const dress = (value: JsonValue): string => {
      if (value === null || typeof value !== "object") {
        return JSON.stringify(value);
      }
      const items = Array.isArray(value)
        ? value.map((item: JsonValue) => next() + dress(item) + next())
        : Object.entries(value).map(
            ([name, item]) => `${next()}${JSON.stringify(name)}${next()}:${next()}${dress(item)}${next()}`,
          );
      const comma = items.length > 0 && commas.next().value ? `,${next()}` : "";
      const [open, close] = Array.isArray(value) ? "[]" : "{}";
      return `${open}${items.length === 0 ? next() : items.join(",")}${comma}${close}`;
    };
    return { text: next() + dress(value) + next(), value };
  });
