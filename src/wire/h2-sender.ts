// The sending half of a connection: HEADERS and DATA frames into the output, as far as the peer's windows let them
// (RFC 9113 §5.2, §6.9). Bodies are shared chunks that are never copied here.
import {
  defaultMaxFrameSize,
  defaultWindow,
  flags,
  frameHeader,
  frames,
  headersFrames,
  maxWindow,
} from "./h2-frames.ts";
import type { ChunkList, Chunks } from "./h2-output.ts";
import type { Stream } from "./h2-stream.ts";

export class Sender {
  /** What the peer's SETTINGS give a new stream. */
  initialWindow = defaultWindow;
  readonly #output: ChunkList;
  #window = defaultWindow;
  #maxFrameSize = defaultMaxFrameSize;

  constructor(output: ChunkList) {
    this.#output = output;
  }

  /** Larger frames than the smallest limit would only delay what shares the connection. */
  setMaxFrameSize(bytes: number): void {
    this.#maxFrameSize = Math.min(bytes, defaultMaxFrameSize);
  }

  /** Credit for the whole connection. False when the window would be larger than a window may be. */
  credit(bytes: number): boolean {
    this.#window += bytes;
    return this.#window <= maxWindow;
  }

  /** The peer's new initial window, for the streams that are open too. False on overflow. */
  changeInitialWindow(bytes: number, open: Iterable<Stream>): boolean {
    const change = bytes - this.initialWindow;
    this.initialWindow = bytes;
    for (const stream of open) {
      stream.sendWindow += change;
      if (stream.sendWindow > maxWindow) {
        return false;
      }
    }
    return true;
  }

  /** Bytes of body the stream may send now. */
  room(stream: Stream): number {
    return Math.max(0, Math.min(this.#window, stream.sendWindow));
  }

  head(stream: Stream, block: Uint8Array, end: boolean): void {
    for (const part of headersFrames(stream.id, block, end, this.#maxFrameSize)) {
      this.#output.add(part);
    }
    stream.localEnded = end;
  }

  /**
   * Writes `body` from offset `from` on, as far as there is room; returns the bytes taken. With `end`, the last frame
   * ends the stream if all of the body went.
   */
  data(stream: Stream, body: Chunks, from: number, end: boolean): number {
    const wanted = body.length - from;
    const total = Math.min(wanted, this.room(stream));
    const stop = from + total;
    for (let at = from; at < stop;) {
      const count = Math.min(stop - at, this.#maxFrameSize);
      const isLast = end && at + count === body.length;
      this.#output.add(sharedDataHeader(count, isLast ? flags.endStream : 0, stream.id));
      this.#output.addRange(body, at, count);
      at += count;
    }
    this.#window -= total;
    stream.sendWindow -= total;
    stream.wantsRoom = total < wanted;
    if (total === wanted && end) {
      if (wanted === 0) {
        this.#output.add(sharedDataHeader(0, flags.endStream, stream.id));
      }
      stream.localEnded = true;
    }
    return total;
  }

  /**
   * The header of a DATA frame with `length` bytes, which the caller writes with them at once; undefined, with nothing
   * taken from the windows, when they or the largest frame do not let out all of it.
   */
  wholeFrame(stream: Stream, length: number): Uint8Array | undefined {
    if (length > this.#maxFrameSize || length > this.room(stream) || stream.localEnded || stream.rest !== undefined) {
      return undefined;
    }
    this.#window -= length;
    stream.sendWindow -= length;
    return sharedDataHeader(length, 0, stream.id);
  }

  /** Writes the whole body and the end, and keeps with the stream what there is no room for. */
  whole(stream: Stream, body: Chunks, from: number): void {
    const taken = this.data(stream, body, from, true);
    stream.wantsRoom = false;
    stream.rest = from + taken < body.length ? { body, from: from + taken } : undefined;
  }
}

/**
 * The last DATA header made, for a message that goes to thousands of connections goes to the same stream number in most
 * of them. Shared chunks are never changed.
 */
let lastHeader: { length: number; flags: number; stream: number; bytes: Uint8Array } | undefined;

function sharedDataHeader(length: number, frameFlags: number, stream: number): Uint8Array {
  if (lastHeader?.length !== length || lastHeader.flags !== frameFlags || lastHeader.stream !== stream) {
    const bytes = frameHeader(length, frames.data, frameFlags, stream);
    lastHeader = { length, flags: frameFlags, stream, bytes };
  }
  return lastHeader.bytes;
}
