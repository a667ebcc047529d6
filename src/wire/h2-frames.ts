// HTTP/2 frames as bytes (RFC 9113 §4, §6): constants, writers of the small ones, and a parser that is fed any pieces.
// DATA is handed on as it arrives, in slices; every other frame is gathered first, within the frame size limit.

export const frameHeaderLength = 9;
/** What a client sends first (RFC 9113 §3.4). */
export const clientPreface: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const frames = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const settings = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** RFC 9113 §7. */
export const errorCodes = {
  noError: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  connect: 10,
  enhanceYourCalm: 11,
} as const;

export const defaultWindow = 65_535;
export const maxWindow = 2 ** 31 - 1;
/** SETTINGS_MAX_FRAME_SIZE when nothing is said; also what we accept. */
export const defaultMaxFrameSize = 16_384;

/** The nine bytes before a frame's payload. */
export function frameHeader(length: number, type: number, frameFlags: number, stream: number): Buffer {
  const header = Buffer.allocUnsafe(frameHeaderLength);
  writeFrameHeader(header, length, type, frameFlags, stream);
  return header;
}

function writeFrameHeader(out: Buffer, length: number, type: number, frameFlags: number, stream: number): void {
  out[0] = length >>> 16;
  out[1] = (length >>> 8) & 0xff;
  out[2] = length & 0xff;
  out[3] = type;
  out[4] = frameFlags;
  out.writeUInt32BE(stream, 5);
}

export function settingsFrame(values: readonly (readonly [id: number, value: number])[]): Buffer {
  const frame = Buffer.alloc(frameHeaderLength + values.length * 6);
  writeFrameHeader(frame, values.length * 6, frames.settings, 0, 0);
  values.forEach(([id, value], index) => {
    frame.writeUInt16BE(id, frameHeaderLength + index * 6);
    frame.writeUInt32BE(value, frameHeaderLength + index * 6 + 2);
  });
  return frame;
}

export const settingsAck: Uint8Array = frameHeader(0, frames.settings, flags.ack, 0);

/** A frame whose payload is one 32-bit number: RST_STREAM or WINDOW_UPDATE. */
export function numberFrame(
  type: typeof frames.resetStream | typeof frames.windowUpdate,
  stream: number,
  value: number,
): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderLength + 4);
  writeFrameHeader(frame, 4, type, 0, stream);
  frame.writeUInt32BE(value, frameHeaderLength);
  return frame;
}

export function pingAck(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderLength + 8);
  writeFrameHeader(frame, 8, frames.ping, flags.ack, 0);
  frame.set(payload, frameHeaderLength);
  return frame;
}

export function goawayFrame(lastStream: number, code: number): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderLength + 8);
  writeFrameHeader(frame, 8, frames.goaway, 0, 0);
  frame.writeUInt32BE(lastStream, frameHeaderLength);
  frame.writeUInt32BE(code, frameHeaderLength + 4);
  return frame;
}

/** HEADERS and, for a block larger than a frame, CONTINUATION frames. */
export function headersFrames(stream: number, block: Uint8Array, end: boolean, maxFrameSize: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  let at = 0;
  do {
    const part = block.subarray(at, at + maxFrameSize);
    at += part.length;
    const type = out.length === 0 ? frames.headers : frames.continuation;
    const frameFlags = (at === block.length ? flags.endHeaders : 0) | (end && out.length === 0 ? flags.endStream : 0);
    out.push(frameHeader(part.length, type, frameFlags, stream), part);
  } while (at < block.length);
  return out;
}

/** What a parser tells. A returned fault stops it for good. */
export interface FrameSink<Fault> {
  /** A whole frame that is not DATA. `payload` is good during the call. */
  frame(type: number, frameFlags: number, stream: number, payload: Buffer): Fault | undefined;
  /** A DATA frame begins; `length` is its flow-controlled length, padding included. */
  dataStart(frameFlags: number, stream: number, length: number): Fault | undefined;
  /** The next part of its content, never empty; the slice belongs to the sink. */
  data(stream: number, slice: Uint8Array): Fault | undefined;
  /** All of it has come. */
  dataEnd(frameFlags: number, stream: number): Fault | undefined;
  /** The frame is longer than allowed, or padded beyond its length. */
  badLength(kind: "frame-size" | "padding"): Fault;
}

const states = { header: 0, payload: 1, padLength: 2, content: 3, padding: 4 } as const;
type State = (typeof states)[keyof typeof states];

