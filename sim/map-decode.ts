// Map messages as they arrive: `u32 LE length`, then JSON in one or several zstd frames (protocol §4.3).
// Thousands of clients in one process get mostly the same bytes, so equal frames are decompressed once and equal
// messages parsed once; frames that hold whole list items (a server's shared blocks of peers) are parsed once for all
// messages they occur in, and their items are the same objects in all of them. Decoded values must not be changed.
import { hash } from "node:crypto";
import { decompress } from "../src/wire/zstd.ts";
import type { MapResponse } from "../src/wire/tailcfg.ts";

/** No message may be longer than this when decoded. */
const maxDecoded = 512 * 1024 * 1024;

/** Cuts a stream's bytes into messages. */
export class MessageSplitter {
  #parts: Uint8Array[] = [];
  #length = 0;

  /** Calls `sink` with each complete message's body. */
  push(bytes: Uint8Array, sink: (body: Buffer) => void): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    while (this.#length >= 4) {
      const total = 4 + this.#declared();
      if (this.#length < total) {
        return;
      }
      const all = this.#join();
      this.#parts = total === all.length ? [] : [all.subarray(total)];
      this.#length = all.length - total;
      sink(all.subarray(4, total));
    }
  }

  /** Bytes of a message that is not complete. */
  get pending(): number {
    return this.#length;
  }

  #declared(): number {
    const [first] = this.#parts;
    if (first === undefined || first.length < 4) {
      this.#parts = [this.#join()];
    }
    const head = this.#parts[0] ?? new Uint8Array(4);
    return new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(0, true);
  }

  #join(): Buffer {
    const [first] = this.#parts;
    return this.#parts.length === 1 && first !== undefined
      ? Buffer.from(first.buffer, first.byteOffset, first.byteLength)
      : Buffer.concat(this.#parts);
  }
}

/** Values by content hash, up to a number of bytes of what they were made from; the oldest go first. */
class ContentCache<Value> {
  readonly #entries = new Map<string, { readonly value: Value; readonly cost: number }>();
  readonly #capacity: number;
  #cost = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: string, value: Value, cost: number): void {
    this.#entries.set(key, { value, cost });
    this.#cost += cost;
    for (const [oldest, entry] of this.#entries) {
      if (this.#cost <= this.#capacity) {
        break;
      }
      this.#entries.delete(oldest);
      this.#cost -= entry.cost;
    }
  }
}

interface FrameText {
  readonly text: string;
  /** The items, when the text is whole objects separated by commas (a leading or trailing comma apart). */
  readonly items: readonly unknown[] | undefined;
  readonly leadingComma: boolean;
  readonly trailingComma: boolean;
}

export type Decode = (body: Buffer) => MapResponse;

/** Decodes one message by itself, with nothing remembered: the plain reference for the shared decoder. */
export function decodePlain(body: Buffer): MapResponse {
  const text = decompress(body, maxDecoded);
  if (text === undefined) {
    throw new Error("a map message is not zstd");
  }
  return JSON.parse(text.toString("utf8")) as MapResponse;
}

/** Decodes one message of a client that asked for no compression. */
export function decodeUncompressed(body: Buffer): MapResponse {
  return JSON.parse(body.toString("utf8")) as MapResponse;
}

/** A decoder that remembers, for any number of clients; `capacity` bounds the decoded bytes it remembers. */
export function sharedDecoder(capacity = 256 * 1024 * 1024): Decode {
  const messages = new ContentCache<MapResponse>(capacity / 4);
  const texts = new ContentCache<FrameText>(capacity);

  function frameText(frame: Buffer): FrameText {
    const key = hash("sha1", frame, "base64");
    const known = texts.get(key);
    if (known !== undefined) {
      return known;
    }
    const bytes = decompress(frame, maxDecoded);
    if (bytes === undefined) {
      throw new Error("a map message holds a broken zstd frame");
    }
    const entry = describeText(bytes.toString("utf8"));
    texts.set(key, entry, bytes.length);
    return entry;
  }

  return (body) => {
    const key = body.length <= messageCacheBelow ? hash("sha1", body, "base64") : undefined;
    const known = key === undefined ? undefined : messages.get(key);
    if (known !== undefined) {
      return known;
    }
    const frames = splitFrames(body);
    const message =
      frames === undefined || frames.length === 1 ? decodePlain(body) : parseFrames(frames.map(frameText));
    if (key !== undefined) {
      messages.set(key, message, body.length * 8);
    }
    return message;
  };
}

