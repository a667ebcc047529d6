// Who may begin a handshake, and when. A handshake costs several key agreements and its client's first map much more;
// anybody may ask for one, and after a restart everybody does at once. So they wait here and are let in a few
// milliseconds at a time, one source after the other: a source that floods waits behind itself. While many who were let
// in have asked for something and have no answer, or have yet to ask, nobody else is let in.
//
// A client dials for ten seconds and then begins anew. Holding its socket is free and brings it in soonest: one that is
// refused at once either comes back within milliseconds, again and again, or (plain HTTP, which has no other way to try)
// sits out its ten seconds. Whoever has given up is passed over, and whoever would have given up by the time of the
// answer is sent away: no handshake is done for a client that is gone.
import type { Clock } from "../identity/clock.ts";

/** One who has asked to come in. */
export interface Visitor {
  /** Has the client given up? */
  gone(): boolean;
  admit(ticket: Ticket): void;
  /** It has waited for so long that an answer would come too late. */
  turnAway(): void;
}

/** Held by one who was let in, until it has what it came for. */
export interface Ticket {
  /** Its first request has come. */
  spoke(): void;
  /** That was answered, or the connection is over. */
  served(): void;
}

export interface Admission {
  /** False when no more can wait. */
  add(source: string, visitor: Visitor): boolean;
  readonly waiting: number;
  /** Let in, and no request has come. */
  readonly silent: number;
  /** Let in, and the first request has no answer. */
  readonly asking: number;
}

export interface AdmissionOptions {
  readonly clock: Clock;
  /** Runs the task when other work has had its turn. */
  readonly later: (task: () => void) => void;
  /** Visitors that may wait; one source may be half of them. */
  readonly capacity?: number;
  /** May be silent at the same time: with more, some would not get to their request before they give up. */
  readonly silent?: number;
  /** May be asking at the same time. */
  readonly asking?: number;
  /** How long handshakes may run before other work gets its turn, ms. */
  readonly sliceMs?: number;
  /** For so long an answer is worth something to a client, ms. */
  readonly patienceMs?: number;
  /** Told of what `admit` throws. */
  readonly failed: (fault: unknown) => void;
}

export const admissionDefaults = { capacity: 32_768, silent: 128, asking: 96, sliceMs: 4, patienceMs: 8000 } as const;

/** The bounds of each of so many edges: the core answers one request after the other, however many edges ask. */
export function boundsOfEach(edges: number): { readonly silent: number; readonly asking: number } {
  const { silent, asking } = admissionDefaults;
  return { silent: Math.max(64, Math.ceil(silent / edges)), asking: Math.max(64, Math.ceil(asking / edges)) };
}

/**
 * The runtime takes one new connection in each turn of its loop, so whoever wants many taken needs short turns. While
 * connections arrive there are no handshakes for so long, ms: those who wait here can be dealt with fairly, those who
 * wait in the system's queue cannot, and administrators wait among them.
 */
const arrivalsMs = 16;
/** So long silent, or without an answer (a login waits for a person), one does not keep others out, ms. */
const ticketMs = 500;
/** How often those are looked for while nobody else can be let in, ms. */
const lookMs = 100;

interface Waiting {
  readonly visitor: Visitor;
  readonly since: number;
}

export function createAdmission(options: AdmissionOptions): Admission {
  const { clock, later, failed, capacity, sliceMs, patienceMs, ...most } = { ...admissionDefaults, ...options };
  const bySource = new Map<string, Waiting[]>();
  /** Tickets and since when, the oldest first. */
  const silent = new Map<Ticket, number>();
  const asking = new Map<Ticket, number>();
  let waiting = 0;
  /** Somebody came since the last turn. */
  let arriving = false;
  let handshakesAt = -Infinity;
  /** "paused": as many are silent, or asking, as may be. */
  let state: "idle" | "running" | "paused" = "idle";
  let cancelLook = (): void => {};

  function next(): Waiting | undefined {
    const first = bySource.entries().next();
    if (first.done === true) {
      return undefined;
    }
    const [source, line] = first.value;
    const one = line.shift();
    // To the end of the line.
    bySource.delete(source);
    if (line.length > 0) {
      bySource.set(source, line);
    }
    waiting--;
    return one;
  }

  function ticket(): Ticket {
    const given: Ticket = {
      spoke() {
        if (silent.delete(given)) {
          asking.set(given, clock.elapsed());
          roomMade();
        }
      },
      served() {
        if (silent.delete(given) || asking.delete(given)) {
          roomMade();
        }
      },
    };
    silent.set(given, clock.elapsed());
    return given;
  }

  function roomMade(): void {
    if (state === "paused" && hasRoom()) {
      resume();
    }
  }

  function hasRoom(): boolean {
    return silent.size < most.silent && asking.size < most.asking;
  }

  function forgetSlow(tickets: Map<Ticket, number>): void {
    const now = clock.elapsed();
    for (const [given, since] of tickets) {
      if (now - since < ticketMs) {
        return;
      }
      tickets.delete(given);
    }
  }

  function resume(): void {
    cancelLook();
    state = "running";
    later(run);
  }

  function pause(): void {
    state = "paused";
    cancelLook = clock.after(lookMs, resume);
  }

  function run(): void {
    const start = clock.elapsed();
    if (arriving && start - handshakesAt < arrivalsMs) {
      arriving = false;
      later(run);
      return;
    }
    arriving = false;
    letIn(start);
    handshakesAt = clock.elapsed();
  }

  function letIn(start: number): void {
    do {
      if (!hasRoom()) {
        forgetSlow(silent);
        forgetSlow(asking);
      }
      if (!hasRoom()) {
        pause();
        return;
      }
      const one = next();
      if (one === undefined) {
        state = "idle";
        return;
      }
      if (one.visitor.gone()) {
        continue;
      }
      serve(one);
    } while (clock.elapsed() - start < sliceMs);
    later(run);
  }

  /** A fault in one visitor's handshake is told and costs that visitor; the others are let in all the same. */
  function serve({ visitor, since }: Waiting): void {
    if (clock.elapsed() - since > patienceMs) {
      visitor.turnAway();
      return;
    }
    const given = ticket();
    try {
      visitor.admit(given);
    } catch (fault) {
      given.served();
      failed(fault);
      visitor.turnAway();
    }
  }

  return {
    add(source, visitor) {
      const line = bySource.get(source);
      if (waiting >= capacity || (line !== undefined && line.length >= capacity / 2)) {
        return false;
      }
      const one = { visitor, since: clock.elapsed() };
      if (line === undefined) {
        bySource.set(source, [one]);
      } else {
        line.push(one);
      }
      waiting++;
      arriving = true;
      if (state === "idle") {
        state = "running";
        later(run);
      }
      return true;
    },
    get waiting() {
      return waiting;
    },
    get silent() {
      return silent.size;
    },
    get asking() {
      return asking.size;
    },
  };
}
