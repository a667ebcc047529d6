// Several processes of simulated clients as one: commands go to all of them, answers come back merged.
import { fork, type ChildProcess } from "node:child_process";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { newMeter, type Meter } from "../sim/meter.ts";
import { wallClock, type Layout, type SimAnswer, type SimCommand, type TimedMove } from "./protocol.ts";

/** Clients of one process; beyond it a second core is worth more than the shared decoding. */
const clientsPerProcess = 1500;

class SimProcess {
  readonly child: ChildProcess;
  readonly count: number;
  #waiting: { done: (answer: SimAnswer) => void; fail: (error: Error) => void } | undefined;

  constructor(count: number) {
    this.count = count;
    this.child = fork(join(import.meta.dirname, "sim-process.ts"), {
      execArgv: ["--max-old-space-size=6144"],
      serialization: "advanced",
    });
    this.child.on("message", (answer: SimAnswer) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (answer.error === undefined) {
        waiting?.done(answer);
      } else {
        waiting?.fail(new Error(answer.error));
      }
    });
    this.child.on("exit", (code) => this.#waiting?.fail(new Error(`a process of clients ended with ${code}`)));
  }

  ask(command: SimCommand): Promise<SimAnswer> {
    return new Promise((done, fail) => {
      this.#waiting = { done, fail };
      this.child.send(command);
    });
  }
}

export interface TimedChange {
  readonly mover: number;
  /** Milliseconds since 1970, as is `last`. */
  readonly sent: number;
  /** How many clients got it. */
  readonly count: number;
  readonly last: number;
}

export class SimPool {
  readonly #processes: readonly SimProcess[];
  #nodeIds: readonly number[] = [];

  private constructor(processes: readonly SimProcess[]) {
    this.#processes = processes;
  }

  static async start(target: {
    readonly url: string;
    readonly serverKeyHex: string;
    readonly authKeys: readonly string[];
    readonly layout: Layout;
    /** The clients run when nobody else wants the processor: on their own machines they would not slow the server. */
    readonly background?: boolean;
  }): Promise<SimPool> {
    const count = target.layout.nodes;
    const processes = Math.ceil(count / clientsPerProcess);
    const pool = new SimPool(
      Array.from({ length: processes }, (_, index) => {
        const share = Math.floor(count / processes) + (index < count % processes ? 1 : 0);
        return new SimProcess(share);
      }),
    );
    let first = 0;
    const { background = false, ...init } = target;
    for (const process of pool.#processes) {
      if (background && process.child.pid !== undefined) {
        setPriority(process.child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
      }
      await process.ask({ kind: "init", ...init, count: process.count, first });
      first += process.count;
    }
    return pool;
  }

  /** Asks all; the answer has the latest times, summed counts and the samples of all. */
  async all(command: SimCommand): Promise<SimAnswer> {
    const answers = await Promise.all(this.#processes.map((process) => process.ask(command)));
    const nodeIds = answers.flatMap((answer) => answer.nodeIds ?? []);
    if (nodeIds.length > 0) {
      this.#nodeIds = nodeIds;
    }
    return {
      at: Math.max(...answers.map(({ at }) => at)),
      last: Math.max(...answers.map(({ last }) => last ?? 0)),
      nodeIds,
      differences: answers.reduce((sum, answer) => sum + (answer.differences ?? 0), 0),
      compared: answers.reduce((sum, answer) => sum + (answer.compared ?? 0), 0),
      cameBack: answers.reduce((sum, answer) => sum + (answer.cameBack ?? 0), 0),
      samples: answers.flatMap((answer) => answer.samples ?? []),
    };
  }

  /**
   * All drop their connections at once and come back; the answer's time is that of the last full map. The comparison
   * begins when those of all processes are back: one that is not may still count as online for a while.
   */
  async reconnect(): Promise<SimAnswer> {
    const { at } = await this.all({ kind: "reconnect" });
    return { ...(await this.all({ kind: "compare-with-before" })), at };
  }

  /** What all clients have counted so far, and the CPU they have used, in seconds. */
  async meter(): Promise<Meter & { cpu: number }> {
    const total = { ...newMeter(), cpu: 0 };
    for (const process of this.#processes) {
      const { meter, cpu } = await process.ask({ kind: "stats" });
      for (const key of Object.keys(newMeter()) as (keyof Meter)[]) {
        total[key] += meter?.[key] ?? 0;
      }
      total.cpu += cpu ?? 0;
    }
    return total;
  }

  /** One client gets a new endpoint; resolves with the milliseconds until the last peer had it. */
  async move(client: number, endpoint: string, further: readonly string[] = []): Promise<number> {
    const node = this.#nodeIds[client] ?? 0;
    const { process: mover, index } = this.#place(client);
    await this.all({ kind: "expect-endpoint", node, endpoint });
    const { at } = await mover.ask({ kind: "move", client: index, endpoint, further });
    const { last } = await this.all({ kind: "await-endpoint" });
    return (last ?? 0) - at;
  }

  /**
   * One client after the other tells a new endpoint, whether or not the ones before have reached anybody. Resolves
   * `settleMs` after the last: when each was sent, how many peers got it, and when the last did.
   */
  async steadily(
    movers: readonly number[],
    firstPort: number,
    everyMs: number,
    settleMs: number,
  ): Promise<readonly TimedChange[]> {
    const moves = new Map<SimProcess, TimedMove[]>(this.#processes.map((process) => [process, []]));
    const start = wallClock() + 500;
    movers.forEach((mover, change) => {
      const { process, index } = this.#place(mover);
      moves.get(process)?.push({ client: index, port: firstPort + change, at: start + change * everyMs });
    });
    const answers = await Promise.all(
      [...moves].map(([process, own]) => process.ask({ kind: "steadily", moves: own })),
    );
    await new Promise((done) => setTimeout(done, settleMs));
    const sent = new Map(answers.flatMap((answer) => answer.sent ?? []));
    const counts = new Map<number, number>();
    const lasts = new Map<number, number>();
    for (const process of this.#processes) {
      for (const { change, count, last } of (await process.ask({ kind: "arrivals" })).arrivals ?? []) {
        counts.set(change, (counts.get(change) ?? 0) + count);
        lasts.set(change, Math.max(lasts.get(change) ?? 0, last));
      }
    }
    return movers.map((mover, change) => {
      const port = firstPort + change;
      return { mover, sent: sent.get(port) ?? NaN, count: counts.get(port) ?? 0, last: lasts.get(port) ?? 0 };
    });
  }

  #place(client: number): { readonly process: SimProcess; readonly index: number } {
    let index = client;
    for (const process of this.#processes) {
      if (index < process.count) {
        return { process, index };
      }
      index -= process.count;
    }
    throw new Error(`there is no client ${client}`);
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#processes.map(
        ({ child }) =>
          new Promise<void>((done) => {
            child.removeAllListeners("exit");
            child.on("exit", () => done());
            child.kill("SIGKILL");
          }),
      ),
    );
  }
}
