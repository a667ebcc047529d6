// Several processes of simulated clients as one: commands go to all of them, answers come back merged.
import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { newMeter, type Meter } from "../sim/meter.ts";
import type { Layout, SimAnswer, SimCommand } from "./protocol.ts";

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
    for (const process of pool.#processes) {
      await process.ask({ kind: "init", ...target, count: process.count, first });
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
      samples: answers.flatMap((answer) => answer.samples ?? []),
    };
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
    let index = client;
    let mover: SimProcess | undefined;
    for (const process of this.#processes) {
      if (index < process.count) {
        mover = process;
        break;
      }
      index -= process.count;
    }
    if (mover === undefined) {
      throw new Error(`there is no client ${client}`);
    }
    await this.all({ kind: "expect-endpoint", node, endpoint });
    const { at } = await mover.ask({ kind: "move", client: index, endpoint, further });
    const { last } = await this.all({ kind: "await-endpoint" });
    return (last ?? 0) - at;
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
