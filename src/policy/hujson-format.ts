// Lays a HuJSON text out in the one way that tailscale/hujson's Format does, byte for byte: tabs, one item a line
// where an object or array has a line break before an item or is too long, aligned values, at most one blank line.
// Plain JSON stays plain; a text with comments or trailing commas gets a comma after every last item that has a line
// of its own. Formatting twice is formatting once.
import type { ArrayNode, HujsonNode, HujsonResult, ObjectNode } from "./hujson.ts";
import { parseHujson, utf8Length } from "./hujson.ts";
import { commentsOf, continued, itemTrivia, outerTrivia, stringText } from "./hujson-trivia.ts";
import type { Layout } from "./hujson-layout.ts";
import { isStandard, itemsOf, layoutOf } from "./hujson-layout.ts";

export type FormatResult = { readonly ok: true; readonly text: string } | Extract<HujsonResult, { readonly ok: false }>;

/** The text laid out; a text that is not HuJSON gives its error. */
export function formatHujson(text: string): FormatResult {
  const parsed = parseHujson(text);
  return parsed.ok ? { ok: true, text: formatNode(parsed.value) } : parsed;
}

/** A whole document, laid out. */
export function formatNode(root: HujsonNode): string {
  const printer: Printer = { layout: layoutOf(root), trailingCommas: !isStandard(root) };
  return `${outerTrivia(root.before, "before")}${valueText(root, 0, printer)}${outerTrivia(root.after, "after")}\n`;
}

interface Printer {
  readonly layout: Layout;
  readonly trailingCommas: boolean;
}

function valueText(node: HujsonNode, depth: number, printer: Printer): string {
  switch (node.kind) {
    case "object":
    case "array":
      return compositeText(node, depth, printer);
    case "string":
      return stringText(node.raw, node.value);
    case "null":
    case "boolean":
    case "number":
      return node.raw;
  }
}

/** One item: what stands before its value on the line, the value, and what stands before the comma. */
interface ItemText {
  readonly before: string;
  /** The name, its colon and trivia, without the space before the value; "" in an array. */
  readonly label: string;
  readonly value: string;
  readonly after: string;
  /** More than one line from the name to the comma. */
  readonly tall: boolean;
}

function compositeText(node: ObjectNode | ArrayNode, depth: number, printer: Printer): string {
  const expanded = printer.layout.expanded.has(node);
  const [open, shut] = node.kind === "object" ? ["{", "}"] : ["[", "]"];
  const items = itemTexts(node, depth, expanded, printer);
  const pads = expanded && node.kind === "object" ? padding(items) : [];
  let text = open;
  items.forEach(({ before, label, value, after }, index) => {
    const gap = label === "" || label.endsWith("\t") ? "" : " ".repeat(pads[index] ?? 1);
    text += `${index === 0 ? "" : ","}${before}${label}${gap}${value}${after}`;
  });
  return text + ending(node, depth, expanded, printer) + shut;
}

function itemTexts(node: ObjectNode | ArrayNode, depth: number, expanded: boolean, printer: Printer): ItemText[] {
  const inner = expanded ? depth + 1 : depth;
  return itemsOf(node).map(({ name, value }, index) => {
    const before = itemTrivia(name?.before ?? value.before, { first: index === 0, expanded, indent: depth + 1 });
    const after = continued(value.after, depth + 2, "comma");
    if (name === undefined) {
      return { before, label: "", value: valueText(value, inner, printer), after, tall: false };
    }
    const toColon = continued(name.after, depth + 2, "colon");
    const toValue = continued(value.before, depth + 2, "value");
    const label = `${stringText(name.raw, name.value)}${toColon}:${toValue.replace(/ $/, "")}`;
    // A value that begins on another line than its name is one level further in.
    const valueDepth = label.includes("\n") ? inner + 1 : inner;
    const tall = `${label}${after}`.includes("\n") || printer.layout.tall.has(value);
    return { before, label, value: valueText(value, valueDepth, printer), after, tall };
  });
}

/** From the last item to the closing bracket. */
function ending(node: ObjectNode | ArrayNode, depth: number, expanded: boolean, printer: Printer): string {
  const items = itemsOf(node);
  if (expanded) {
    const comma = printer.trailingCommas && items.length > 0 ? "," : "";
    return comma + itemTrivia(node.close, { first: items.length === 0, expanded, indent: depth + 1, closing: depth });
  }
  const last = items.at(-1)?.value.after ?? "";
  const close = itemTrivia(node.close, { first: true, expanded, indent: depth + 1 });
  if (!node.trailingComma || commentsOf(last).length === 0) {
    return close;
  }
  // Trivia before a comma that goes stays; with trivia on both sides the comma stays too.
  return close === "" ? "" : `,${close}`;
}

/** How many spaces stand before each value: values of neighbours in lines of their own begin in one column. */
function padding(items: readonly ItemText[]): number[] {
  const pads: number[] = items.map(() => 1);
  let start = 0;
  items.forEach((item, index) => {
    const next = items[index + 1];
    if (next !== undefined && !breaks(item, next)) {
      return;
    }
    const widths = items.slice(start, index + 1).map(({ label }) => utf8Length(label));
    const widest = Math.max(...widths);
    widths.forEach((width, offset) => {
      pads[start + offset] = widest - width + 1;
    });
    start = index + 1;
  });
  return pads;
}

/** Are these two neighbours aligned apart? */
function breaks(item: ItemText, next: ItemText): boolean {
  return item.tall || next.tall || next.before.indexOf("\n") !== next.before.lastIndexOf("\n");
}
