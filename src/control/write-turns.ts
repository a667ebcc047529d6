// When an edge writes to its connections: those with something to say are gathered over a turn of the event loop, so that
// what belongs together leaves in one write, and written to a slice at a time, so that whoever else has work need not
// wait for a thousand full maps.
import type { Clock } from "../identity/clock.ts";
import type { ControlCounters } from "./counters.ts";
import { observeLatency } from "./latency.ts";

/** What is written to: a connection. */
export interface Writer {
  /** Writes as much as the socket takes. */
  flush(): void;
  /** Nothing came that what waits could leave with. */
  settle(): void;
}

export interface WriteTurns<Each extends Writer> {
  /** It is flushed soon, with what the same turn adds. */
  add(writer: Each): void;
  /** It is settled in some milliseconds, unless flushed before. */
  addPatient(writer: Each): void;
  /** So many sessions among those added are being told of a change accepted then: counted once it is written. */
  news(acceptedAt: number, sessions: number): void;
}

/** How long connections are written to before other work gets its turn, ms, and after how many that is looked at. */
const sliceMs = 5;
const lookEvery = 8;
/** How long an acknowledgement waits for an answer to leave with, ms. */
const patienceMs = 10;

interface News {
  readonly acceptedAt: number;
  readonly sessions: number;
}

/** `failed` is told of a writer that threw: what waits behind it is written all the same. */
export function createWriteTurns<Each extends Writer>(
  clock: Clock,
  counters: Pick<ControlCounters, "propagation">,
  failed: (writer: Each, fault: unknown) => void,
): WriteTurns<Each> {
  let due: Each[] = [];
  let dueNews: News[] = [];
  let patient: Each[] = [];
  /** What is being written now, how far that has come, and the news in it. */
  let batch: readonly Each[] = [];
  let batchNews: readonly News[] = [];
  let at = 0;
  let writing = false;

  function write(): void {
    if (at === batch.length) {
      batch = due;
      batchNews = dueNews;
      at = 0;
      due = [];
      dueNews = [];
    }
    const start = clock.elapsed();
    while (at < batch.length) {
      const writer = batch[at];
      at++;
      if (writer !== undefined) {
        flush(writer);
      }
      if (at % lookEvery === 0 && at < batch.length && clock.elapsed() - start > sliceMs) {
        setImmediate(write);
        return;
      }
    }
    finish();
  }

  function flush(writer: Each): void {
    try {
      writer.flush();
    } catch (fault) {
      failed(writer, fault);
    }
  }

  function finish(): void {
    observe(batchNews);
    batch = [];
    batchNews = [];
    at = 0;
    writing = due.length > 0;
    if (writing) {
      setImmediate(write);
    } else {
      // Nobody waits for the next turn: what came meanwhile was written in this one.
      observe(dueNews);
      dueNews = [];
    }
  }

  function observe(written: readonly News[]): void {
    const now = clock.now();
    for (const { acceptedAt, sessions } of written) {
      observeLatency(counters.propagation, (now - acceptedAt) / 1000, sessions);
    }
  }

  function settlePatient(): void {
    const waiting = patient;
    patient = [];
    for (const writer of waiting) {
      writer.settle();
    }
  }

  return {
    add(writer) {
      due.push(writer);
      if (!writing) {
        writing = true;
        process.nextTick(write);
      }
    },
    addPatient(writer) {
      if (patient.push(writer) === 1) {
        clock.after(patienceMs, settlePatient);
      }
    },
    news(acceptedAt, sessions) {
      dueNews.push({ acceptedAt, sessions });
    },
  };
}
