// From the lossless HuJSON tree to the small tree the checker works on. A text of nothing but white space is `null`: no
// policy, as in headscale.
import { findDuplicateNames, parseHujson, type HujsonError, type HujsonNode } from "./hujson.ts";
import type { SourceValue } from "./source.ts";

export type SourceResult =
  | { readonly ok: true; readonly value: SourceValue }
  | { readonly ok: false; readonly error: Pick<HujsonError, "message" | "offset"> };

/** Names given twice are refused: which of the two counts would be a guess. */
export function parseSource(text: string): SourceResult {
  if (text.trim() === "") {
    return { ok: true, value: { kind: "null", at: 0 } };
  }
  const parsed = parseHujson(text);
  if (!parsed.ok) {
    return parsed;
  }
  const [duplicate] = findDuplicateNames(parsed.value);
  return duplicate === undefined
    ? { ok: true, value: convert(parsed.value) }
    : {
        ok: false,
        error: { message: `duplicate object name ${JSON.stringify(duplicate.name)}`, offset: duplicate.second },
      };
}

function convert(node: HujsonNode): SourceValue {
  const at = node.start;
  switch (node.kind) {
    case "object":
      return {
        kind: "object",
        at,
        members: node.members.map(({ name, value }) => ({ name: name.value, at: name.start, value: convert(value) })),
      };
    case "array":
      return { kind: "array", at, items: node.elements.map(convert) };
    case "null":
    case "boolean":
    case "number":
    case "string":
      return literal(at, node.value);
  }
}

function literal(at: number, value: null | boolean | number | string): SourceValue {
  if (value === null) {
    return { kind: "null", at };
  }
  if (typeof value === "boolean") {
    return { kind: "boolean", at, value };
  }
  return typeof value === "number" ? { kind: "number", at, value } : { kind: "string", at, value };
}
