// One HTTP/2 connection without I/O (RFC 9113), the part that is the same on both sides: frames in, events out, frames
// to write collected in `output`, flow control both ways. Server and client add what their role means.
// Nothing is buffered for the application: what the windows do not let out stays with the caller, except the small
// bodies given to `finish`. Memory per connection is bounded by the limits, whatever the peer sends.
import { HpackDecoder, type HeaderField } from "./hpack.ts";
import {
  defaultMaxFrameSize,
  defaultWindow,
  errorCodes,
  flags,
  frameHeader,
  FrameParser,
  frames,
  goawayFrame,
  headersFrames,
  maxWindow,
  numberFrame,
  pingAck,
  settings,
  settingsAck,
  settingsFrame,
  type FrameSink,
} from "./h2-frames.ts";
import { RateCounters, type H2Fault, type H2FaultReason, type H2Limits } from "./h2-limits.ts";
import { ChunkList, type Chunks } from "./h2-output.ts";

const faultCodes: Readonly<Record<H2FaultReason, number>> = {
  "bad-preface": errorCodes.protocol,
  "frame-size": errorCodes.frameSize,
  padding: errorCodes.protocol,
  protocol: errorCodes.protocol,
  compression: errorCodes.compression,
  "flow-control": errorCodes.flowControl,
  "header-block-too-large": errorCodes.enhanceYourCalm,
  "too-many-continuations": errorCodes.enhanceYourCalm,
  "reset-flood": errorCodes.enhanceYourCalm,
  "ping-flood": errorCodes.enhanceYourCalm,
  "settings-flood": errorCodes.enhanceYourCalm,
  "empty-data-flood": errorCodes.enhanceYourCalm,
};

function fault(reason: H2FaultReason): H2Fault {
  return { reason, code: faultCodes[reason] };
}

/** How much we let the peer send, and how soon we give credit back. */
export interface ReceiveWindows {
  readonly stream: number;
  readonly connection: number;
  /** Bytes taken before a WINDOW_UPDATE is worth sending. */
  readonly creditAfter: number;
}

export interface ConnectionOptions {
  readonly limits: H2Limits;
  readonly windows: ReceiveWindows;
}

/** Events of every stream. They come during `push`; every method may be called from within. */
export interface StreamEvents {
  /** Body bytes; the slice is shared with nobody else. */
  data(stream: number, slice: Uint8Array): void;
  /** The peer has sent all of its message. */
  end(stream: number): void;
  /** The peer, or a fault of this stream alone, has ended it both ways; nothing more comes of it. */
  reset(stream: number, code: number): void;
  /** A `writeData` that could not take all may be tried again. */
  writable(stream: number): void;
}

interface Stream {
  readonly id: number;
  sendWindow: number;
  receiveWindow: number;
  /** Bytes taken for which no credit was given yet. */
  uncredited: number;
  localEnded: boolean;
  remoteEnded: boolean;
  /** The peer's first header section has come. */
  hasHead: boolean;
  /** A write fell short: tell when there is room. */
  wantsRoom: boolean;
  rest: { readonly body: Chunks; from: number } | undefined;
}

/** A header block being gathered: HEADERS without END_HEADERS. */
interface OpenBlock {
  readonly stream: number;
  readonly end: boolean;
  readonly parts: Buffer[];
  length: number;
  continuations: number;
}

/** What a role makes of a header section: it is broken (resets the stream), or it was taken. */
export type HeadOutcome = "ok" | "malformed";

export abstract class H2Connection implements FrameSink<H2Fault> {
  /** What is to be written next. The owner takes all of it and calls `output.clear()`. */
  readonly output = new ChunkList();
  protected readonly limits: H2Limits;
  protected readonly streams = new Map<number, Stream>();
  readonly #windows: ReceiveWindows;
  readonly #parser = new FrameParser<H2Fault>(this);
  readonly #hpack = new HpackDecoder();
  readonly #rates = new RateCounters();
  #fault: H2Fault | undefined;
  #block: OpenBlock | undefined;
  #sendWindow = defaultWindow;
  #receiveWindow: number;
  #uncredited = 0;
  #peerInitialWindow = defaultWindow;
  #peerMaxFrameSize = defaultMaxFrameSize;
  #sawSettings = false;

  protected constructor({ limits, windows }: ConnectionOptions) {
    this.limits = limits;
    this.#windows = windows;
    this.#receiveWindow = windows.connection;
  }

