// HuJSON: JSON with `//` and `/* */` comments and trailing commas, read without loss. Every byte of the text is in
// the tree: values keep what was written, and the white space and comments (the trivia) around them, so that printing
// a tree gives back the text. What is accepted and how faults are worded follows tailscale/hujson; duplicate names
// are left to the reader above (findDuplicateNames).

import type { ArrayNode, HujsonNode, LiteralNode, Member, NameNode, ObjectNode, Placed } from "./hujson-tree.ts";

export type {
  ArrayNode,
  DuplicateName,
  HujsonNode,
  JsonValue,
  LiteralNode,
  Member,
  NameNode,
  ObjectNode,
} from "./hujson-tree.ts";
export { findDuplicateNames, memberOf, printHujson, toJson } from "./hujson-tree.ts";

export interface HujsonError {
  /** `hujson: line 3, column 5: …`, as Go's hujson words it. */
  readonly message: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in bytes of UTF-8, as Go counts. */
  readonly column: number;
  /** In UTF-16 code units, from 0: an index into the text. */
  readonly offset: number;
}

export type HujsonResult =
  | { readonly ok: true; readonly value: HujsonNode }
  | { readonly ok: false; readonly error: HujsonError };

/** Nesting beyond this is refused: no policy comes near it, and readers of the tree may recurse. */
export const maxHujsonDepth = 128;
/** Longer texts are refused, in UTF-16 code units. */
export const maxHujsonLength = 4 * 1024 * 1024;

export function parseHujson(text: string): HujsonResult {
  if (text.length > maxHujsonLength) {
    return { ok: false, error: errorAt(text, 0, `text is longer than ${maxHujsonLength} bytes`) };
  }
  const reader = new Reader(text);
  try {
    return { ok: true, value: reader.document() };
  } catch (fault) {
    if (fault instanceof Fault) {
      return { ok: false, error: errorAt(text, fault.offset, fault.text) };
    }
    throw fault;
  }
}

function errorAt(text: string, offset: number, reason: string): HujsonError {
  const { line, column } = positionOf(text, offset);
  return { message: `hujson: line ${line}, column ${column}: ${reason}`, line, column, offset };
}

/** Line and column of an offset, both from 1; the column counts bytes of UTF-8. */
export function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  let line = 1;
  let lineStart = 0;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) {
    line++;
    lineStart = at + 1;
  }
  return { line, column: utf8Length(text, lineStart, offset) + 1 };
}

/** How many bytes this part of the text has in UTF-8; a lone surrogate counts as the three of U+FFFD. */
export function utf8Length(text: string, from = 0, to = text.length): number {
  let bytes = 0;
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x80) {
      bytes++;
    } else if (c < 0x800) {
      bytes += 2;
    } else if (c >= 0xd800 && c < 0xdc00 && i + 1 < to && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 4;
      i++;
    } else {
      bytes += 3;
    }
  }
  return bytes;
}

/** Ends the reading; never leaves this file. */
class Fault extends Error {
  readonly offset: number;
  readonly text: string;

  constructor(offset: number, text: string) {
    super(text);
    this.offset = offset;
    this.text = text;
  }
}

