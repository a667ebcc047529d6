// Handshakes wait here for their turn. Each costs several key agreements, anybody may ask for one, and after a restart
// everybody does at once: so they are done a few milliseconds at a time, one source after the other, and a source that
// floods waits behind itself.

export interface HandshakeQueue {
  /** False when the queue is full. */
  add(source: string, job: () => void): boolean;
  readonly length: number;
}

export interface HandshakeQueueOptions {
  /** Waiting jobs in all; 8192. */
  readonly capacity?: number;
  /** How long jobs may run before other work gets its turn, ms; 4. */
  readonly sliceMs?: number;
  readonly elapsed: () => number;
  /** Runs the task when other work has had its turn. */
  readonly later: (task: () => void) => void;
}

export function createHandshakeQueue(options: HandshakeQueueOptions): HandshakeQueue {
  const { capacity = 8192, sliceMs = 4, elapsed, later } = options;
  const bySource = new Map<string, (() => void)[]>();
  let length = 0;
  let running = false;

  function next(): (() => void) | undefined {
    const first = bySource.entries().next();
    if (first.done === true) {
      return undefined;
    }
    const [source, jobs] = first.value;
    const job = jobs.shift();
    // To the end of the line.
    bySource.delete(source);
    if (jobs.length > 0) {
      bySource.set(source, jobs);
    }
    length--;
    return job;
  }

  function run(): void {
    const start = elapsed();
    do {
      const job = next();
      if (job === undefined) {
        running = false;
        return;
      }
      job();
    } while (elapsed() - start < sliceMs);
    later(run);
  }

  return {
    add(source, job) {
      const jobs = bySource.get(source);
      // A single source may fill half of the room, so that there is always some for others.
      if (length >= capacity || (jobs !== undefined && jobs.length >= capacity / 2)) {
        return false;
      }
      if (jobs === undefined) {
        bySource.set(source, [job]);
      } else {
        jobs.push(job);
      }
      length++;
      if (!running) {
        running = true;
        later(run);
      }
      return true;
    },
    get length() {
      return length;
    },
  };
}
