// Which sessions have been silent for so long that they need a sign of life (protocol §4.3): 50 to 60 s after the last
// message, drawn anew each time so that they do not fall together. A wheel of one-second slots instead of a timer for
// each session; a session that was sent something meanwhile is only moved on when its slot comes.
import type { Session } from "./session.ts";

const minSilence = 50_000;
const jitter = 10_000;
const slotLength = 1000;
const slots = 64;

export class KeepAlives {
  readonly #random: () => number;
  readonly #wheel: readonly Set<Session>[] = Array.from({ length: slots }, () => new Set());
  /** The slot that was emptied last, counted from 1970. */
  #reached: number;

  /** `random`: 0 ≤ x < 1. */
  constructor(now: number, random: () => number) {
    this.#random = random;
    this.#reached = Math.floor(now / slotLength);
  }

  /** Puts the session where its silence will have lasted long enough. */
  watch(session: Session): void {
    if (session.closed) {
      return;
    }
    const due = session.lastSent + minSilence + this.#random() * jitter;
    const slot = Math.min(Math.max(Math.ceil(due / slotLength), this.#reached + 1), this.#reached + slots - 1);
    session.slot = slot % slots;
    this.#wheel[session.slot]?.add(session);
  }

  /** The session is over: nothing of it stays until its slot comes. */
  forget(session: Session): void {
    this.#wheel[session.slot]?.delete(session);
  }

  /** How many sessions are watched. */
  get count(): number {
    return this.#wheel.reduce((sum, slot) => sum + slot.size, 0);
  }

  /** The sessions that have been silent for long enough; each has to be watched again. */
  due(now: number): Session[] {
    const target = Math.floor(now / slotLength);
    const silent: Session[] = [];
    // After a long pause of the process every slot is due, but each only once.
    this.#reached = Math.max(this.#reached, target - slots);
    while (this.#reached < target) {
      this.#reached++;
      const index = this.#reached % slots;
      const sessions = [...(this.#wheel[index] ?? [])];
      this.#wheel[index]?.clear();
      for (const session of sessions) {
        if (now - session.lastSent >= minSilence) {
          silent.push(session);
        } else {
          this.watch(session);
        }
      }
    }
    return silent;
  }
}
