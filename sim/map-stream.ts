// One map stream of a client: the request, the messages as they come, the watchdog, and why it ended.
import type { MapResponse } from "../src/wire/tailcfg.ts";
import type { ControlConnection } from "./control-connection.ts";
import { MessageSplitter, type Decode } from "./map-decode.ts";
import type { Meter } from "./meter.ts";
import { isFullRebuild } from "./netmap-model.ts";
import { giveUp, watch, type Watch } from "./watchdog.ts";

/** One map message as it came. */
export interface ReceivedMessage {
  readonly message: MapResponse;
  /** performance.now() when its last byte had been decrypted. */
  readonly at: number;
  /** As framed, its length prefix included. */
  readonly bytes: number;
}

/** A client gives a stream up when no complete message has come for so long. */
const watchdogMs = 120_000;

export interface StreamParts {
  readonly connection: ControlConnection;
  readonly body: Readonly<Record<string, unknown>>;
  readonly decode: Decode;
  readonly meter: Meter;
  readonly countOnly: boolean;
  readonly message: (received: ReceivedMessage) => void;
  readonly ended: (error: Error | undefined) => void;
}

const nothing: MapResponse = {};

/** One open map stream. */
export class MapStream {
  readonly #parts: StreamParts;
  readonly #splitter = new MessageSplitter();
  #cancel: () => void = () => {};
  #watch: Watch | undefined;
  #status = 0;
  #refusal = "";
  #hasEnded = false;

  constructor(parts: StreamParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#watch = watch(watchdogMs, () => this.#finish(new Error("no map message for 120 s")));
    this.#cancel = this.#parts.connection.start(
      { method: "POST", path: "/machine/map", body: Buffer.from(JSON.stringify(this.#parts.body)) },
      {
        head: ({ status }) => (this.#status = status),
        data: (slice) => this.#data(slice),
        end: () =>
          this.#finish(
            new Error(
              this.#status === 200
                ? "the server ended the map stream"
                : `initial fetch failed ${this.#status}: ${this.#refusal}`,
            ),
          ),
        failed: (error) => this.#finish(error),
      },
    );
    if (this.#hasEnded) {
      this.#cancel();
    }
  }

  cancel(): void {
    this.#finish(undefined);
  }

  #data(slice: Uint8Array): void {
    if (this.#status !== 200) {
      this.#refusal = (this.#refusal + Buffer.from(slice).toString("utf8")).slice(0, 200);
      return;
    }
    try {
      this.#splitter.push(slice, (body) => this.#message(body));
    } catch (error) {
      // As in a client: one bad message ends the stream.
      this.#finish(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #message(body: Buffer): void {
    if (this.#hasEnded) {
      return;
    }
    const at = performance.now();
    const { meter, countOnly, decode, message } = this.#parts;
    if (this.#watch !== undefined) {
      this.#watch.deadline = at + watchdogMs;
    }
    meter.messages++;
    meter.messageBytes += body.length + 4;
    const decoded = countOnly ? nothing : decode(body);
    if (decoded.KeepAlive) {
      meter.keepAlives++;
    } else if (!countOnly && isFullRebuild(decoded)) {
      meter.fullRebuilds++;
    }
    message({ message: decoded, at, bytes: body.length + 4 });
  }

  #finish(error: Error | undefined): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    if (this.#watch !== undefined) {
      giveUp(this.#watch);
    }
    if (error !== undefined) {
      this.#parts.meter.streamsLost++;
    }
    this.#cancel();
    this.#parts.ended(error);
  }
}
