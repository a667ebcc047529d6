// Changes to a HuJSON text that leave everything else as it was, comments included. A comment above an item, and one
// after it on its line, belong to the item: they stay when its value is replaced and go when it is removed.
import type { ArrayNode, HujsonNode, JsonValue, Member, ObjectNode } from "./hujson.ts";
import { parseHujson, printHujson } from "./hujson.ts";
import { formatHujson } from "./hujson-format.ts";

/** Names of members and indexes of elements, from the top. */
export type HujsonPath = readonly (string | number)[];

export type HujsonEdit =
  /** Replaces a value, or adds a member at the end of its object. */
  | { readonly op: "set"; readonly path: HujsonPath; readonly value: JsonValue }
  /** Adds an element at the end of the array at `path`. */
  | { readonly op: "append"; readonly path: HujsonPath; readonly value: JsonValue }
  | { readonly op: "remove"; readonly path: HujsonPath };

export type EditResult = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly error: string };

/** Applies edits one after the other, all or none. */
export function editHujson(text: string, edits: readonly HujsonEdit[]): EditResult {
  const parsed = parseHujson(text);
  if (!parsed.ok) {
    return { ok: false, error: parsed.error.message };
  }
  let root = parsed.value;
  for (const edit of edits) {
    const next = applyAt(root, edit, 0);
    if (typeof next === "string") {
      return { ok: false, error: next };
    }
    root = next;
  }
  return { ok: true, text: printHujson(root) };
}

/** `setMember(text, ["groups", "group:dev"], [...])`: one member set. */
export function setMember(text: string, path: HujsonPath, value: JsonValue): EditResult {
  return editHujson(text, [{ op: "set", path, value }]);
}

/** The node after the edit, or what is wrong with it. */
function applyAt(node: HujsonNode, edit: HujsonEdit, depth: number): HujsonNode | string {
  const step = edit.path[depth];
  if (step === undefined) {
    return applyHere(node, edit);
  }
  const last = depth === edit.path.length - 1;
  const where = `/${edit.path.slice(0, depth + 1).join("/")}`;
  if (node.kind === "object") {
    const index = node.members.findLastIndex(({ name }) => name.value === step);
    const member = node.members[index];
    if (member === undefined) {
      return last && edit.op === "set" ? withMember(node, String(step), edit.value) : `nothing at ${where}`;
    }
    if (last && edit.op === "remove") {
      return withoutMember(node, index);
    }
    const value = applyAt(member.value, edit, depth + 1);
    return typeof value === "string" ? value : { ...node, members: node.members.with(index, { ...member, value }) };
  }
  if (node.kind === "array" && typeof step === "number") {
    const element = node.elements[step];
    if (element === undefined) {
      return `nothing at ${where}`;
    }
    if (last && edit.op === "remove") {
      return withoutElement(node, step);
    }
    const value = applyAt(element, edit, depth + 1);
    return typeof value === "string" ? value : { ...node, elements: node.elements.with(step, value) };
  }
  return `nothing at ${where}`;
}

function applyHere(node: HujsonNode, edit: HujsonEdit): HujsonNode | string {
  switch (edit.op) {
    case "set":
      return { ...fresh(edit.value, indentOf(node.before)), before: node.before, after: node.after };
    case "append":
      return node.kind === "array" ? withElement(node, edit.value) : `/${edit.path.join("/")} is not an array`;
    case "remove":
      return "the whole document cannot be removed";
  }
}

/** A value as a tree, laid out as the formatter would on a line with this indentation. */
function fresh(value: JsonValue, indent: string): HujsonNode {
  const flat = formatHujson(JSON.stringify(value));
  const parsed = flat.ok ? parseHujson(flat.text.trimEnd().replaceAll("\n", `\n${indent}`)) : flat;
  if (!parsed.ok) {
    throw new TypeError(`not a JSON value: ${parsed.error.message}`);
  }
  return parsed.value;
}

/** White space at the beginning of the line that trivia ends in. */
function indentOf(trivia: string): string {
  const line = trivia.slice(trivia.lastIndexOf("\n") + 1);
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}

/** Splits trivia after the comment that belongs to the line before: what follows is the next item's. */
function splitLine(trivia: string): [string, string] {
  const [at] = lineBreaksIn(trivia);
  return at === undefined ? [trivia, ""] : [trivia.slice(0, at), trivia.slice(at)];
}

