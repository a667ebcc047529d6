// A bounded queue of frames waiting for a slow reader. When it is full the oldest go: for relayed packets a late one is
// worth less than a fresh one (protocol §8.4). Bounded in packets and in bytes.

export class PacketQueue {
  readonly #maxPackets: number;
  readonly #maxBytes: number;
  #frames: Buffer[] = [];
  #bytes = 0;

  constructor(maxPackets: number, maxBytes: number) {
    this.#maxPackets = maxPackets;
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#frames.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a frame and returns how many older ones had to go for it. The newest always stays. */
  push(frame: Buffer): number {
    this.#frames.push(frame);
    this.#bytes += frame.length;
    let dropped = 0;
    while (this.#frames.length > 1 && (this.#frames.length > this.#maxPackets || this.#bytes > this.#maxBytes)) {
      this.#bytes -= this.#frames.shift()?.length ?? 0;
      dropped++;
    }
    return dropped;
  }

  /** All that waits, oldest first; the queue is empty afterwards. */
  drain(): readonly Buffer[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    return frames;
  }
}