export class FrameParser<Fault> {
  readonly #sink: FrameSink<Fault>;
  readonly #maxFrameSize: number;
  #state: State = states.header;
  #fault: Fault | undefined;
  /** A header or payload whose rest has not come. */
  #partial: Buffer | undefined;
  #partialLength = 0;
  #type = 0;
  #flags = 0;
  #stream = 0;
  #length = 0;
  #contentLeft = 0;
  #paddingLeft = 0;

  constructor(sink: FrameSink<Fault>, maxFrameSize: number = defaultMaxFrameSize) {
    this.#sink = sink;
    this.#maxFrameSize = maxFrameSize;
  }

  /** Takes the next bytes, from `start` on. DATA slices point into `bytes`. */
  push(bytes: Uint8Array, start = 0): Fault | undefined {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = start;
    while (this.#fault === undefined && (at < chunk.length || this.#isDue())) {
      at = this.#step(chunk, at);
    }
    return this.#fault;
  }

  /** An empty payload needs no further byte. */
  #isDue(): boolean {
    switch (this.#state) {
      case states.payload:
        return this.#length === 0;
      case states.content:
        return this.#contentLeft === 0;
      case states.padding:
        return this.#paddingLeft === 0;
      case states.header:
      case states.padLength:
        return false;
    }
  }

  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case states.header:
        if (this.#partial === undefined && chunk.length - at >= frameHeaderLength) {
          this.#begin(chunk, at);
          return at + frameHeaderLength;
        }
        return this.#gather(chunk, at, frameHeaderLength);
      case states.payload:
        if (this.#partial === undefined && chunk.length - at >= this.#length) {
          this.#whole(chunk.subarray(at, at + this.#length));
          return at + this.#length;
        }
        return this.#gather(chunk, at, this.#length);
      case states.padLength: {
        const padding = chunk[at] ?? 0;
        if (padding >= this.#length) {
          this.#fault = this.#sink.badLength("padding");
        }
        this.#paddingLeft = padding;
        this.#contentLeft = this.#length - 1 - padding;
        this.#state = states.content;
        return at + 1;
      }
      case states.content: {
        const end = Math.min(chunk.length, at + this.#contentLeft);
        this.#contentLeft -= end - at;
        if (this.#contentLeft === 0) {
          this.#state = states.padding;
        }
        if (end > at) {
          this.#fault = this.#sink.data(this.#stream, chunk.subarray(at, end));
        }
        return end;
      }
      case states.padding: {
        const end = Math.min(chunk.length, at + this.#paddingLeft);
        this.#paddingLeft -= end - at;
        if (this.#paddingLeft === 0) {
          this.#state = states.header;
          this.#fault = this.#sink.dataEnd(this.#flags, this.#stream);
        }
        return end;
      }
    }
  }

  #whole(payload: Buffer): void {
    this.#state = states.header;
    this.#fault = this.#sink.frame(this.#type, this.#flags, this.#stream, payload);
  }

  #begin(header: Buffer, at: number): void {
    this.#length = header.readUIntBE(at, 3);
    this.#type = header[at + 3] ?? 0;
    this.#flags = header[at + 4] ?? 0;
    this.#stream = header.readUInt32BE(at + 5) & 0x7fff_ffff;
    if (this.#length > this.#maxFrameSize) {
      this.#fault = this.#sink.badLength("frame-size");
      return;
    }
    if (this.#type !== frames.data) {
      this.#state = states.payload;
      return;
    }
    this.#fault = this.#sink.dataStart(this.#flags, this.#stream, this.#length);
    if ((this.#flags & flags.padded) === 0) {
      this.#contentLeft = this.#length;
      this.#paddingLeft = 0;
      this.#state = states.content;
    } else if (this.#length === 0) {
      this.#fault ??= this.#sink.badLength("padding");
    } else {
      this.#state = states.padLength;
    }
  }

  /** Adds to a header or payload that comes in pieces, of `wanted` bytes in all. Returns the new position. */
  #gather(chunk: Buffer, at: number, wanted: number): number {
    this.#partial ??= Buffer.allocUnsafeSlow(wanted);
    const end = Math.min(chunk.length, at + wanted - this.#partialLength);
    this.#partial.set(chunk.subarray(at, end), this.#partialLength);
    this.#partialLength += end - at;
    if (this.#partialLength === wanted) {
      const gathered = this.#partial;
      this.#partial = undefined;
      this.#partialLength = 0;
      if (this.#state === states.header) {
        this.#begin(gathered, 0);
      } else {
        this.#whole(gathered);
      }
    }
    return end;
  }
}