/** The last line break and what follows; all of it when there is none. */
function lastLineOf(trivia: string): string {
  return trivia.slice(lineBreaksIn(trivia).at(-1) ?? 0);
}

/** The line breaks that are not inside a block comment; those that end a line comment count. */
function lineBreaksIn(trivia: string): readonly number[] {
  const breaks: number[] = [];
  let at = 0;
  while (at < trivia.length) {
    if (trivia.startsWith("/*", at)) {
      const end = trivia.indexOf("*/", at + 2);
      at = end === -1 ? trivia.length : end + 2;
      continue;
    }
    if (trivia.startsWith("//", at)) {
      const end = trivia.indexOf("\n", at);
      at = end === -1 ? trivia.length : end;
    }
    if (trivia[at] === "\n") {
      breaks.push(at);
    }
    at += 1;
  }
  return breaks;
}

interface Room {
  /** Trivia before the new item. */
  readonly before: string;
  readonly close: string;
}

/** Makes room at the end: comments on the last item's line stay there, those below stay above the bracket. */
function roomAtEnd(close: string, sibling: string | undefined): Room {
  const [line, rest] = splitLine(close);
  if (sibling === undefined) {
    if (rest === "") {
      return { before: "", close };
    }
    const last = lastLineOf(rest);
    const indent = `\n${indentOf(last)}`;
    return last.trim() === ""
      ? { before: `${close}\t`, close: last }
      : { before: `${close}${indent}\t`, close: indent };
  }
  const own = sibling.lastIndexOf("\n") === -1 ? undefined : `\n${indentOf(sibling)}`;
  if (own === undefined) {
    return { before: rest === "" ? (line === "" ? " " : line) : close, close: "" };
  }
  const end = lastLineOf(rest);
  return { before: line + rest.slice(0, rest.length - end.length) + own, close: end };
}

function withMember(node: ObjectNode, name: string, value: JsonValue): ObjectNode {
  const room = roomAtEnd(node.close, node.members.at(-1)?.name.before);
  const place = { after: "", start: 0, end: 0 };
  const key = { kind: "string", raw: JSON.stringify(name), value: name, before: room.before, ...place } as const;
  const member: Member = { name: key, value: { ...fresh(value, indentOf(room.before)), before: " " } };
  return { ...node, members: [...node.members, member], close: room.close };
}

function withElement(node: ArrayNode, value: JsonValue): ArrayNode {
  const room = roomAtEnd(node.close, node.elements.at(-1)?.before);
  const element = { ...fresh(value, indentOf(room.before)), before: room.before };
  return { ...node, elements: [...node.elements, element], close: room.close };
}

function withoutMember(node: ObjectNode, index: number): ObjectNode {
  const before = node.members[index]?.name.before ?? "";
  const next = node.members[index + 1];
  const kept = node.members.toSpliced(index, 1);
  if (next === undefined) {
    const close = keepLine(before, node.close);
    const trailingComma = node.trailingComma && kept.length > 0;
    return { ...node, members: kept, trailingComma, close };
  }
  const name = { ...next.name, before: keepLine(before, next.name.before) };
  return { ...node, members: kept.with(index, { ...next, name }) };
}

function withoutElement(node: ArrayNode, index: number): ArrayNode {
  const before = node.elements[index]?.before ?? "";
  const next = node.elements[index + 1];
  const kept = node.elements.toSpliced(index, 1);
  if (next !== undefined) {
    return { ...node, elements: kept.with(index, { ...next, before: keepLine(before, next.before) }) };
  }
  const trailingComma = node.trailingComma && kept.length > 0;
  return { ...node, elements: kept, trailingComma, close: keepLine(before, node.close) };
}

/** Of two pieces of trivia around something removed: the line before keeps its comment, the rest of the first goes. */
function keepLine(removed: string, next: string): string {
  const [line] = splitLine(removed);
  const [, rest] = splitLine(next);
  const comment = line.includes("/") ? line : "";
  if (rest !== "") {
    return comment + rest;
  }
  // The next item stands on the same line: what is before it is its own.
  const own = removed.includes("\n") ? `\n${indentOf(removed)}${next.trimStart()}` : next;
  return comment + (removed === "" ? own.trimStart() : own);
}