  /** The role's events. */
  protected abstract readonly events: StreamEvents;
  /** A whole header section of a stream that exists; `first` tells head from trailers. `fields` is undefined when the list was too long. */
  protected abstract head(
    stream: number,
    fields: readonly HeaderField[] | undefined,
    first: boolean,
    end: boolean,
  ): HeadOutcome;
  /** HEADERS for a stream that is not open: false is a connection error; the role may open it, or let it pass. */
  protected abstract unknownHead(stream: number): boolean;
  /** Highest stream of the peer's that was acted on, for GOAWAY. */
  protected abstract lastPeerStream(): number;
  /** Whether the stream was open once. */
  protected abstract wasOpen(stream: number): boolean;
  protected abstract goneAway(lastStream: number, code: number): void;

  /** The fault that ended the connection, if one did. */
  get fault(): H2Fault | undefined {
    return this.#fault;
  }

  /** Number of open streams. */
  get openStreams(): number {
    return this.streams.size;
  }

  /**
   * Takes decrypted bytes from the peer; `now` is in milliseconds on a clock that does not go back. After a fault the
   * output holds the GOAWAY: write it and close. DATA slices point into `bytes`.
   */
  push(bytes: Uint8Array, now: number): H2Fault | undefined {
    this.#rates.tick(now);
    return this.feed(bytes, 0);
  }

  protected feed(bytes: Uint8Array, start: number): H2Fault | undefined {
    if (this.#fault !== undefined) {
      return this.#fault;
    }
    const found = this.#parser.push(bytes, start);
    return found === undefined ? undefined : this.fail(found.reason);
  }

