// A message's value straight as the bytes of REST's JSON: the same as JSON.stringify of toJson(type, value) in UTF-8,
// without the objects and texts between, which for a list of ten thousand nodes are most of the work.
import { inTurns, rowsInTurn } from "./in-turns.ts";
import { fieldOf } from "./message.ts";
import type { FieldKind, MessageType, NamedField } from "./message.ts";
import { timestampText } from "./timestamp.ts";

const chunkBytes = 64 * 1024;

/** In pieces of about 64 KiB, to be sent one behind the other. Long lists are written with a turn for others now and then. */
export async function jsonBytes<Value extends object>(
  type: MessageType<Value>,
  value: Value,
): Promise<readonly Uint8Array[]> {
  const out = new JsonBytes();
  await inTurns(out.slices(type, value));
  return out.finish();
}

/** `,"createdAt":` for each field of a type; the first has no comma. */
const starts = new WeakMap<MessageType<object>, readonly string[]>();

function startsOf(type: MessageType<object>): readonly string[] {
  let known = starts.get(type);
  if (known === undefined) {
    known = type.fields.map(({ local }, index) => `${index === 0 ? "" : ","}${JSON.stringify(local)}:`);
    starts.set(type, known);
  }
  return known;
}

/** Printable ASCII but quotes and backslashes: stands in JSON as it is, one byte a character. */
const plain = /^[ !#-[\]-~]*$/;

class JsonBytes {
  readonly #done: Uint8Array[] = [];
  #chunk = Buffer.allocUnsafeSlow(4096);
  #length = 0;
  /** Single messages inside others that stand in a chunk already: the rows of a list share their owners. */
  readonly #seen = new Map<object, Uint8Array>();

  finish(): readonly Uint8Array[] {
    return [...this.#done, this.#chunk.subarray(0, this.#length)];
  }

  /** The whole message, but for a pause after each slice of a list of its own. */
  *slices(type: MessageType<object>, value: object): Generator<undefined, void> {
    const names = startsOf(type);
    let index = 0;
    this.#ascii("{");
    for (const field of type.fields) {
      this.#ascii(names[index] ?? "");
      index += 1;
      const own = fieldOf(value, field.local);
      if (field.repeated && Array.isArray(own)) {
        for (let from = 0; from === 0 || from < own.length; from += rowsInTurn) {
          if (from > 0) {
            yield;
          }
          this.#rows(field.kind, own, from, from + rowsInTurn);
        }
      } else {
        this.#field(field, own);
      }
    }
    this.#ascii("}");
  }

  #message(type: MessageType<object>, value: object): void {
    const names = startsOf(type);
    let index = 0;
    this.#ascii("{");
    for (const field of type.fields) {
      this.#ascii(names[index] ?? "");
      index += 1;
      this.#field(field, fieldOf(value, field.local));
    }
    this.#ascii("}");
  }

  #field({ repeated, kind }: NamedField, own: unknown): void {
    if (repeated) {
      const items: readonly unknown[] = Array.isArray(own) ? own : [];
      this.#rows(kind, items, 0, items.length);
    } else if (kind.is === "message" && typeof own === "object" && own !== null) {
      this.#shared(kind.type, own);
    } else {
      this.#item(kind, own);
    }
  }

  /** A part of a list, with its brackets where it begins and ends. */
  #rows(kind: FieldKind, items: readonly unknown[], from: number, to: number): void {
    const end = Math.min(to, items.length);
    this.#ascii(from === 0 ? "[" : "");
    for (let index = from; index < end; index += 1) {
      this.#ascii(index === 0 ? "" : ",");
      this.#item(kind, items[index]);
    }
    this.#ascii(end === items.length ? "]" : "");
  }

  #shared(type: MessageType<object>, value: object): void {
    const known = this.#seen.get(value);
    if (known !== undefined) {
      this.#room(known.length);
      this.#chunk.set(known, this.#length);
      this.#length += known.length;
      return;
    }
    const [chunk, start] = [this.#chunk, this.#length];
    this.#message(type, value);
    // One that runs over the end of a chunk is written again the next time.
    if (chunk === this.#chunk) {
      this.#seen.set(value, chunk.subarray(start, this.#length));
    }
  }

  #item(kind: FieldKind, value: unknown): void {
    switch (kind.is) {
      case "string":
      case "enum":
        this.#text(typeof value === "string" ? value : "");
        return;
      case "bool":
        this.#ascii(value === true ? "true" : "false");
        return;
      case "u64":
        this.#text(String(value));
        return;
      case "number":
        this.#ascii(typeof value === "number" ? JSON.stringify(value) : "0");
        return;
      case "time":
        if (typeof value === "number") {
          this.#text(timestampText(value));
        } else {
          this.#ascii("null");
        }
        return;
      case "message":
        if (typeof value === "object" && value !== null) {
          this.#message(kind.type, value);
        } else {
          this.#ascii("null");
        }
        return;
      case "json":
        this.#unicode(JSON.stringify(value) ?? "null");
        return;
    }
  }

  #text(text: string): void {
    if (plain.test(text)) {
      this.#ascii('"');
      this.#ascii(text);
      this.#ascii('"');
    } else {
      this.#unicode(JSON.stringify(text));
    }
  }

  /** Most texts are so short that a call into Buffer would cost more than the loop. */
  #ascii(text: string): void {
    const { length } = text;
    this.#room(length);
    const chunk = this.#chunk;
    const at = this.#length;
    for (let index = 0; index < length; index += 1) {
      chunk[at + index] = text.charCodeAt(index);
    }
    this.#length = at + length;
  }

  #unicode(text: string): void {
    this.#room(Buffer.byteLength(text));
    this.#length += this.#chunk.write(text, this.#length);
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#chunk.length) {
      return;
    }
    this.#done.push(this.#chunk.subarray(0, this.#length));
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(chunkBytes, bytes));
    this.#length = 0;
  }
}
