// Which objects and arrays have their items on lines of their own: those where the text has a line break before an
// item or the closing bracket, and those that would make a line too long.
import type { ArrayNode, HujsonNode, Member, NameNode, ObjectNode } from "./hujson.ts";
import { utf8Length } from "./hujson.ts";
import type { Extent } from "./hujson-trivia.ts";
import { commentsOf, stringText, triviaExtent } from "./hujson-trivia.ts";

/** An element, or a member with its name. */
export interface Item {
  readonly name: NameNode | undefined;
  readonly value: HujsonNode;
}

export function itemsOf(node: ObjectNode | ArrayNode): readonly Item[] {
  return node.kind === "object"
    ? node.members.map(({ name, value }: Member) => ({ name, value }))
    : node.elements.map((value) => ({ name: undefined, value }));
}

/** Plain JSON: no comments, no trailing commas. */
export function isStandard(node: HujsonNode): boolean {
  const plain = (trivia: string): boolean => !trivia.includes("/");
  if (!plain(node.before) || !plain(node.after)) {
    return false;
  }
  return (
    (node.kind !== "object" && node.kind !== "array") ||
    (!node.trailingComma &&
      plain(node.close) &&
      itemsOf(node).every(
        ({ name, value }) => (name === undefined || (plain(name.before) && plain(name.after))) && isStandard(value),
      ))
  );
}

export interface Layout {
  /** Objects and arrays that have their items on lines of their own. */
  readonly expanded: ReadonlySet<HujsonNode>;
  /** Objects and arrays that take more than one line. Empty ones count as one line, whatever comments they hold. */
  readonly tall: ReadonlySet<HujsonNode>;
}

export function layoutOf(root: HujsonNode): Layout {
  const sets = { expanded: new Set<HujsonNode>(), tall: new Set<HujsonNode>() };
  measure(root, sets);
  return sets;
}

type Sets = { readonly expanded: Set<HujsonNode>; readonly tall: Set<HujsonNode> };

/** Longest line an object or array may make, in bytes, counted from its opening bracket with a comma after each item. */
const longestLine = 80;

function measure(node: HujsonNode, sets: Sets): Extent {
  if (node.kind === "object" || node.kind === "array") {
    return measureComposite(node, sets);
  }
  const length = utf8Length(node.kind === "string" ? stringText(node.raw, node.value) : node.raw);
  return { first: length, last: length, lines: false };
}

/** The line as it grows, item by item. */
class Line {
  #length = 0;
  #first: number | undefined;
  tooLong = false;
  /** More than one line, those of empty objects and arrays left out. */
  tall = false;

  add(length: number): void {
    this.#length += length;
    this.tooLong ||= this.#length > longestLine;
  }

  addTrivia(trivia: Extent): void {
    this.add(trivia.first);
    if (trivia.lines) {
      this.tall = true;
      this.#break(trivia.last);
    }
  }

  addValue(extent: Extent): void {
    this.add(extent.first);
    if (extent.lines) {
      this.#break(extent.last);
    }
  }

  #break(length: number): void {
    this.#first ??= this.#length;
    this.#length = length;
  }

  extent(): Extent {
    return { first: this.#first ?? this.#length, last: this.#length, lines: this.#first !== undefined };
  }
}

function measureComposite(node: ObjectNode | ArrayNode, sets: Sets): Extent {
  const items = itemsOf(node);
  if (items.length === 0) {
    return measureEmpty(node, sets);
  }
  const line = new Line();
  line.add(1);
  for (const { name, value } of items) {
    line.addTrivia(triviaExtent(name?.before ?? value.before, "item"));
    if (name !== undefined) {
      line.add(utf8Length(stringText(name.raw, name.value)));
      line.addTrivia(triviaExtent(name.after, "mark"));
      line.add(2);
      line.addTrivia(triviaExtent(value.before, "item"));
    }
    line.addValue(measure(value, sets));
    line.tall ||= sets.tall.has(value);
    line.addTrivia(triviaExtent(value.after, "mark"));
    line.add(2);
  }
  line.add(1);
  if (line.tooLong || hasLineBreaks(node, items)) {
    sets.expanded.add(node);
    sets.tall.add(node);
    // Comments right after the bracket count to its line, even where they move to the next.
    const head = triviaExtent(items[0]?.name?.before ?? items[0]?.value.before ?? "", "item");
    return { first: 1 + head.first, last: 1, lines: true };
  }
  if (line.tall) {
    sets.tall.add(node);
  }
  return line.extent();
}

function measureEmpty(node: ObjectNode | ArrayNode, sets: Sets): Extent {
  const close = triviaExtent(node.close, "mark");
  if (!close.lines) {
    return { first: 2, last: 2, lines: false };
  }
  sets.expanded.add(node);
  return { first: 1 + close.first, last: 1, lines: true };
}

function hasLineBreaks(node: ObjectNode | ArrayNode, items: readonly Item[]): boolean {
  const last = items.at(-1)?.value.after ?? "";
  return (
    node.close.includes("\n") ||
    (last.includes("\n") && commentsOf(last).length > 0) ||
    items.some(({ name, value }) => (name?.before ?? value.before).includes("\n"))
  );
}