  /** Ends the connection: GOAWAY, and nothing is taken in any more. */
  protected fail(reason: H2FaultReason): H2Fault {
    this.#fault ??= fault(reason);
    this.goaway(this.#fault.code);
    return this.#fault;
  }

  /** Tells the peer that no further streams are taken; those open go on. */
  goaway(code: number): void {
    this.output.add(goawayFrame(this.lastPeerStream(), code));
  }

  protected sendSettings(values: readonly (readonly [number, number])[]): void {
    this.output.add(settingsFrame(values));
    if (this.#windows.connection > defaultWindow) {
      this.output.add(numberFrame(frames.windowUpdate, 0, this.#windows.connection - defaultWindow));
    }
  }

  protected openStream(id: number): void {
    this.streams.set(id, {
      id,
      sendWindow: this.#peerInitialWindow,
      receiveWindow: this.#windows.stream,
      uncredited: 0,
      localEnded: false,
      remoteEnded: false,
      hasHead: false,
      wantsRoom: false,
      rest: undefined,
    });
  }

  // ---- writing

  /** Writes a header section (a block of encodeFields). False when the stream is gone. */
  writeHead(stream: number, block: Uint8Array, end: boolean): boolean {
    const open = this.streams.get(stream);
    if (open === undefined || open.localEnded) {
      return false;
    }
    for (const part of headersFrames(stream, block, end, this.#peerMaxFrameSize)) {
      this.output.add(part);
    }
    if (end) {
      this.#endLocal(open);
    }
    return true;
  }

  /** Bytes of body the stream may send now; 0 when it is gone. */
  sendable(stream: number): number {
    const open = this.streams.get(stream);
    return open === undefined || open.localEnded || open.rest !== undefined
      ? 0
      : Math.max(0, Math.min(this.#sendWindow, open.sendWindow));
  }

  /**
   * Writes `body` from offset `from` on, as far as the windows let it; the chunks are shared, not copied. Returns the
   * bytes taken. When they are fewer than asked for, `writable` is told once there is room again (and -1 means the
   * stream is gone). With `end`, the last frame ends the stream if all of the body went.
   */
  writeData(stream: number, body: Chunks, from: number, end: boolean): number {
    const open = this.streams.get(stream);
    if (open === undefined || open.localEnded) {
      return -1;
    }
    if (open.rest !== undefined) {
      throw new Error("a stream that is being finished takes no further data");
    }
    return this.#write(open, body, from, end);
  }

  /** Writes a whole response or request: head, body, end. What the windows hold back is kept, so keep bodies small. */
  finish(stream: number, block: Uint8Array, body: Chunks): boolean {
    if (!this.writeHead(stream, block, body.length === 0)) {
      return false;
    }
    return body.length === 0 || this.finishBody(stream, body);
  }

  /** Writes the body and the end of a stream whose head has been written; keeps what the windows hold back. */
  finishBody(stream: number, body: Chunks): boolean {
    const open = this.streams.get(stream);
    if (open === undefined || open.localEnded) {
      return false;
    }
    const taken = this.#write(open, body, 0, true);
    if (taken < body.length) {
      open.wantsRoom = false;
      open.rest = { body, from: taken };
    }
    return true;
  }

  /** Ends a stream at once, both ways. The events tell nothing more of it. */
  reset(stream: number, code: number): void {
    const open = this.streams.get(stream);
    if (open !== undefined) {
      this.output.add(numberFrame(frames.resetStream, stream, code));
      this.streams.delete(stream);
    }
  }

  #write(open: Stream, body: Chunks, from: number, end: boolean): number {
    const wanted = body.length - from;
    const total = Math.max(0, Math.min(wanted, this.#sendWindow, open.sendWindow));
    let at = from;
    const stop = from + total;
    while (at < stop) {
      const count = Math.min(stop - at, this.#peerMaxFrameSize);
      const isLast = end && at + count === body.length;
      this.output.add(sharedDataHeader(count, isLast ? flags.endStream : 0, open.id));
      this.output.addRange(body, at, count);
      at += count;
    }
    this.#sendWindow -= total;
    open.sendWindow -= total;
    if (total < wanted) {
      open.wantsRoom = true;
    } else if (end) {
      if (wanted === 0) {
        this.output.add(sharedDataHeader(0, flags.endStream, open.id));
      }
      this.#endLocal(open);
    }
    return total;
  }

  #endLocal(open: Stream): void {
    open.localEnded = true;
    open.rest = undefined;
    if (open.remoteEnded) {
      this.streams.delete(open.id);
    }
  }

  #endRemote(open: Stream): void {
    open.remoteEnded = true;
    if (open.localEnded) {
      this.streams.delete(open.id);
    }
    this.events.end(open.id);
  }

  // ---- frames from the peer

  frame(type: number, frameFlags: number, stream: number, payload: Buffer): H2Fault | undefined {
    if (!this.#sawSettings && (type !== frames.settings || (frameFlags & flags.ack) !== 0)) {
      return fault("protocol");
    }
    if (this.#block !== undefined && (type !== frames.continuation || stream !== this.#block.stream)) {
      return fault("protocol");
    }
    switch (type) {
      case frames.headers:
        return this.#headers(frameFlags, stream, payload);
      case frames.continuation:
        return this.#continuation(frameFlags, payload);
      case frames.resetStream:
        return this.#peerReset(stream, payload);
      case frames.settings:
        return this.#settings(frameFlags, stream, payload);
      case frames.ping:
        return this.#ping(frameFlags, stream, payload);
      case frames.goaway:
        return this.#peerGoaway(stream, payload);
      case frames.windowUpdate:
        return this.#windowUpdate(stream, payload);
      case frames.pushPromise:
        return fault("protocol");
      default:
        // PRIORITY is obsolete, unknown types are to be ignored (RFC 9113 §5.5).
        return undefined;
    }
  }

  badLength(kind: "frame-size" | "padding"): H2Fault {
    return fault(kind);
  }

  dataStart(frameFlags: number, stream: number, length: number): H2Fault | undefined {
    if (!this.#sawSettings || this.#block !== undefined || stream === 0 || !this.wasOpen(stream)) {
      return fault("protocol");
    }
    if (length === 0 && (frameFlags & flags.endStream) === 0 && !this.#rates.emptyData(this.limits)) {
      return fault("empty-data-flood");
    }
    if (length > this.#receiveWindow) {
      return fault("flow-control");
    }
    this.#receiveWindow -= length;
    this.#uncredited += length;
    if (this.#uncredited >= Math.min(this.#windows.creditAfter, this.#windows.connection / 2)) {
      this.output.add(numberFrame(frames.windowUpdate, 0, this.#uncredited));
      this.#receiveWindow += this.#uncredited;
      this.#uncredited = 0;
    }
    const open = this.streams.get(stream);
    if (open === undefined) {
      // We have reset it; what was on its way still counts above.
      return undefined;
    }
    if (open.remoteEnded || !open.hasHead) {
      this.#failStream(open, errorCodes.streamClosed);
    } else if (length > open.receiveWindow) {
      this.#failStream(open, errorCodes.flowControl);
    } else {
      open.receiveWindow -= length;
      open.uncredited += length;
    }
    return undefined;
  }

  data(stream: number, slice: Uint8Array): H2Fault | undefined {
    if (this.streams.has(stream)) {
      this.events.data(stream, slice);
    }
    return undefined;
  }

  dataEnd(frameFlags: number, stream: number): H2Fault | undefined {
    const open = this.streams.get(stream);
    if (open === undefined) {
      return undefined;
    }
    if ((frameFlags & flags.endStream) !== 0) {
      this.#endRemote(open);
    } else if (open.uncredited >= Math.min(this.#windows.creditAfter, this.#windows.stream / 2)) {
      this.output.add(numberFrame(frames.windowUpdate, stream, open.uncredited));
      open.receiveWindow += open.uncredited;
      open.uncredited = 0;
    }
    return undefined;
  }

  #headers(frameFlags: number, stream: number, payload: Buffer): H2Fault | undefined {
    if (stream === 0) {
      return fault("protocol");
    }
    let start = 0;
    let end = payload.length;
    if ((frameFlags & flags.padded) !== 0) {
      start = 1;
      end -= payload[0] ?? 0;
    }
    if ((frameFlags & flags.priority) !== 0) {
      start += 5;
    }
    if (start > end) {
      return fault("padding");
    }
    const part = payload.subarray(start, end);
    const endStream = (frameFlags & flags.endStream) !== 0;
    if ((frameFlags & flags.endHeaders) !== 0) {
      return this.#section(stream, part, endStream);
    }
    this.#block = { stream, end: endStream, parts: [Buffer.from(part)], length: part.length, continuations: 0 };
    return part.length > this.limits.headerBlock ? fault("header-block-too-large") : undefined;
  }

  #continuation(frameFlags: number, payload: Buffer): H2Fault | undefined {
    const block = this.#block;
    if (block === undefined) {
      return fault("protocol");
    }
    block.continuations++;
    block.length += payload.length;
    if (block.continuations > this.limits.continuations) {
      return fault("too-many-continuations");
    }
    if (block.length > this.limits.headerBlock) {
      return fault("header-block-too-large");
    }
    // A copy: the payload may be a slice of a larger piece that must not be kept alive.
    block.parts.push(Buffer.from(payload));
    if ((frameFlags & flags.endHeaders) === 0) {
      return undefined;
    }
    this.#block = undefined;
    return this.#section(block.stream, Buffer.concat(block.parts), block.end);
  }

  #section(stream: number, block: Buffer, end: boolean): H2Fault | undefined {
    const fields: HeaderField[] = [];
    let size = 0;
    const whole = this.#hpack.decode(block, (name, value) => {
      size += name.length + value.length + 32;
      if (size <= this.limits.headerList) {
        fields.push([name, value]);
      }
    });
    if (!whole) {
      return fault("compression");
    }
    if (!this.streams.has(stream) && !this.unknownHead(stream)) {
      return fault("protocol");
    }
    const open = this.streams.get(stream);
    if (open === undefined) {
      return this.#fault;
    }
    if (open.remoteEnded) {
      this.#failStream(open, errorCodes.streamClosed);
      return undefined;
    }
    const first = !open.hasHead;
    open.hasHead = true;
    const outcome =
      first || end ? this.head(stream, size > this.limits.headerList ? undefined : fields, first, end) : "malformed";
    if (outcome === "malformed") {
      this.#failStream(open, errorCodes.protocol);
    } else if (end && this.streams.has(stream)) {
      this.#endRemote(open);
    }
    return this.#fault;
  }

  /** More header sections follow before the real one (1xx). */
  protected awaitAnotherHead(stream: number): void {
    const open = this.streams.get(stream);
    if (open !== undefined) {
      open.hasHead = false;
    }
  }

  /** A fault of one stream: reset it and tell its owner. */
  #failStream(open: Stream, code: number): void {
    const isKnownToOwner = open.hasHead;
    this.reset(open.id, code);
    if (isKnownToOwner) {
      this.events.reset(open.id, code);
    }
  }

  /** Counts a stream that was refused or reset; a flood of them ends the connection. */
  protected countReset(): H2Fault | undefined {
    return this.#rates.reset(this.limits) ? undefined : fault("reset-flood");
  }

  #peerReset(stream: number, payload: Buffer): H2Fault | undefined {
    if (payload.length !== 4) {
      return fault("frame-size");
    }
    if (stream === 0 || !this.wasOpen(stream)) {
      return fault("protocol");
    }
    const flood = this.countReset();
    if (flood !== undefined) {
      return flood;
    }
    if (this.streams.delete(stream)) {
      this.events.reset(stream, payload.readUInt32BE(0));
    }
    return undefined;
  }

  #settings(frameFlags: number, stream: number, payload: Buffer): H2Fault | undefined {
    if (stream !== 0) {
      return fault("protocol");
    }
    if ((frameFlags & flags.ack) !== 0) {
      this.#hpack.setLimit(0);
      return payload.length === 0 ? undefined : fault("frame-size");
    }
    if (payload.length % 6 !== 0) {
      return fault("frame-size");
    }
    if (!this.#rates.settings(this.limits)) {
      return fault("settings-flood");
    }
    this.#sawSettings = true;
    for (let at = 0; at < payload.length; at += 6) {
      const problem = this.#setting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
      if (problem !== undefined) {
        return problem;
      }
    }
    this.output.add(settingsAck);
    this.#roomForAll();
    return undefined;
  }

  #setting(id: number, value: number): H2Fault | undefined {
    switch (id) {
      case settings.initialWindowSize: {
        if (value > maxWindow) {
          return fault("flow-control");
        }
        const change = value - this.#peerInitialWindow;
        this.#peerInitialWindow = value;
        for (const open of this.streams.values()) {
          open.sendWindow += change;
          if (open.sendWindow > maxWindow) {
            return fault("flow-control");
          }
        }
        return undefined;
      }
      case settings.maxFrameSize:
        if (value < defaultMaxFrameSize || value > 0xff_ffff) {
          return fault("protocol");
        }
        // Larger frames would only delay what shares the connection.
        this.#peerMaxFrameSize = Math.min(value, defaultMaxFrameSize);
        return undefined;
      case settings.enablePush:
        return value > 1 ? fault("protocol") : undefined;
      default:
        // The peer's table size does not matter to stateless blocks; its stream limit is the client role's to ask for.
        return undefined;
    }
  }

