// How much a client may ask on one connection before it has read what it was answered, and how often one that belongs to
// no node may ask at all.

/** Answers that a client may leave unread and yet ask on. Each costs far more here than its question did there. */
export const mostUnread = { stranger: 64, node: 4096 } as const;
/**
 * Requests of a machine that belongs to no node, in so many milliseconds: a login takes three. With more it has to shake
 * hands again, where it waits in line.
 */
export const mostAsked = { requests: 256, withinMs: 10_000 } as const;

export class AskingLimits {
  /** Answers since the socket last took all there was. */
  #unread = 0;
  /** Requests of a stranger … */
  #asked = 0;
  /** … since then, on the caller's clock, ms. */
  #since = 0;

  answered(): void {
    this.#unread++;
  }

  /** All that was written has been taken. */
  read(): void {
    this.#unread = 0;
  }

  /** A request has come: why it is one too many, if it is. */
  excess(known: boolean, now: number): "unread" | "flood" | undefined {
    if (this.#unread > (known ? mostUnread.node : mostUnread.stranger)) {
      return "unread";
    }
    if (known) {
      return undefined;
    }
    if (now - this.#since >= mostAsked.withinMs) {
      this.#since = now;
      this.#asked = 0;
    }
    this.#asked++;
    return this.#asked > mostAsked.requests ? "flood" : undefined;
  }
}