/** Longer messages are full maps, each of which names its own node. */
const messageCacheBelow = 16_384;
/** Shorter frames are not worth a look inside. */
const blockAbove = 256;

function describeText(text: string): FrameText {
  const leadingComma = text.startsWith(",");
  const trailingComma = text.endsWith(",");
  const items = text.slice(leadingComma ? 1 : 0, trailingComma ? -1 : undefined);
  if (items.length < blockAbove || !items.startsWith("{") || !items.endsWith("}")) {
    return { text, items: undefined, leadingComma, trailingComma };
  }
  try {
    return { text, items: JSON.parse(`[${items}]`) as unknown[], leadingComma, trailingComma };
  } catch {
    return { text, items: undefined, leadingComma, trailingComma };
  }
}

const placeholder = "\u0001block";

/** Parses the message with its blocks replaced by names, and puts the blocks' items back. */
function parseFrames(frames: readonly FrameText[]): MapResponse {
  const blocks = frames.filter(({ items }) => items !== undefined);
  // A lone frame that is one object is the message itself.
  if (blocks.length === 0 || frames.length === blocks.length) {
    return JSON.parse(frames.map(({ text }) => text).join("")) as MapResponse;
  }
  let index = 0;
  const skeleton = frames
    .map(({ text, items, leadingComma, trailingComma }) => {
      if (items === undefined) {
        return text;
      }
      const name = JSON.stringify(`${placeholder}${index++}`);
      return `${leadingComma ? "," : ""}${name}${trailingComma ? "," : ""}`;
    })
    .join("");
  const message = JSON.parse(skeleton) as MapResponse & Record<string, unknown>;
  let put = 0;
  for (const [field, value] of Object.entries(message)) {
    if (Array.isArray(value)) {
      const items = value.flatMap((item: unknown) => {
        if (typeof item !== "string" || !item.startsWith(placeholder)) {
          return [item];
        }
        put++;
        return blocks[Number(item.slice(placeholder.length))]?.items ?? [];
      });
      message[field] = items;
    }
  }
  if (put !== blocks.length) {
    // A block stood where no list of the message is.
    return JSON.parse(frames.map(({ text }) => text).join("")) as MapResponse;
  }
  return message;
}

const zstdMagic = 0xfd2f_b528;

/** Cuts a run of zstd frames (RFC 8878 §3.1.1); undefined when they do not fill it exactly. */
export function splitFrames(body: Buffer): Buffer[] | undefined {
  const frames: Buffer[] = [];
  let at = 0;
  while (at < body.length) {
    const end = frameEnd(body, at);
    if (end === undefined) {
      return undefined;
    }
    frames.push(body.subarray(at, end));
    at = end;
  }
  return frames;
}

function frameEnd(body: Buffer, start: number): number | undefined {
  if (body.length < start + 6 || body.readUInt32LE(start) !== zstdMagic) {
    return undefined;
  }
  const descriptor = body[start + 4] ?? 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeLengths = [isSingleSegment ? 1 : 0, 2, 4, 8];
  const dictionaryLengths = [0, 1, 2, 4];
  let at =
    start +
    5 +
    (isSingleSegment ? 0 : 1) +
    (dictionaryLengths[descriptor & 3] ?? 0) +
    (sizeLengths[descriptor >> 6] ?? 0);
  for (;;) {
    if (at + 3 > body.length) {
      return undefined;
    }
    const header = body.readUIntLE(at, 3);
    const isRle = ((header >> 1) & 3) === 1;
    at += 3 + (isRle ? 1 : header >> 3);
    if ((header & 1) === 1) {
      break;
    }
  }
  const end = at + ((descriptor & 4) === 0 ? 0 : 4);
  return end <= body.length ? end : undefined;
}
