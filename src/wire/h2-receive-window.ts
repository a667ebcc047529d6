// What we let a peer send (RFC 9113 §5.2): of one stream, or of the whole connection. Credit is given back as bytes are
// taken, but only when enough has come together to be worth a frame.

export class ReceiveWindow {
  readonly #creditAt: number;
  #left: number;
  #owed = 0;

  /** A window of `size` bytes; credit is due after `creditAfter` bytes, or after half of the window if that is less. */
  constructor(size: number, creditAfter: number) {
    this.#left = size;
    this.#creditAt = Math.min(creditAfter, size / 2);
  }

  /** Counts bytes that have come. False when the peer had no right to send them. */
  take(length: number): boolean {
    if (length > this.#left) {
      return false;
    }
    this.#left -= length;
    this.#owed += length;
    return true;
  }

  /** The credit to be given now, 0 when it is not worth a frame yet. */
  credit(): number {
    const owed = this.#owed;
    if (owed < this.#creditAt) {
      return 0;
    }
    this.#left += owed;
    this.#owed = 0;
    return owed;
  }
}
