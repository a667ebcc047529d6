// The tree of a HuJSON text: values keep what was written, and the white space and comments (the trivia) around them,
// so that printing a tree gives back the text.

/** A value with the trivia before and after it. `start` and `end` bound the value alone, as offsets in the text. */
export interface Placed {
  readonly before: string;
  readonly after: string;
  readonly start: number;
  readonly end: number;
}

export interface LiteralNode extends Placed {
  readonly kind: "null" | "boolean" | "number" | "string";
  /** As written. */
  readonly raw: string;
  readonly value: null | boolean | number | string;
}

export interface NameNode extends Placed {
  readonly kind: "string";
  readonly raw: string;
  readonly value: string;
}

export interface Member {
  /** Its `after` ends at the colon. */
  readonly name: NameNode;
  /** Its `before` begins after the colon; its `after` ends at the comma and is "" where no comma follows. */
  readonly value: HujsonNode;
}

export interface ObjectNode extends Placed {
  readonly kind: "object";
  readonly members: readonly Member[];
  readonly trailingComma: boolean;
  /** Trivia before the closing brace. */
  readonly close: string;
}

export interface ArrayNode extends Placed {
  readonly kind: "array";
  readonly elements: readonly HujsonNode[];
  readonly trailingComma: boolean;
  /** Trivia before the closing bracket. */
  readonly close: string;
}

export type HujsonNode = LiteralNode | ObjectNode | ArrayNode;

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** The text of the tree, its trivia included: what it was read from. */
export function printHujson(node: HujsonNode): string {
  const parts: string[] = [];
  print(node, parts);
  return parts.join("");
}

function print(node: HujsonNode, parts: string[]): void {
  parts.push(node.before);
  switch (node.kind) {
    case "object":
      parts.push("{");
      for (const [index, { name, value }] of node.members.entries()) {
        parts.push(index === 0 ? "" : ",", name.before, name.raw, name.after, ":");
        print(value, parts);
      }
      parts.push(node.trailingComma ? "," : "", node.close, "}");
      break;
    case "array":
      parts.push("[");
      for (const [index, element] of node.elements.entries()) {
        parts.push(index === 0 ? "" : ",");
        print(element, parts);
      }
      parts.push(node.trailingComma ? "," : "", node.close, "]");
      break;
    case "null":
    case "boolean":
    case "number":
    case "string":
      parts.push(node.raw);
  }
  parts.push(node.after);
}

/** The plain value. Of members with one name the last wins; `__proto__` is a name like any other. */
export function toJson(node: HujsonNode): JsonValue {
  switch (node.kind) {
    case "object":
      return Object.fromEntries(node.members.map(({ name, value }) => [name.value, toJson(value)]));
    case "array":
      return node.elements.map(toJson);
    case "null":
    case "boolean":
    case "number":
    case "string":
      return node.value;
  }
}

export interface DuplicateName {
  readonly name: string;
  /** JSON pointer of the object. */
  readonly within: string;
  /** Where the name stands the first time and again. */
  readonly first: number;
  readonly second: number;
}

/** Names that stand twice in one object, in the order of the text. */
export function findDuplicateNames(root: HujsonNode): DuplicateName[] {
  const found: DuplicateName[] = [];
  const visit = (node: HujsonNode, within: string): void => {
    if (node.kind === "array") {
      node.elements.forEach((element, index) => visit(element, `${within}/${index}`));
    } else if (node.kind === "object") {
      const seen = new Map<string, number>();
      for (const { name, value } of node.members) {
        const first = seen.get(name.value);
        if (first === undefined) {
          seen.set(name.value, name.start);
        } else {
          found.push({ name: name.value, within, first, second: name.start });
        }
        visit(value, `${within}/${name.value.replaceAll("~", "~0").replaceAll("/", "~1")}`);
      }
    }
  };
  visit(root, "");
  return found;
}

/** The member's value, by exact name; the last one where the name stands twice. */
export function memberOf(node: HujsonNode, name: string): HujsonNode | undefined {
  return node.kind === "object" ? node.members.findLast((member) => member.name.value === name)?.value : undefined;
}
