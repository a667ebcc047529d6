// Reads objects of the policy by their declared fields: names in any letter case, each at most once, none unknown.
// `null` is the same as leaving a field out, as it is to Go's decoder.
import type { Json } from "../wire/tailcfg.ts";
import { didYouMean } from "./name-hints.ts";
import type { Problems } from "./problems.ts";
import { toJson, type Located, type SourceMember, type SourceValue } from "./source.ts";

const kindNames: Readonly<Record<SourceValue["kind"], string>> = {
  object: "an object",
  array: "an array",
  string: "a string",
  number: "a number",
  boolean: "a boolean",
  null: "null",
};

/** The fields of one object, by declared name. */
export type Fields = ReadonlyMap<string, SourceValue>;

export interface FieldRules {
  /** Declared names, in their documented spelling. */
  readonly names: readonly string[];
  /** Old spelling (lower case) → declared name. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Members whose name begins so are left out: metadata that admin tools keep there. */
  readonly ignorePrefix?: string;
}

export class Shape {
  readonly #problems: Problems;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  /** Undefined (and an error) when the value is no object; unknown and repeated fields are errors. */
  fields(value: SourceValue, what: string, rules: FieldRules): Fields | undefined {
    if (value.kind !== "object") {
      this.#mismatch(value, what, "an object");
      return undefined;
    }
    const declared = new Map(rules.names.map((name) => [name.toLowerCase(), name]));
    const found = new Map<string, SourceValue>();
    for (const member of value.members) {
      if (rules.ignorePrefix !== undefined && member.name.startsWith(rules.ignorePrefix)) {
        continue;
      }
      const lower = member.name.toLowerCase();
      const name = declared.get(rules.aliases?.[lower]?.toLowerCase() ?? lower);
      if (name === undefined) {
        this.#unknown(member, rules.names);
      } else if (found.has(name)) {
        this.#problems.error(member.at, `duplicate field: "${member.name}"`, `"${name}" is already given above`);
      } else {
        found.set(name, member.value);
      }
    }
    for (const [name, item] of found) {
      if (item.kind === "null") {
        found.delete(name);
      }
    }
    return found;
  }

  #unknown(member: SourceMember, names: readonly string[]): void {
    this.#problems.error(member.at, `unknown field: "${member.name}"`, () =>
      didYouMean(member.name, names, `known here: ${names.join(", ")}`),
    );
  }

  #mismatch(value: SourceValue, what: string, wanted: string): void {
    this.#problems.error(value.at, `${what} must be ${wanted}, not ${kindNames[value.kind]}`);
  }

  /** The members of a map from free names. */
  members(value: SourceValue | undefined, what: string): readonly SourceMember[] {
    if (value === undefined || value.kind === "null") {
      return [];
    }
    if (value.kind !== "object") {
      this.#mismatch(value, what, "an object");
      return [];
    }
    return value.members;
  }

  items(value: SourceValue | undefined, what: string): readonly SourceValue[] {
    if (value === undefined || value.kind === "null") {
      return [];
    }
    if (value.kind !== "array") {
      this.#mismatch(value, what, "an array");
      return [];
    }
    return value.items;
  }

  strings(value: SourceValue | undefined, what: string): readonly Located[] {
    return this.items(value, what).flatMap((item) => {
      const text = this.string(item, `each entry of ${what}`);
      return text === undefined ? [] : [text];
    });
  }

  string(value: SourceValue | undefined, what: string): Located | undefined {
    if (value === undefined) {
      return undefined;
    }
    if (value.kind !== "string") {
      this.#mismatch(value, what, "a string");
      return undefined;
    }
    return { text: value.value, at: value.at };
  }

  boolean(value: SourceValue | undefined, what: string): boolean | undefined {
    if (value === undefined) {
      return undefined;
    }
    if (value.kind !== "boolean") {
      this.#mismatch(value, what, "true or false");
      return undefined;
    }
    return value.value;
  }

  /** The values of one capability: an array of any values; null is the empty list. */
  jsonList(value: SourceValue, what: string): readonly Json[] {
    return this.items(value, what).map(toJson);
  }
}
