// Reads a policy text (HuJSON: JSON with comments and trailing commas) into a tree of values that know where they stand.
import type { SourceMember, SourceValue } from "./source.ts";

export type SourceResult =
  | { readonly ok: true; readonly value: SourceValue }
  | { readonly ok: false; readonly error: { readonly message: string; readonly at: number } };

/** Characters of a whole policy, and how deep its values may nest. */
export const maxPolicyText = 8 * 1024 * 1024;
export const maxPolicyDepth = 100;

class SyntaxProblem extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** An empty text reads as null: no policy. */
export function parseSource(text: string): SourceResult {
  if (text.length > maxPolicyText) {
    return { ok: false, error: { message: `policy is larger than ${maxPolicyText} characters`, at: 0 } };
  }
  try {
    return { ok: true, value: new Reader(text).document() };
  } catch (error) {
    if (error instanceof SyntaxProblem) {
      return { ok: false, error: { message: error.message, at: error.at } };
    }
    throw error;
  }
}

const stringPattern = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const wordPattern = /true|false|null/y;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): SourceValue {
    this.#skip();
    if (this.#at === this.#text.length) {
      return { kind: "null", at: 0 };
    }
    const value = this.#value(0);
    this.#skip();
    if (this.#at < this.#text.length) {
      throw new SyntaxProblem(`invalid character ${this.#shown()} after top-level value`, this.#at);
    }
    return value;
  }

  #shown(): string {
    const code = this.#text.codePointAt(this.#at);
    return code === undefined ? "end of file" : JSON.stringify(String.fromCodePoint(code));
  }

  #skip(): void {
    for (;;) {
      const c = this.#text[this.#at];
      if (c === " " || c === "\t" || c === "\n" || c === "\r") {
        this.#at += 1;
      } else if (c === "/" && this.#text[this.#at + 1] === "/") {
        const end = this.#text.indexOf("\n", this.#at);
        this.#at = end === -1 ? this.#text.length : end + 1;
      } else if (c === "/" && this.#text[this.#at + 1] === "*") {
        const end = this.#text.indexOf("*/", this.#at + 2);
        if (end === -1) {
          throw new SyntaxProblem("comment is not closed", this.#at);
        }
        this.#at = end + 2;
      } else {
        return;
      }
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) {
      this.#at += found.length;
    }
    return found;
  }

  #value(depth: number): SourceValue {
    const at = this.#at;
    if (depth > maxPolicyDepth) {
      throw new SyntaxProblem(`values are nested deeper than ${maxPolicyDepth}`, at);
    }
    const c = this.#text[at];
    if (c === "{") {
      return this.#object(depth);
    }
    if (c === "[") {
      return this.#array(depth);
    }
    if (c === '"') {
      return { kind: "string", at, value: this.#string() };
    }
    const word = this.#match(wordPattern);
    if (word !== undefined) {
      return word === "null" ? { kind: "null", at } : { kind: "boolean", at, value: word === "true" };
    }
    const number = this.#match(numberPattern);
    if (number === undefined) {
      throw new SyntaxProblem(`invalid character ${this.#shown()} looking for a value`, at);
    }
    return { kind: "number", at, value: Number(number) };
  }

  #string(): string {
    const at = this.#at;
    const raw = this.#match(stringPattern);
    if (raw === undefined) {
      throw new SyntaxProblem("invalid string: not closed, or with a bad escape or control character", at);
    }
    const value: unknown = JSON.parse(raw);
    return typeof value === "string" ? value : "";
  }

  #object(depth: number): SourceValue {
    const at = this.#at;
    const members: SourceMember[] = [];
    const seen = new Set<string>();
    this.#at += 1;
    this.#skip();
    while (this.#text[this.#at] !== "}") {
      const nameAt = this.#at;
      if (this.#text[nameAt] !== '"') {
        throw new SyntaxProblem(`invalid character ${this.#shown()} at start of object name`, nameAt);
      }
      const name = this.#string();
      if (seen.has(name)) {
        throw new SyntaxProblem(`duplicate object name ${JSON.stringify(name)}`, nameAt);
      }
      seen.add(name);
      this.#skip();
      if (this.#text[this.#at] !== ":") {
        throw new SyntaxProblem(`invalid character ${this.#shown()} after object name (expecting ':')`, this.#at);
      }
      this.#at += 1;
      this.#skip();
      members.push({ name, at: nameAt, value: this.#value(depth + 1) });
      this.#separator("}", "object value");
    }
    this.#at += 1;
    return { kind: "object", at, members };
  }

  #array(depth: number): SourceValue {
    const at = this.#at;
    const items: SourceValue[] = [];
    this.#at += 1;
    this.#skip();
    while (this.#text[this.#at] !== "]") {
      items.push(this.#value(depth + 1));
      this.#separator("]", "array element");
    }
    this.#at += 1;
    return { kind: "array", at, items };
  }

  #separator(close: string, what: string): void {
    this.#skip();
    if (this.#text[this.#at] === ",") {
      this.#at += 1;
      this.#skip();
    } else if (this.#text[this.#at] !== close) {
      throw new SyntaxProblem(
        `invalid character ${this.#shown()} after ${what} (expecting ',' or '${close}')`,
        this.#at,
      );
    }
  }
}
