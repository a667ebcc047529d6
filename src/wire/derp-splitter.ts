// Cuts a DERP byte stream into frames without copying: a frame that lies whole inside a chunk is handed over where it
// lies (the handler may rewrite it in place), and only the frame cut by the chunk's end is copied together.
// Frames that nobody wants are skipped as they stream past, so an unknown type costs no memory whatever its length.
import { headerLength } from "./derp-frames.ts";

export type FrameDecision = "take" | "skip" | "refuse";

export interface FrameHandler {
  /** Asked once a frame's header is known; `length` counts the payload. "refuse" ends the stream. */
  accept(type: number, length: number): FrameDecision;
  /** One whole frame at `buffer[start, end)`, header included. The buffer belongs to the handler from here on. */
  frame(type: number, buffer: Buffer, start: number, end: number): void;
  /** No further frame follows in the buffer that was last handed over. */
  flush(): void;
}

export class FrameSplitter {
  readonly #handler: FrameHandler;
  /** The frame (or first only its header) that a chunk's end has cut, filled up to #filled. */
  #partial: Buffer | undefined;
  #filled = 0;
  #skip = 0;
  #held: Buffer | undefined;
  #holding = false;
  #ended = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Bytes kept for frames that are not complete yet. */
  get buffered(): number {
    return (this.#partial?.length ?? 0) + (this.#held?.length ?? 0);
  }

  /** Stops after the frame being handled; what follows is kept for `takeHeld`. The caller pauses its source as well. */
  hold(): void {
    this.#holding = true;
  }

  /** What has come behind the frame that was held at, for whoever reads on. */
  takeHeld(): Buffer | undefined {
    const held = this.#held;
    this.end();
    return held;
  }

  /** Hands over nothing more, from this very frame on. */
  end(): void {
    this.#ended = true;
    this.#partial = undefined;
    this.#held = undefined;
  }

  /** Takes the next bytes of the stream. False when the handler refused a frame: the stream is unusable then. */
  push(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      if (this.#holding) {
        const rest = chunk.subarray(at);
        this.#held = this.#held === undefined ? rest : Buffer.concat([this.#held, rest]);
        break;
      }
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, chunk.length - at);
        this.#skip -= passed;
        at += passed;
      } else if (this.#partial !== undefined) {
        at = this.#fill(this.#partial, chunk, at);
      } else {
        at = this.#take(chunk, at);
      }
    }
    if (!this.#ended) {
      this.#handler.flush();
    }
    return !this.#ended;
  }

  /** Starts on a frame at `at`; returns where the next one begins. */
  #take(chunk: Buffer, at: number): number {
    const left = chunk.length - at;
    if (left < headerLength) {
      this.#partial = Buffer.allocUnsafe(headerLength);
      return this.#fill(this.#partial, chunk, at);
    }
    const type = chunk.readUInt8(at);
    const length = chunk.readUInt32BE(at + 1);
    if (!this.#wanted(type, length)) {
      return at + headerLength;
    }
    const end = at + headerLength + length;
    if (end <= chunk.length) {
      this.#handler.frame(type, chunk, at, end);
      return end;
    }
    this.#partial = Buffer.allocUnsafe(headerLength + length);
    return this.#fill(this.#partial, chunk, at);
  }

  /** Completes the cut frame from `chunk[at…]`; returns where the bytes not used begin. */
  #fill(partial: Buffer, chunk: Buffer, at: number): number {
    const copied = chunk.copy(partial, this.#filled, at);
    this.#filled += copied;
    if (this.#filled < partial.length) {
      return at + copied;
    }
    const type = partial.readUInt8(0);
    const length = partial.readUInt32BE(1);
    const onlyHeader = partial.length === headerLength && length > 0;
    this.#partial = undefined;
    this.#filled = 0;
    // A header that came alone is asked about here; a longer one was asked about when it was allocated.
    if (partial.length === headerLength && !this.#wanted(type, length)) {
      return at + copied;
    }
    if (onlyHeader) {
      this.#partial = Buffer.allocUnsafe(headerLength + length);
      this.#filled = partial.copy(this.#partial);
      return at + copied;
    }
    this.#handler.frame(type, partial, 0, partial.length);
    if (!this.#ended) {
      this.#handler.flush();
    }
    return at + copied;
  }

  #wanted(type: number, length: number): boolean {
    const decision = this.#handler.accept(type, length);
    switch (decision) {
      case "take":
        return true;
      case "skip":
        this.#skip = length;
        return false;
      case "refuse":
        this.end();
        return false;
      default:
        throw new Error(`not a frame decision: ${String(decision satisfies never)}`);
    }
  }
}
