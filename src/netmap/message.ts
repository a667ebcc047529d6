// From JSON to framed map messages. A message is made of parts, each with its JSON and, made when first asked for, its
// zstd frame: clients decode several frames one after the other as one text (protocol §4.3), so parts are shared
// between messages without being compressed again.
import { compress, rawFrame } from "../wire/zstd.ts";
import type { MapMessage } from "./contract.ts";
import type { NetmapCounters } from "./counters.ts";

export type Compression = "zstd" | "";

/** A piece of a message's JSON. Immutable. */
export interface Part {
  /** The piece as sessions with this compression get it. */
  bytes(compression: Compression): Uint8Array;
}

/** Shorter texts do not become smaller by compressing them. */
const minCompressed = 120;
/** Up to here a run of the compressor costs more than the bytes it would save one session. */
const maxRaw = 2048;

const utf8 = new TextEncoder();
/**
 * Where texts are encoded that only the compressor reads: a block of peers would else leave 50 KB for each viewer that it
 * is made for. Longer ones are rare.
 */
const scratch = new Uint8Array(192 * 1024);
const utf8Most = 3;

export class Messages {
  readonly #counters: NetmapCounters;

  constructor(counters: NetmapCounters) {
    this.#counters = counters;
  }

  /** A part that several messages will share: compressed once. The text is made only when it is needed. */
  shared(text: string | (() => string)): Part {
    let frame: Uint8Array | undefined;
    const make = () => (typeof text === "string" ? text : text());
    return {
      bytes: (compression) => {
        if (compression === "") {
          return utf8.encode(make());
        }
        frame ??= kept(this.#framed(make(), minCompressed));
        return frame;
      },
    };
  }

  /** A part that one message alone has: compressed only when it is long. */
  single(text: string): Part {
    return {
      bytes: (compression) => (compression === "" ? utf8.encode(text) : this.#framed(text, maxRaw)),
    };
  }

  #framed(text: string, raw: number): Uint8Array {
    const json = encoded(text);
    if (json.length <= raw) {
      return rawFrame(json);
    }
    this.#counters.compressions++;
    return compress(json);
  }
}

/** UTF-8 until the next call. */
function encoded(text: string): Uint8Array {
  return text.length * utf8Most > scratch.length
    ? utf8.encode(text)
    : scratch.subarray(0, utf8.encodeInto(text, scratch).written);
}

/**
 * The same bytes in memory of their own. What lives long must not be a slice of the runtime's pool: a hundred bytes would
 * hold 64 KB, and there is a frame for each node's filter.
 */
function kept(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength === bytes.length ? bytes : new Uint8Array(bytes);
}

/** `u32 LE length` and the parts. The length and the first part share a chunk, so that a small message is one. */
export function frameMessage(parts: readonly Part[], compression: Compression): MapMessage {
  const bodies = parts.map((part) => part.bytes(compression));
  const length = bodies.reduce((sum, body) => sum + body.length, 0);
  const [first, ...rest] = bodies;
  const head = new Uint8Array(4 + (first?.length ?? 0));
  new DataView(head.buffer).setUint32(0, length, true);
  if (first !== undefined) {
    head.set(first, 4);
  }
  return { chunks: [head, ...rest], length: 4 + length };
}

/** A message for many sessions, framed once for each compression that one of them has. */
export class SharedMessage {
  readonly #parts: readonly Part[];
  readonly #framed = new Map<Compression, MapMessage>();

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  framed(compression: Compression): MapMessage {
    let message = this.#framed.get(compression);
    if (message === undefined) {
      message = frameMessage(this.#parts, compression);
      this.#framed.set(compression, message);
    }
    return message;
  }
}
