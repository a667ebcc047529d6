// The client's side of HTTP/2 under Noise, as simulated clients speak it. SETTINGS and windows are those of the Go
// transport in official clients: 4 MiB for a stream, 1 GiB for the connection, credit after 4 KiB.
import { H2Connection, type HeadOutcome, type StreamEvents } from "./h2-connection.ts";
import { clientPreface, defaultWindow, settings, settingsFrame } from "./h2-frames.ts";
import { defaultLimits } from "./h2-limits.ts";
import type { Chunks } from "./h2-output.ts";
import { encodeFields, type HeaderField } from "./hpack.ts";

export interface ResponseHead {
  readonly status: number;
  readonly headers: readonly HeaderField[];
}

export interface ClientEvents extends StreamEvents {
  /** The response begins. With `end`, it has no body and `end` follows at once. */
  response(stream: number, head: ResponseHead, end: boolean): void;
  /** The server takes no streams above `lastStream`. */
  goaway(lastStream: number, code: number): void;
}

export interface Request {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers?: readonly HeaderField[];
  /** The whole body; undefined is none. */
  readonly body?: Uint8Array;
}

const streamWindow = 4 * 1024 * 1024;
const clientWindows = { stream: streamWindow, connection: 2 ** 30 + defaultWindow, creditAfter: 4096 };
const noBody: Chunks = { chunks: [], length: 0 };

export class H2Client extends H2Connection {
  protected readonly events: ClientEvents;
  #nextStream = 1;

  constructor(events: ClientEvents) {
    super({ limits: { ...defaultLimits, resets: Infinity, pings: Infinity }, windows: clientWindows });
    this.events = events;
    this.output.add(clientPreface);
    this.sendSettings(
      settingsFrame([
        [settings.enablePush, 0],
        [settings.initialWindowSize, streamWindow],
        [settings.headerTableSize, 0],
      ]),
    );
  }

  /** Sends a request and returns its stream. A body the windows hold back is kept and follows. */
  request({ method, authority, path, headers = [], body }: Request): number {
    const block = encodeFields([
      [":authority", authority],
      [":method", method],
      [":path", path],
      [":scheme", "https"],
      ...headers,
    ]);
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.openStream(stream);
    this.finish(stream, block, body === undefined ? noBody : { chunks: [body], length: body.length });
    return stream;
  }

  protected override unknownHead(stream: number): boolean {
    return this.wasOpen(stream);
  }

  protected override head(
    stream: number,
    fields: readonly HeaderField[] | undefined,
    first: boolean,
    end: boolean,
  ): HeadOutcome {
    if (!first) {
      return "ok";
    }
    const status = Number(fields?.find(([name]) => name === ":status")?.[1]);
    if (fields === undefined || !Number.isInteger(status) || status < 100 || (status < 200 && end)) {
      return "malformed";
    }
    if (status < 200) {
      this.awaitAnotherHead(stream);
      return "ok";
    }
    this.events.response(stream, { status, headers: fields.filter(([name]) => !name.startsWith(":")) }, end);
    return "ok";
  }

  protected override lastPeerStream(): number {
    return 0;
  }

  protected override wasOpen(stream: number): boolean {
    return stream % 2 === 1 && stream < this.#nextStream;
  }

  protected override goneAway(lastStream: number, code: number): void {
    this.events.goaway(lastStream, code);
  }
}
