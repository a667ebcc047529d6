// A Noise connection in use: HTTP/2 requests in sealed records. Everything the server sends first (the early payload,
// protocol §2.6) is taken or passed over as clients do.
import { errorCodes } from "../src/wire/h2-frames.ts";
import { H2Client, type ClientEvents, type Request, type ResponseHead } from "../src/wire/h2-client.ts";
import { RecordReader, RecordWriter } from "../src/wire/record.ts";
import { dial, type DialOptions, type Dialled } from "./dial.ts";
import type { Meter } from "./meter.ts";
import type { Transport } from "./transport.ts";

/** What becomes of one request. Exactly one of `end` and `failed` is called, last. */
export interface Exchange {
  head(head: ResponseHead): void;
  data(slice: Uint8Array): void;
  end(): void;
  failed(error: Error): void;
}

export interface Reply {
  readonly status: number;
  readonly body: Buffer;
}

const earlyMagic = Buffer.from("ffffff5453", "hex");
const earlyHeaderLength = 9;
const maxEarlyPayload = 10 * 1024 * 1024;
const authority = "control.invalid";

export class ControlConnection implements ClientEvents {
  /** The JSON of the early payload, if the server sent one. */
  earlyPayload: unknown;
  onClosed: (error: Error | undefined) => void = () => {};
  readonly #transport: Transport;
  readonly #meter: Meter;
  readonly #reader: RecordReader;
  readonly #writer: RecordWriter;
  readonly #h2: H2Client;
  readonly #exchanges = new Map<number, Exchange>();
  /** The first plaintext bytes, until it is clear whether they are an early payload. */
  #early: Buffer | undefined = Buffer.alloc(0);
  #closed = false;
  #inPush = false;

  private constructor({ transport, keys, takeRest }: Dialled, meter: Meter) {
    this.#transport = transport;
    this.#meter = meter;
    this.#reader = new RecordReader(keys.receiveKey);
    this.#writer = new RecordWriter(keys.sendKey);
    this.#h2 = new H2Client(this);
    transport.onData = (bytes) => {
      meter.bytesIn += bytes.length;
      this.#received(bytes);
    };
    transport.onClosed = (error) => this.#ended(error ?? new Error("the server closed the connection"));
    this.#received(takeRest());
    transport.resume();
    this.#flush();
  }

  static async open(options: DialOptions): Promise<ControlConnection> {
    return new ControlConnection(await dial(options), options.meter);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Starts a request; returns what cancels it. */
  start(request: Omit<Request, "authority">, exchange: Exchange): () => void {
    if (this.#closed) {
      exchange.failed(new Error("the connection is closed"));
      return () => {};
    }
    const stream = this.#h2.request({ authority, ...request });
    this.#exchanges.set(stream, exchange);
    this.#flush();
    return () => {
      if (this.#exchanges.delete(stream)) {
        this.#h2.reset(stream, errorCodes.cancel);
        this.#flush();
      }
    };
  }

  /** A request and its whole reply. */
  request(request: Omit<Request, "authority">): Promise<Reply> {
    return new Promise((done, fail) => {
      let status = 0;
      const parts: Uint8Array[] = [];
      this.start(request, {
        head: (head) => (status = head.status),
        data: (slice) => parts.push(slice),
        end: () => done({ status, body: Buffer.concat(parts) }),
        failed: fail,
      });
    });
  }

  /** Sends raw bytes in place of records, for tests of what a server does with them. */
  writeRaw(bytes: Uint8Array): void {
    this.#transport.write(bytes);
  }

  /** Sends bytes as HTTP/2 instead of what the framer makes, sealed properly. */
  writePlaintext(bytes: Uint8Array): void {
    const sealed = this.#writer.seal([bytes], bytes.length);
    if (sealed !== undefined) {
      this.#transport.write(sealed);
    }
  }

  pause(): void {
    this.#transport.pause();
  }
  resume(): void {
    this.#transport.resume();
  }

  close(): void {
    this.#ended(undefined);
  }

  // ---- events of HTTP/2

  response(stream: number, head: ResponseHead): void {
    this.#exchanges.get(stream)?.head(head);
  }
  data(stream: number, slice: Uint8Array): void {
    this.#exchanges.get(stream)?.data(slice);
  }
  end(stream: number): void {
    const exchange = this.#exchanges.get(stream);
    this.#exchanges.delete(stream);
    exchange?.end();
  }
  reset(stream: number, code: number): void {
    const exchange = this.#exchanges.get(stream);
    this.#exchanges.delete(stream);
    exchange?.failed(new Error(`the server reset the stream with code ${code}`));
  }
  writable(): void {}
  goaway(_lastStream: number, code: number): void {
    if (code !== errorCodes.noError) {
      this.#ended(new Error(`the server went away with code ${code}`));
    }
  }

  // ---- bytes

  #received(bytes: Buffer): void {
    const fault = this.#reader.push(bytes, (plaintext) => this.#plaintext(plaintext));
    if (fault !== undefined) {
      this.#ended(new Error(`a record could not be read: ${fault}`));
    } else {
      this.#flush();
    }
  }

  #plaintext(bytes: Uint8Array): void {
    if (this.#closed) {
      return;
    }
    const rest = this.#early === undefined ? bytes : this.#passEarly(bytes);
    if (rest.length === 0) {
      return;
    }
    this.#inPush = true;
    const fault = this.#h2.push(rest, performance.now());
    this.#inPush = false;
    if (fault !== undefined) {
      this.#flush();
      this.#ended(new Error(`the server broke HTTP/2: ${fault.reason}`));
    }
  }

  /** Takes an early payload if there is one; returns the bytes that belong to HTTP/2. */
  #passEarly(bytes: Uint8Array): Uint8Array {
    const early = Buffer.concat([this.#early ?? Buffer.alloc(0), bytes]);
    this.#early = early;
    const comparable = Math.min(early.length, earlyMagic.length);
    if (!early.subarray(0, comparable).equals(earlyMagic.subarray(0, comparable))) {
      this.#early = undefined;
      return early;
    }
    if (early.length < earlyHeaderLength) {
      return new Uint8Array(0);
    }
    const length = early.readUInt32BE(earlyMagic.length);
    if (length > maxEarlyPayload) {
      this.#ended(new Error("the early payload is too long"));
      return new Uint8Array(0);
    }
    if (early.length < earlyHeaderLength + length) {
      return new Uint8Array(0);
    }
    this.#early = undefined;
    this.earlyPayload = JSON.parse(early.toString("utf8", earlyHeaderLength, earlyHeaderLength + length));
    return early.subarray(earlyHeaderLength + length);
  }

  #flush(): void {
    const { output } = this.#h2;
    if (this.#inPush || this.#closed || output.length === 0) {
      return;
    }
    const sealed = this.#writer.seal(output.chunks, output.length);
    output.clear();
    if (sealed !== undefined) {
      this.#meter.bytesOut += sealed.length;
      this.#transport.write(sealed);
    }
  }

  #ended(error: Error | undefined): void {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    this.#transport.onClosed = () => {};
    this.#transport.onData = () => {};
    this.#transport.destroy();
    const open = [...this.#exchanges.values()];
    this.#exchanges.clear();
    for (const exchange of open) {
      exchange.failed(error ?? new Error("the connection was closed"));
    }
    this.onClosed(error);
  }
}