const tab = 0x09;
const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const star = 0x2a;
const comma = 0x2c;
const slash = 0x2f;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** What a bare word or a number may consist of; whether it is one is asked afterwards. */
const word = /[-+.0-9A-Za-z]+/y;
const numberForm = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;
const escape = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): HujsonNode {
    const before = this.#trivia();
    const value = this.#value(before);
    const after = this.#trivia();
    if (this.#at < this.#text.length) {
      throw this.#unexpected("after top-level value");
    }
    return { ...value, after };
  }

  /** White space and comments from here on. A `/` that begins no comment is left. */
  #trivia(): string {
    const text = this.#text;
    const start = this.#at;
    for (;;) {
      const c = text.charCodeAt(this.#at);
      if (c === space || c === newline || c === tab || c === carriageReturn) {
        this.#at++;
      } else if (c !== slash || !this.#comment()) {
        return start === this.#at ? "" : text.slice(start, this.#at);
      }
    }
  }

  /** Passes over a comment; false when there is none here. */
  #comment(): boolean {
    const text = this.#text;
    const start = this.#at;
    const kind = text.charCodeAt(start + 1);
    if (kind !== slash && kind !== star) {
      return false;
    }
    const stop = kind === slash ? text.indexOf("\n", start + 2) : text.indexOf("*/", start + 2);
    if (kind === slash) {
      this.#refuseSeparator(start, stop === -1 ? text.length : stop);
    }
    if (stop === -1) {
      throw new Fault(start, "parsing comment: unexpected EOF");
    }
    const end = stop + (kind === slash ? 1 : 2);
    if (!text.slice(start, end).isWellFormed()) {
      throw new Fault(start, "invalid UTF-8 in comment");
    }
    this.#at = end;
    return true;
  }

  /** Go's hujson refuses U+2028 and U+2029 in a line comment: JavaScript ends the line there. */
  #refuseSeparator(start: number, end: number): void {
    const comment = this.#text.slice(start, end);
    const at = comment.search(/[\u2028\u2029]/);
    if (at !== -1 && comment.isWellFormed()) {
      this.#at = start + at;
      throw this.#unexpected("in line comment");
    }
  }

  #unexpected(where: string): Fault {
    const char = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    return new Fault(this.#at, `invalid character ${quoteChar(char)} ${where}`);
  }

  #value(before: string): HujsonNode {
    const start = this.#at;
    if (start >= this.#text.length) {
      throw new Fault(start, "parsing value: unexpected EOF");
    }
    switch (this.#text.charCodeAt(start)) {
      case openBrace:
        return this.#nested(start, () => this.#object(before, start));
      case openBracket:
        return this.#nested(start, () => this.#array(before, start));
      case quote:
        return this.#string(before, start);
      default:
        return this.#word(before, start);
    }
  }

  #nested<T>(start: number, read: () => T): T {
    this.#depth++;
    if (this.#depth > maxHujsonDepth) {
      throw new Fault(start, `nested more than ${maxHujsonDepth} levels deep`);
    }
    this.#at++;
    const node = read();
    this.#depth--;
    return node;
  }

  #object(before: string, start: number): ObjectNode {
    const members: Member[] = [];
    for (;;) {
      const trivia = this.#trivia();
      if (this.#text.charCodeAt(this.#at) === closeBrace) {
        return this.#closed({ kind: "object", before, members, trailingComma: members.length > 0 }, trivia, start);
      }
      const name = this.#name(trivia);
      const value = this.#value(this.#trivia());
      const end = this.#afterItem("object");
      members.push({ name, value: { ...value, after: end.comma ? end.trivia : "" } });
      if (!end.comma) {
        return this.#closed({ kind: "object", before, members, trailingComma: false }, end.trivia, start);
      }
    }
  }

  #name(before: string): NameNode {
    const start = this.#at;
    const name = this.#value(before);
    const after = this.#trivia();
    if (name.kind !== "string" || typeof name.value !== "string") {
      this.#at = start;
      throw this.#unexpected("at start of object name");
    }
    if (this.#text.charCodeAt(this.#at) !== colon) {
      throw this.#at >= this.#text.length
        ? new Fault(this.#at, "parsing object after name: unexpected EOF")
        : this.#unexpected("after object name");
    }
    this.#at++;
    return { kind: "string", raw: name.raw, value: name.value, before, after, start, end: name.end };
  }

  #array(before: string, start: number): ArrayNode {
    const elements: HujsonNode[] = [];
    for (;;) {
      const trivia = this.#trivia();
      if (this.#text.charCodeAt(this.#at) === closeBracket) {
        return this.#closed({ kind: "array", before, elements, trailingComma: elements.length > 0 }, trivia, start);
      }
      const value = this.#value(trivia);
      const end = this.#afterItem("array");
      elements.push({ ...value, after: end.comma ? end.trivia : "" });
      if (!end.comma) {
        return this.#closed({ kind: "array", before, elements, trailingComma: false }, end.trivia, start);
      }
    }
  }

  #closed<T extends object>(node: T, close: string, start: number): T & Omit<Placed, "before"> & { close: string } {
    this.#at++;
    return { ...node, close, after: "", start, end: this.#at };
  }

  /** What follows a value: trivia and a comma, which is passed, or the closing bracket, which is not. */
  #afterItem(kind: "object" | "array"): { readonly trivia: string; readonly comma: boolean } {
    const trivia = this.#trivia();
    if (this.#at >= this.#text.length) {
      throw new Fault(this.#at, `parsing ${kind} after value: unexpected EOF`);
    }
    const c = this.#text.charCodeAt(this.#at);
    if (c === comma) {
      this.#at++;
      return { trivia, comma: true };
    }
    const closing = kind === "object" ? closeBrace : closeBracket;
    if (c !== closing) {
      throw this.#unexpected(`after ${kind} value (expecting ',' or '${String.fromCharCode(closing)}')`);
    }
    return { trivia, comma: false };
  }

  #string(before: string, start: number): LiteralNode {
    const text = this.#text;
    let end = start + 1;
    let wellFormed = true;
    for (; text.charCodeAt(end) !== quote; end++) {
      const c = text.charCodeAt(end);
      wellFormed &&= !(c < space);
      if (c === backslash) {
        escape.lastIndex = end;
        wellFormed &&= escape.test(text);
        end++;
      }
      if (end >= text.length) {
        throw new Fault(text.length, "parsing string: unexpected EOF");
      }
    }
    const raw = text.slice(start, end + 1);
    if (!wellFormed) {
      throw new Fault(start, `invalid literal: ${raw}`);
    }
    this.#at = end + 1;
    return { kind: "string", raw, value: stringValue(raw), before, after: "", start, end: this.#at };
  }

  #word(before: string, start: number): LiteralNode {
    word.lastIndex = start;
    const raw = word.exec(this.#text)?.[0];
    if (raw === undefined) {
      throw this.#unexpected("at start of value");
    }
    const place = { raw, before, after: "", start, end: start + raw.length };
    this.#at = place.end;
    if (raw === "null") {
      return { kind: "null", value: null, ...place };
    }
    if (raw === "true" || raw === "false") {
      return { kind: "boolean", value: raw === "true", ...place };
    }
    if (numberForm.test(raw)) {
      return { kind: "number", value: Number(raw), ...place };
    }
    throw new Fault(start, `invalid literal: ${raw}`);
  }
}

/** The text that a string literal stands for; what is not Unicode becomes U+FFFD, as in Go. */
function stringValue(raw: string): string {
  if (!raw.includes("\\")) {
    return raw.slice(1, -1);
  }
  const value: unknown = JSON.parse(raw);
  return typeof value === "string" ? value.toWellFormed() : "";
}

/** A character in single quotes, as Go shows it: escaped where it could not be seen. */
function quoteChar(char: string): string {
  if (char === "'" || char === "\\") {
    return `'\\${char}'`;
  }
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(char)) {
    return `'${char}'`;
  }
  const code = (char.codePointAt(0) ?? 0).toString(16);
  return code.length > 4 ? `'\\U${code.padStart(8, "0")}'` : `'\\u${code.padStart(4, "0")}'`;
}
