// A policy text as a tree of values that know where they stand. The checker works on this small shape, whoever parsed
// the text; offsets are UTF-16 code units from the start.
import type { Json } from "../wire/tailcfg.ts";

export type SourceValue =
  | { readonly kind: "object"; readonly at: number; readonly members: readonly SourceMember[] }
  | { readonly kind: "array"; readonly at: number; readonly items: readonly SourceValue[] }
  | { readonly kind: "string"; readonly at: number; readonly value: string }
  | { readonly kind: "number"; readonly at: number; readonly value: number }
  | { readonly kind: "boolean"; readonly at: number; readonly value: boolean }
  | { readonly kind: "null"; readonly at: number };

export interface SourceMember {
  readonly name: string;
  readonly at: number;
  readonly value: SourceValue;
}

/** A text and where it stands. */
export interface Located {
  readonly text: string;
  readonly at: number;
}

/** The value without its positions, as carried on the wire. */
export function toJson(value: SourceValue): Json {
  switch (value.kind) {
    case "object":
      return Object.fromEntries(value.members.map((member) => [member.name, toJson(member.value)]));
    case "array":
      return value.items.map(toJson);
    case "string":
    case "number":
    case "boolean":
      return value.value;
    case "null":
      return null;
  }
}
