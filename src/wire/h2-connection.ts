// One HTTP/2 connection without I/O (RFC 9113), the part that is the same on both sides: frames in, events out, frames
// to write collected in `output`, flow control both ways. Server and client add what their role means.
// Nothing is buffered for the application: what the windows do not let out stays with the caller, except the small
// bodies given to `finish`. Memory per connection is bounded by the limits, whatever the peer sends.
import {
  defaultMaxFrameSize,
  defaultWindow,
  errorCodes,
  flags,
  FrameParser,
  frames,
  goawayFrame,
  maxWindow,
  numberFrame,
  pingAck,
  settings,
  settingsAck,
  type FrameSink,
} from "./h2-frames.ts";
import { HeaderBlocks, type BlockOutcome, type HeaderSection } from "./h2-header-blocks.ts";
import { fault, RateCounters, type H2Fault, type H2FaultReason, type H2Limits } from "./h2-limits.ts";
import { ChunkList, type Chunks } from "./h2-output.ts";
import { Sender } from "./h2-sender.ts";
import { ReceiveWindow } from "./h2-receive-window.ts";
import { newStream, type Stream } from "./h2-stream.ts";
import type { HeaderField } from "./hpack.ts";

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

/**
 * Credit for fewer bytes than this buys a DATA frame that costs more than what is in it. Clients give it by kilobytes
 * (Go from 4 KiB on), but for the last of a window.
 */
const tinyCredit = 256;

/** What a role makes of a header section: it is broken (resets the stream), or it was taken. */
export type HeadOutcome = "ok" | "malformed";

export abstract class H2Connection implements FrameSink<H2Fault> {
  /** What is to be written next. The owner takes all of it and calls `output.clear()`. */
  readonly output = new ChunkList();
  protected readonly limits: H2Limits;
  protected readonly streams = new Map<number, Stream>();
  readonly #windows: ReceiveWindows;
  readonly #parser = new FrameParser<H2Fault>(this);
  readonly #blocks: HeaderBlocks;
  readonly #sender: Sender;
  readonly #rates = new RateCounters();
  #fault: H2Fault | undefined;
  readonly #receiveWindow: ReceiveWindow;
  #sawSettings = false;

