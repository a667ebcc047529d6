// Header blocks as they come in: HEADERS with its CONTINUATION frames put together and decompressed (RFC 9113 §4.3,
// §6.2, §6.10). What a peer can make us hold or decode is bounded; a list that is too long is decoded to its end, for
// the sake of the shared table, and given up.
import { flags } from "./h2-frames.ts";
import { fault, type H2Fault, type H2Limits } from "./h2-limits.ts";
import { fieldOverhead, HpackDecoder, type HeaderField } from "./hpack.ts";

/** A complete header section. */
export interface HeaderSection {
  readonly kind: "section";
  readonly stream: number;
  /** Undefined: the list was longer than the limit. */
  readonly fields: readonly HeaderField[] | undefined;
  readonly endStream: boolean;
}

export type BlockOutcome =
  | HeaderSection
  | { readonly kind: "more" }
  | { readonly kind: "fault"; readonly fault: H2Fault };

interface OpenBlock {
  readonly stream: number;
  readonly endStream: boolean;
  readonly parts: Buffer[];
  length: number;
  continuations: number;
}

const more = { kind: "more" } as const;

function failed(reason: Parameters<typeof fault>[0]): BlockOutcome {
  return { kind: "fault", fault: fault(reason) };
}

export class HeaderBlocks {
  readonly #limits: H2Limits;
  readonly #decoder = new HpackDecoder();
  #open: OpenBlock | undefined;

  constructor(limits: H2Limits) {
    this.#limits = limits;
  }

  /** While a block is open nothing but its own CONTINUATION frames may come. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** The peer has acknowledged an empty table. */
  tableMustBeEmpty(): void {
    this.#decoder.setLimit(0);
  }

  /** The payload of a HEADERS frame. */
  headers(frameFlags: number, stream: number, payload: Buffer): BlockOutcome {
    const part = withoutPadding(frameFlags, payload);
    if (part === undefined) {
      return failed("padding");
    }
    const endStream = (frameFlags & flags.endStream) !== 0;
    if ((frameFlags & flags.endHeaders) !== 0) {
      return this.#decode(stream, part, endStream);
    }
    if (part.length > this.#limits.headerBlock) {
      return failed("header-block-too-large");
    }
    this.#open = { stream, endStream, parts: [Buffer.from(part)], length: part.length, continuations: 0 };
    return more;
  }

  /** The payload of a CONTINUATION frame. */
  continuation(frameFlags: number, stream: number, payload: Buffer): BlockOutcome {
    const block = this.#open;
    if (block === undefined || block.stream !== stream) {
      return failed("protocol");
    }
    block.continuations++;
    block.length += payload.length;
    if (block.continuations > this.#limits.continuations) {
      return failed("too-many-continuations");
    }
    if (block.length > this.#limits.headerBlock) {
      return failed("header-block-too-large");
    }
    // A copy: the payload may be a slice of a larger piece that must not be kept alive.
    block.parts.push(Buffer.from(payload));
    if ((frameFlags & flags.endHeaders) === 0) {
      return more;
    }
    this.#open = undefined;
    return this.#decode(block.stream, Buffer.concat(block.parts), block.endStream);
  }

  #decode(stream: number, block: Buffer, endStream: boolean): BlockOutcome {
    const limit = this.#limits.headerList;
    const fields: HeaderField[] = [];
    let size = 0;
    const isWhole = this.#decoder.decode(block, (name, value) => {
      size += name.length + value.length + fieldOverhead;
      if (size <= limit) {
        fields.push([name, value]);
      }
    });
    return isWhole
      ? { kind: "section", stream, fields: size <= limit ? fields : undefined, endStream }
      : failed("compression");
  }
}

/** The block's part of a HEADERS payload; undefined when the padding is longer than the frame. */
function withoutPadding(frameFlags: number, payload: Buffer): Buffer | undefined {
  let start = 0;
  let end = payload.length;
  if ((frameFlags & flags.padded) !== 0) {
    start = 1;
    end -= payload[0] ?? 0;
  }
  if ((frameFlags & flags.priority) !== 0) {
    start += 5;
  }
  return start <= end ? payload.subarray(start, end) : undefined;
}
