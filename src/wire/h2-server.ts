// The server's side of HTTP/2 under Noise (protocol §2.7): requests in, responses out.
// Its SETTINGS ask for an empty header table, so that a peer's headers carry no state once it has acknowledged them.
import { H2Connection, type HeadOutcome, type StreamEvents } from "./h2-connection.ts";
import { clientPreface, defaultWindow, errorCodes, settings, settingsFrame } from "./h2-frames.ts";
import { defaultLimits, type H2Fault, type H2Limits } from "./h2-limits.ts";
import { encodeFields, type HeaderField } from "./hpack.ts";

/** The head of a request. Header names are lower-case; a name may occur more than once. */
export interface RequestHead {
  readonly method: string;
  /** With its query, as sent. */
  readonly path: string;
  readonly authority: string;
  readonly headers: readonly HeaderField[];
}

export interface ServerEvents extends StreamEvents {
  /** A request begins. With `end`, it has no body and `end` follows at once. */
  request(stream: number, head: RequestHead, end: boolean): void;
  /** The peer will open no more streams. */
  goaway?(code: number): void;
}

/** The first value of a header, or undefined. */
export function headerOf(head: { readonly headers: readonly HeaderField[] }, name: string): string | undefined {
  return head.headers.find(([key]) => key === name)?.[1];
}

/** A response's header block, good for any number of streams and connections. Names must be lower-case. */
export function responseHead(status: number, headers: readonly HeaderField[] = []): Uint8Array {
  return encodeFields([[":status", String(status)], ...headers]);
}

/** Windows of RFC 9113's defaults: a control request is small, and the body's bound is the caller's. */
const serverWindows = { stream: defaultWindow, connection: defaultWindow, creditAfter: defaultWindow / 2 };

export class H2Server extends H2Connection {
  protected readonly events: ServerEvents;
  #preface = 0;
  #lastStream = 0;

  /** The server's SETTINGS are in the output at once. */
  constructor(events: ServerEvents, limits: H2Limits = defaultLimits) {
    super({ limits, windows: serverWindows });
    this.events = events;
    this.sendSettings(settingsOf(limits));
  }

  protected override feed(bytes: Uint8Array, start: number): H2Fault | undefined {
    let at = start;
    while (this.#preface < clientPreface.length && at < bytes.length) {
      if (bytes[at] !== clientPreface[this.#preface]) {
        return this.fault ?? this.fail("bad-preface");
      }
      this.#preface++;
      at++;
    }
    return super.feed(bytes, at);
  }

  protected override unknownHead(stream: number): boolean {
    if (stream % 2 === 0) {
      return false;
    }
    if (stream <= this.#lastStream) {
      // Trailers that were on their way when we reset the stream.
      this.#count();
      return true;
    }
    this.#lastStream = stream;
    this.openStream(stream);
    if (this.streams.size > this.limits.streams) {
      this.reset(stream, errorCodes.refusedStream);
      this.#count();
    }
    return true;
  }

  #count(): void {
    const flood = this.countReset();
    if (flood !== undefined) {
      this.fail(flood.reason);
    }
  }

  protected override head(
    stream: number,
    fields: readonly HeaderField[] | undefined,
    first: boolean,
    end: boolean,
  ): HeadOutcome {
    if (!first) {
      return "ok"; // Trailers say nothing a control request needs.
    }
    const request = fields === undefined ? undefined : requestOf(fields);
    if (request === undefined) {
      this.awaitAnotherHead(stream);
      return "malformed";
    }
    this.events.request(stream, request, end);
    return "ok";
  }

  protected override lastPeerStream(): number {
    return this.#lastStream;
  }

  protected override wasOpen(stream: number): boolean {
    return stream % 2 === 1 && stream <= this.#lastStream;
  }

  protected override goneAway(_lastStream: number, code: number): void {
    this.events.goaway?.(code);
  }
}

/** The same frame goes to everybody under the same limits. */
const settingsFrames = new WeakMap<H2Limits, Uint8Array>();

function settingsOf(limits: H2Limits): Uint8Array {
  let frame = settingsFrames.get(limits);
  if (frame === undefined) {
    frame = settingsFrame([
      [settings.headerTableSize, 0],
      [settings.maxConcurrentStreams, limits.streams],
      [settings.maxHeaderListSize, limits.headerList],
    ]);
    settingsFrames.set(limits, frame);
  }
  return frame;
}

/** Undefined when the request is malformed (RFC 9113 §8.1.1, §8.3.1). */
function requestOf(fields: readonly HeaderField[]): RequestHead | undefined {
  const pseudo = new Map<string, string>();
  const headers: HeaderField[] = [];
  for (const field of fields) {
    const [name, value] = field;
    if (name.startsWith(":")) {
      if (headers.length > 0 || pseudo.has(name) || !requestPseudo.has(name)) {
        return undefined;
      }
      pseudo.set(name, value);
    } else if (!validName.test(name) || connectionHeaders.has(name) || hasControlCharacter.test(value)) {
      return undefined;
    } else {
      headers.push(field);
    }
  }
  const method = pseudo.get(":method");
  const path = pseudo.get(":path");
  if (method === undefined || path === undefined || path === "" || !pseudo.has(":scheme")) {
    return undefined;
  }
  return { method, path, authority: pseudo.get(":authority") ?? "", headers };
}

const requestPseudo = new Set([":method", ":scheme", ":authority", ":path"]);
/** They belong to a hop of HTTP/1 and are forbidden (RFC 9113 §8.2.2). */
const connectionHeaders = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
const validName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// eslint-disable-next-line no-control-regex -- these three are what RFC 9113 §8.2.1 forbids in values
const hasControlCharacter = /[\0\r\n]/;