  protected constructor({ limits, windows }: ConnectionOptions) {
    this.limits = limits;
    this.#blocks = new HeaderBlocks(limits);
    this.#sender = new Sender(this.output);
    this.#windows = windows;
    this.#receiveWindow = new ReceiveWindow(windows.connection, windows.creditAfter);
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
    if (this.#fault === undefined) {
      this.#fault = fault(reason);
      this.goaway(this.#fault.code);
    }
    return this.#fault;
  }

  /** Tells the peer that no further streams are taken; those open go on. */
  goaway(code: number): void {
    this.output.add(goawayFrame(this.lastPeerStream(), code));
  }

  /** `frame` is a whole SETTINGS frame. */
  protected sendSettings(frame: Uint8Array): void {
    this.output.add(frame);
    if (this.#windows.connection > defaultWindow) {
      this.output.add(numberFrame(frames.windowUpdate, 0, this.#windows.connection - defaultWindow));
    }
  }

  protected openStream(id: number): void {
    const window = new ReceiveWindow(this.#windows.stream, this.#windows.creditAfter);
    this.streams.set(id, newStream(id, this.#sender.initialWindow, window));
  }

  // ---- writing

  /** Writes a header section (a block of encodeFields). False when the stream is gone. */
  writeHead(stream: number, block: Uint8Array, end: boolean): boolean {
    const open = this.streams.get(stream);
    if (open === undefined || open.localEnded) {
      return false;
    }
    this.#sender.head(open, block, end);
    this.#forgetIfEnded(open);
    return true;
  }

  /** Bytes of body the stream may send now; 0 when it is gone. */
  sendable(stream: number): number {
    const open = this.streams.get(stream);
    return open === undefined || open.localEnded || open.rest !== undefined ? 0 : this.#sender.room(open);
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
    const taken = this.#sender.data(open, body, from, end);
    this.#forgetIfEnded(open);
    return taken;
  }

  /** What `frameAround` wants to know of a stream: undefined when it is gone. Good until an event tells of its end. */
  openStreamOf(stream: number): Stream | undefined {
    return this.streams.get(stream);
  }

  /**
   * For a body of `length` bytes that the caller writes by itself: the header that stands before it as one DATA frame.
   * Undefined when something else is to be written first, or the windows do not let out all of it: then `writeData`.
   */
  frameAround(open: Stream, length: number): Uint8Array | undefined {
    return this.output.length > 0 ? undefined : this.#sender.wholeFrame(open, length);
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
    this.#sender.whole(open, body, 0);
    this.#forgetIfEnded(open);
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

  #forgetIfEnded(open: Stream): void {
    if (open.localEnded && open.remoteEnded) {
      this.streams.delete(open.id);
    }
  }

  #endRemote(open: Stream): void {
    open.remoteEnded = true;
    this.#forgetIfEnded(open);
    this.events.end(open.id);
  }

  // ---- frames from the peer

  frame(type: number, frameFlags: number, stream: number, payload: Buffer): H2Fault | undefined {
    if (!this.#sawSettings && (type !== frames.settings || (frameFlags & flags.ack) !== 0)) {
      return fault("protocol");
    }
    if (this.#blocks.isOpen && type !== frames.continuation) {
      return fault("protocol");
    }
    switch (type) {
      case frames.headers:
        return stream === 0 ? fault("protocol") : this.#block(this.#blocks.headers(frameFlags, stream, payload));
      case frames.continuation:
        return this.#block(this.#blocks.continuation(frameFlags, stream, payload));
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
    if (!this.#sawSettings || this.#blocks.isOpen || stream === 0 || !this.wasOpen(stream)) {
      return fault("protocol");
    }
    if (length === 0 && (frameFlags & flags.endStream) === 0 && !this.#rates.emptyData(this.limits)) {
      return fault("empty-data-flood");
    }
    if (!this.#receiveWindow.take(length)) {
      return fault("flow-control");
    }
    this.#giveCredit(0, this.#receiveWindow);
    const open = this.streams.get(stream);
    if (open === undefined) {
      // We have reset it; what was on its way still counts above.
      return undefined;
    }
    if (open.remoteEnded || !open.hasHead) {
      return this.#failStream(open, errorCodes.streamClosed);
    }
    return open.receiveWindow.take(length) ? undefined : this.#failStream(open, errorCodes.flowControl);
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
    } else {
      this.#giveCredit(stream, open.receiveWindow);
    }
    return undefined;
  }

  #giveCredit(stream: number, window: ReceiveWindow): void {
    const credit = window.credit();
    if (credit > 0) {
      this.output.add(numberFrame(frames.windowUpdate, stream, credit));
    }
  }

  #block(outcome: BlockOutcome): H2Fault | undefined {
    switch (outcome.kind) {
      case "section":
        return this.#section(outcome);
      case "more":
        return undefined;
      case "fault":
        return outcome.fault;
    }
  }

  #section({ stream, fields, endStream }: HeaderSection): H2Fault | undefined {
    if (!this.streams.has(stream) && !this.unknownHead(stream)) {
      return fault("protocol");
    }
    const open = this.streams.get(stream);
    if (open === undefined) {
      return this.#fault;
    }
    if (open.remoteEnded) {
      return this.#failStream(open, errorCodes.streamClosed);
    }
    const first = !open.hasHead;
    open.hasHead = true;
    const outcome = first || endStream ? this.head(stream, fields, first, endStream) : "malformed";
    if (outcome === "malformed") {
      return this.#failStream(open, errorCodes.protocol) ?? this.#fault;
    }
    if (endStream && this.streams.has(stream)) {
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

  /**
   * A fault of one stream: reset it and tell its owner. A peer that makes us reset gets around the bound on open streams
   * as one that resets by itself does, so both count.
   */
  #failStream(open: Stream, code: number): H2Fault | undefined {
    const isKnownToOwner = open.hasHead;
    this.reset(open.id, code);
    if (isKnownToOwner) {
      this.events.reset(open.id, code);
    }
    return this.countReset();
  }

  /** Counts a stream that was refused or reset, by whichever side; a flood of them ends the connection. */
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
      this.#blocks.tableMustBeEmpty();
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
      case settings.initialWindowSize:
        return value > maxWindow || !this.#sender.changeInitialWindow(value, this.streams.values())
          ? fault("flow-control")
          : undefined;
      case settings.maxFrameSize:
        if (value < defaultMaxFrameSize || value > 0xff_ffff) {
          return fault("protocol");
        }
        this.#sender.setMaxFrameSize(value);
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
    if (credit < tinyCredit && !this.#rates.tinyCredit(this.limits)) {
      return fault("window-update-flood");
    }
    if (stream === 0) {
      if (credit === 0) {
        return fault("protocol");
      }
      if (!this.#sender.credit(credit)) {
        return fault("flow-control");
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
      return this.#failStream(open, credit === 0 ? errorCodes.protocol : errorCodes.flowControl);
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
    if (this.#sender.room(open) === 0) {
      return;
    }
    const { rest } = open;
    if (rest !== undefined) {
      this.#sender.whole(open, rest.body, rest.from);
      this.#forgetIfEnded(open);
    } else if (open.wantsRoom) {
      open.wantsRoom = false;
      this.events.writable(open.id);
    }
  }
}
