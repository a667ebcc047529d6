// Reading JSON that Go programs wrote (protocol §0, quirk 50): field names in any case, `null` for whatever is empty,
// bytes as base64, numbers within bounds. A reader notes the first thing that is wrong and goes on with defaults, so
// that decoders read straight down; the one who started asks for the problem at the end.
import { parseTime, isZeroTime } from "./time.ts";
import type { Json } from "./tailcfg.ts";

export type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: string };

type JsonObject = { readonly [key: string]: Json };

/** What the readers of one document share. */
interface Whole {
  /** Bytes as they came. */
  readonly length: number;
  /** The first thing that was wrong. */
  problem: string | undefined;
}

/** Deepest nesting of objects and lists in a document. */
const maxDepth = 16;
/** No text anywhere may be longer, whatever its field allows. */
const maxText = 65_536;

/**
 * Parses a document and reads it with `read`. The error is a short text for people, naming the field; it holds
 * nothing of what was sent.
 */
export function decodeDocument<Value>(body: Uint8Array, read: (fields: FieldReader) => Value): Decoded<Value> {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return { ok: false, error: "the body is not JSON" };
  }
  if (!isObject(document)) {
    return { ok: false, error: "the body is not a JSON object" };
  }
  if (!isPlainlySound(text) && !isSound(document, maxDepth)) {
    return { ok: false, error: "the body is nested too deeply or holds a text that cannot be kept" };
  }
  const whole: Whole = { length: body.length, problem: undefined };
  const value = read(new FieldReader(document, "", whole));
  return whole.problem === undefined ? { ok: true, value } : { ok: false, error: whole.problem };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Short, without U+0000 and with few brackets: no part of the document need be looked at. NUL itself is not JSON. */
function isPlainlySound(text: string): boolean {
  return text.length <= maxText && !text.includes("\\u0000") && count(text, "{") + count(text, "[") <= maxDepth;
}

/** How often, up to one more than `maxDepth`. */
function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at !== -1 && found <= maxDepth; at = text.indexOf(character, at + 1)) {
    found++;
  }
  return found;
}

