// HPACK, the header compression of HTTP/2 (RFC 7541). The decoder knows everything a peer may send; the encoder writes
// stateless blocks only (static table and plain literals), so that a block can be made once and shared by all sessions.
import { decodeHuffman } from "./hpack-huffman.ts";

export type HeaderField = readonly [name: string, value: string];

/** RFC 7541, appendix A; index 1 is the first. */
const staticFields: readonly HeaderField[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

const indexOfField = new Map<string, number>();
const indexOfName = new Map<string, number>();
staticFields.forEach(([name, value], index) => {
  indexOfField.set(`${name}\0${value}`, index + 1);
  if (!indexOfName.has(name)) {
    indexOfName.set(name, index + 1);
  }
});

/** What RFC 7541 §4.1 counts for an entry beyond its text, and RFC 9113 §6.5.2 for a header list. */
export const fieldOverhead = 32;
/** Table size a peer may use until it has acknowledged another (RFC 9113 §6.5.2). */
export const defaultTableSize = 4096;

/** Encodes fields into a stateless block. Names must be lower-case. */
export function encodeFields(fields: readonly HeaderField[]): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    const field = indexOfField.get(`${name}\0${value}`);
    if (field !== undefined) {
      parts.push(encodeInteger(field, 7, 0x80));
      continue;
    }
    const known = indexOfName.get(name);
    // Literal without indexing: the table stays empty whatever its size.
    parts.push(encodeInteger(known ?? 0, 4, 0x00));
    if (known === undefined) {
      parts.push(encodeString(name));
    }
    parts.push(encodeString(value));
  }
  return Buffer.concat(parts);
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([encodeInteger(bytes.length, 7, 0x00), bytes]);
}

function encodeInteger(value: number, prefixBits: number, flags: number): Buffer {
  const limit = (1 << prefixBits) - 1;
  if (value < limit) {
    return Buffer.of(flags | value);
  }
  const bytes = [flags | limit];
  let rest = value - limit;
  while (rest >= 128) {
    bytes.push((rest & 127) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A position in a block. `at` moves; `broken` is set by a read past the end or out of bounds. */
interface Cursor {
  readonly block: Buffer;
  at: number;
  broken: boolean;
}

function readInteger(cursor: Cursor, prefixBits: number): number {
  const limit = (1 << prefixBits) - 1;
  let value = (cursor.block[cursor.at++] ?? 0) & limit;
  if (value < limit) {
    return value;
  }
  // Four further bytes say up to 2^28: more than any length or index here.
  for (let shift = 0; shift <= 21; shift += 7) {
    const byte = cursor.block[cursor.at++];
    if (byte === undefined) {
      break;
    }
    value += (byte & 127) << shift;
    if (byte < 128) {
      return value;
    }
  }
  cursor.broken = true;
  return 0;
}

function readString(cursor: Cursor): string {
  const first = cursor.block[cursor.at];
  if (first === undefined) {
    cursor.broken = true;
    return "";
  }
  const length = readInteger(cursor, 7);
  const end = cursor.at + length;
  if (cursor.broken || end > cursor.block.length) {
    cursor.broken = true;
    return "";
  }
  const start = cursor.at;
  cursor.at = end;
  if (first < 128) {
    return cursor.block.toString("latin1", start, end);
  }
  const text = decodeHuffman(cursor.block.subarray(start, end));
  cursor.broken = text === undefined;
  return text ?? "";
}

/** One connection's decoding state. A failed block leaves it unusable: the connection must end. */
export class HpackDecoder {
  /** Newest first. */
  #entries: HeaderField[] = [];
  #size = 0;
  /** What the peer's encoder uses at most, as it last said. */
  #capacity = defaultTableSize;
  /** What it may say at most. */
  #limit = defaultTableSize;

  /** The peer has acknowledged our SETTINGS_HEADER_TABLE_SIZE. */
  setLimit(bytes: number): void {
    this.#limit = bytes;
  }

  /** Bytes held by the dynamic table, as RFC 7541 §4.1 counts them. */
  get tableSize(): number {
    return this.#size;
  }

  /** Gives every field of a whole block to `sink`, in order. False when the block is broken. */
  decode(bytes: Uint8Array, sink: (name: string, value: string) => void): boolean {
    const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const cursor: Cursor = { block, at: 0, broken: false };
    let seenField = false;
    while (cursor.at < block.length) {
      const first = block[cursor.at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        const capacity = readInteger(cursor, 5);
        if (seenField || cursor.broken || capacity > this.#limit) {
          return false;
        }
        this.#capacity = capacity;
        this.#evict();
        continue;
      }
      seenField = true;
      const field = this.#readField(cursor, first);
      if (field === undefined || cursor.broken) {
        return false;
      }
      sink(field[0], field[1]);
    }
    return true;
  }

  #readField(cursor: Cursor, first: number): HeaderField | undefined {
    if (first >= 0x80) {
      return this.#entry(readInteger(cursor, 7));
    }
    const indexed = (first & 0xc0) === 0x40;
    const nameIndex = readInteger(cursor, indexed ? 6 : 4);
    const name = nameIndex === 0 ? readString(cursor) : this.#entry(nameIndex)?.[0];
    if (name === undefined || cursor.broken) {
      return undefined;
    }
    const field: HeaderField = [name, readString(cursor)];
    if (indexed && !cursor.broken) {
      this.#add(field);
    }
    return field;
  }

  #entry(index: number): HeaderField | undefined {
    return index <= staticFields.length ? staticFields[index - 1] : this.#entries[index - staticFields.length - 1];
  }

  #add(field: HeaderField): void {
    this.#size += entrySize(field);
    this.#entries.unshift(field);
    this.#evict();
  }

  #evict(): void {
    while (this.#size > this.#capacity) {
      const oldest = this.#entries.pop();
      if (oldest === undefined) {
        break;
      }
      this.#size -= entrySize(oldest);
    }
  }
}

function entrySize([name, value]: HeaderField): number {
  return name.length + value.length + fieldOverhead;
}