  #ping(frameFlags: number, stream: number, payload: Buffer): H2Fault | undefined {
    if (payload.length !== 8) {
      return fault("frame-size");
    }
    if (stream !== 0) {
      return fault("protocol");
    }
    if ((frameFlags & flags.ack) === 0) {
      if (!this.#rates.ping(this.limits)) {
        return fault("ping-flood");
      }
      this.output.add(pingAck(payload));
    }
    return undefined;
  }

  #peerGoaway(stream: number, payload: Buffer): H2Fault | undefined {
    if (payload.length < 8) {
      return fault("frame-size");
    }
    if (stream !== 0) {
      return fault("protocol");
    }
    this.goneAway(payload.readUInt32BE(0) & 0x7fff_ffff, payload.readUInt32BE(4));
    return undefined;
  }

  #windowUpdate(stream: number, payload: Buffer): H2Fault | undefined {
    if (payload.length !== 4) {
      return fault("frame-size");
    }
    const credit = payload.readUInt32BE(0) & 0x7fff_ffff;
    if (stream === 0) {
      this.#sendWindow += credit;
      if (credit === 0 || this.#sendWindow > maxWindow) {
        return fault(credit === 0 ? "protocol" : "flow-control");
      }
      this.#roomForAll();
      return undefined;
    }
    if (!this.wasOpen(stream)) {
      return fault("protocol");
    }
    const open = this.streams.get(stream);
    if (open === undefined) {
      return undefined;
    }
    open.sendWindow += credit;
    if (credit === 0 || open.sendWindow > maxWindow) {
      this.#failStream(open, credit === 0 ? errorCodes.protocol : errorCodes.flowControl);
      return undefined;
    }
    this.#room(open);
    return undefined;
  }

  #roomForAll(): void {
    for (const open of this.streams.values()) {
      this.#room(open);
    }
  }

  #room(open: Stream): void {
    if (this.#sendWindow <= 0 || open.sendWindow <= 0) {
      return;
    }
    const rest = open.rest;
    if (rest !== undefined) {
      open.rest = undefined;
      const taken = this.#write(open, rest.body, rest.from, true);
      if (rest.from + taken < rest.body.length) {
        open.wantsRoom = false;
        open.rest = { body: rest.body, from: rest.from + taken };
      }
    } else if (open.wantsRoom) {
      open.wantsRoom = false;
      this.events.writable(open.id);
    }
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