/** Databases keep no U+0000, and whoever walks the document later must not run out of stack. */
function isSound(value: Json, depthLeft: number): boolean {
  if (typeof value === "string") {
    return value.length <= maxText && !value.includes("\0");
  }
  if (typeof value !== "object" || value === null) {
    return true;
  }
  if (depthLeft === 0) {
    return false;
  }
  if (isList(value)) {
    return value.every((item) => isSound(item, depthLeft - 1));
  }
  // What JSON.parse made has no enumerable properties but its own.
  for (const key in value) {
    const item = value[key];
    if (!isSound(key, 1) || (item !== undefined && !isSound(item, depthLeft - 1))) {
      return false;
    }
  }
  return true;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** Surrogates that stand alone cannot be written as UTF-8. */
function wellFormed(text: string): string {
  return text.isWellFormed() ? text : text.toWellFormed();
}

/** Clients use few names: each is made lower-case once. The bound is for those who make names up. */
const maxLowered = 1024;
const loweredNames = new Map<string, string>();

function lowered(name: string): string {
  let lower = loweredNames.get(name);
  if (lower === undefined) {
    lower = name.toLowerCase();
    if (loweredNames.size < maxLowered && name.length <= 64) {
      loweredNames.set(name, lower);
    }
  }
  return lower;
}

/** The fields of one object. A field that is absent, null or of Go's zero value reads as undefined or empty. */
export class FieldReader {
  readonly #object: JsonObject;
  readonly #values = new Map<string, Json>();
  readonly #path: string;
  readonly #whole: Whole;

  constructor(object: JsonObject, path: string, whole: Whole) {
    this.#path = path;
    this.#whole = whole;
    this.#object = object;
    for (const name in object) {
      // As in Go, what comes later counts.
      this.#values.set(lowered(name), object[name] ?? null);
    }
  }

  /** Notes that a field is not as it must be; `what` completes "name: …". */
  fail(name: string, what: string): undefined {
    this.#whole.problem ??= `${this.#path}${name}: ${what}`;
    return undefined;
  }

  /** Notes that the object as a whole is not as it must be. */
  failWhole(what: string): undefined {
    this.#whole.problem ??= `${this.#path.slice(0, -1)}: ${what}`;
    return undefined;
  }

  /** Bytes of the document that the object is a part of, as they came. */
  get documentLength(): number {
    return this.#whole.length;
  }

  /** The value as it came; undefined for absent and null. */
  raw(name: string): Json | undefined {
    return this.#values.get(lowered(name)) ?? undefined;
  }

  /** A text of at most `limit` UTF-16 units; "" when absent. */
  text(name: string, limit: number): string {
    const value = this.raw(name) ?? "";
    if (typeof value !== "string" || value.length > limit) {
      this.fail(name, typeof value === "string" ? "too long" : "not a text");
      return "";
    }
    return wellFormed(value);
  }

  flag(name: string): boolean | undefined {
    const value = this.raw(name);
    return value === undefined || typeof value === "boolean" ? value : this.fail(name, "not a boolean");
  }

  /** A whole number within bounds; undefined when absent. */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.raw(name);
    if (value === undefined) {
      return undefined;
    }
    return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max
      ? value
      : this.fail(name, `not a whole number from ${min} to ${max}`);
  }

  /** A list of at most `limit` items; empty when absent. */
  list(name: string, limit: number): readonly Json[] {
    const value = this.raw(name) ?? [];
    if (!isList(value) || value.length > limit) {
      this.fail(name, isList(value) ? `more than ${limit} items` : "not a list");
      return [];
    }
    return value;
  }

  /** A list of texts of at most `textLimit` units each. */
  texts(name: string, limit: number, textLimit: number): readonly string[] {
    return this.list(name, limit).map((item) => {
      if (typeof item !== "string" || item.length > textLimit) {
        this.fail(name, typeof item === "string" ? "an item is too long" : "an item is not a text");
        return "";
      }
      return wellFormed(item);
    });
  }

  object(name: string): FieldReader | undefined {
    const value = this.raw(name);
    if (value === undefined) {
      return undefined;
    }
    return isObject(value)
      ? new FieldReader(value, `${this.#path}${name}.`, this.#whole)
      : this.fail(name, "not an object");
  }

  /** A reader for an item of a list. */
  item(name: string, item: Json): FieldReader | undefined {
    return isObject(item)
      ? new FieldReader(item, `${this.#path}${name}[].`, this.#whole)
      : this.fail(name, "an item is not an object");
  }

  /** A text that `parse` must know; "" is absent. */
  parsed<Value>(name: string, parse: (text: string) => Value | undefined, what: string): Value | undefined {
    const text = this.text(name, 256);
    return text === "" ? undefined : (parse(text) ?? this.fail(name, `not ${what}`));
  }

  /** Milliseconds since 1970; undefined when absent or Go's zero time. */
  time(name: string): number | undefined {
    const time = this.parsed(name, parseTime, "a time");
    return time === undefined || isZeroTime(time) ? undefined : time;
  }

  /** Standard base64 of at most `limit` characters; undefined when absent or empty. */
  base64(name: string, limit: number): string | undefined {
    const text = this.text(name, limit);
    if (text === "") {
      return undefined;
    }
    return base64Pattern.test(text) && text.length % 4 === 0 ? text : this.fail(name, "not base64");
  }

  /** Fields whose lower-case names are not in `known`, verbatim, under the names they came with. */
  others(known: ReadonlySet<string>): Readonly<Record<string, Json>> | undefined {
    const rest = new Map<string, readonly [name: string, value: Json]>();
    for (const name in this.#object) {
      const key = lowered(name);
      // Assigned rather than defined, this one name would change an object instead of becoming a field of it.
      if (!known.has(key) && key !== "__proto__") {
        rest.set(key, [name, this.#object[name] ?? null]);
      }
    }
    return rest.size === 0 ? undefined : Object.fromEntries(rest.values());
  }
}

const base64Pattern = /^[A-Za-z0-9+/]+={0,2}$/;
