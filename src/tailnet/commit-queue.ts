// The one road of durable changes: commands wait in line, as many as have nothing to do with each other are planned and
// committed together, and only what is durable is applied. Readers and listeners never see what could still be lost.
import type { CommandError, Result } from "./contract.ts";
import { Plan } from "./plan.ts";
import { messageOf, type Settler } from "./settle.ts";
import type { TailnetState } from "./state.ts";
import type { CommitOutcome, Store } from "./store.ts";

/** Plans one command; the function it returns reads the answer when the writes have been applied. */
export type Planner<Value> = (plan: Plan) => Result<() => Value>;

interface Waiting {
  /** Plans anew; `answer` is set by a plan that stands. */
  plan(plan: Plan): CommandError | undefined;
  succeed(): void;
  fail(error: CommandError): void;
  /** A bug: the caller's promise is rejected, the queue goes on. */
  crash(error: unknown): void;
}

/** More commands than this wait for the next commit: bounds how long one transaction holds the disk. */
const maxBatch = 256;
/** A queue this long means the disk has stopped. */
const maxWaiting = 100_000;

const unavailable: CommandError = { code: "unavailable", text: "the database did not accept the change" };

export class CommitQueue {
  readonly #state: TailnetState;
  readonly #settler: Settler;
  readonly #store: Store;
  readonly #now: () => number;
  readonly #warn: (text: string) => void;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;
  #closed = false;
  /** Set when a commit failed without saying what became of it. */
  #doubtful = false;
  #sequence: number;
  readonly #resync: () => Promise<number>;
  readonly #linger: () => Promise<void>;

  constructor(parts: {
    state: TailnetState;
    settler: Settler;
    store: Store;
    now: () => number;
    warn: (text: string) => void;
    sequence: number;
    /** Brings memory to what the store holds; returns its sequence number. */
    resync: () => Promise<number>;
    /** Lets commands gather while many come. */
    linger?: (() => Promise<void>) | undefined;
  }) {
    this.#state = parts.state;
    this.#settler = parts.settler;
    this.#store = parts.store;
    this.#now = parts.now;
    this.#warn = parts.warn;
    this.#sequence = parts.sequence;
    this.#resync = parts.resync;
    this.#linger = parts.linger ?? (() => Promise.resolve());
  }

  run<Value>(planner: Planner<Value>): Promise<Result<Value>> {
    if (this.#closed || this.#waiting.length >= maxWaiting) {
      const text = this.#closed ? "the server is stopping" : "too many commands are waiting for the database";
      return Promise.resolve({ ok: false, error: { code: "unavailable", text } });
    }
    return new Promise((resolve, reject) => {
      let answer: (() => Value) | undefined;
      this.#waiting.push({
        plan: (plan) => {
          const planned = planner(plan);
          if (!planned.ok) {
            return planned.error;
          }
          answer = planned.value;
          return undefined;
        },
        succeed: () => {
          try {
            if (answer === undefined) {
              throw new Error("a command succeeded without a plan");
            }
            resolve({ ok: true, value: answer() });
          } catch (error) {
            reject(error);
          }
        },
        fail: (error) => resolve({ ok: false, error }),
        crash: reject,
      });
      this.#working ??= this.#work();
    });
  }

  /** Finishes what waits and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    // Commands of the same turn share the first commit.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        await this.#catchUp();
        // Where several came at once more will follow, and a transaction costs the same for many as for one. Somebody who
        // sends one command after the other is never made to wait.
        if (await this.#commitBatch()) {
          await this.#linger();
        }
      }
    } finally {
      this.#working = undefined;
    }
  }

  async #catchUp(): Promise<void> {
    if (!this.#doubtful) {
      return;
    }
    try {
      this.#sequence = await this.#resync();
      this.#doubtful = false;
    } catch (error) {
      this.#warn(`the database cannot be read: ${messageOf(error)}`);
      for (const command of this.#waiting.splice(0)) {
        command.fail(unavailable);
      }
    }
  }

  /** True when commands shared the commit, or came while it was under way. */
  async #commitBatch(): Promise<boolean> {
    const batch = this.#gather();
    if (batch.length === 0) {
      return false;
    }
    let outcome: CommitOutcome;
    try {
      outcome = await this.#store.commit(batch.map(({ plan }) => plan.writes));
    } catch (error) {
      this.#warn(`commit failed: ${messageOf(error)}`);
      this.#doubtful = true;
      for (const { plan, command } of batch) {
        plan.abandon();
        command.fail(unavailable);
      }
      return false;
    }
    const crowded = batch.length > 1 || this.#waiting.length > 0;
    this.#finish(batch, outcome);
    return crowded;
  }

  /** Plans commands in order until one needs to know what becomes of an earlier one. Refusals are answered at once. */
  #gather(): { plan: Plan; command: Waiting }[] {
    const batch: { plan: Plan; command: Waiting }[] = [];
    const pending = new Set<string>();
    let taken = 0;
    for (const command of this.#waiting) {
      if (batch.length >= maxBatch) {
        break;
      }
      const plan = new Plan(this.#state, pending, this.#now());
      let error: CommandError | undefined;
      try {
        error = command.plan(plan);
      } catch (bug) {
        taken++;
        plan.abandon();
        command.crash(bug);
        continue;
      }
      if (plan.spoiled) {
        plan.abandon();
        break;
      }
      taken++;
      if (error !== undefined) {
        plan.abandon();
        command.fail(error);
      } else if (plan.writes.length === 0) {
        this.#finishWithout(plan, command);
      } else {
        for (const subject of plan.changed) {
          pending.add(subject);
        }
        batch.push({ plan, command });
      }
    }
    this.#waiting.splice(0, taken);
    return batch;
  }

  /** What needs no commit. A bug in it is its caller's: the command is not tried again with every batch to come. */
  #finishWithout(plan: Plan, command: Waiting): void {
    try {
      for (const action of plan.afterwards) {
        action();
      }
      this.#settler.settle();
    } catch (bug) {
      command.crash(bug);
      return;
    }
    command.succeed();
  }

  #finish(batch: readonly { plan: Plan; command: Waiting }[], outcome: CommitOutcome): void {
    const refused = new Map(outcome.ok ? [] : outcome.refused.map(({ index, reason }) => [index, reason]));
    const expected = this.#sequence + (refused.size < batch.length ? 1 : 0);
    this.#sequence = outcome.sequence;
    if (outcome.sequence !== expected || refused.size > 0) {
      // The database knows something that memory does not: somebody else wrote to it.
      this.#doubtful = true;
    }
    batch.forEach(({ plan }, index) => {
      if (refused.has(index)) {
        plan.abandon();
        return;
      }
      for (const write of plan.writes) {
        this.#state.apply(write);
      }
      for (const action of plan.afterwards) {
        action();
      }
    });
    this.#settler.settle();
    batch.forEach(({ command }, index) => {
      const reason = refused.get(index);
      if (reason === undefined) {
        command.succeed();
      } else {
        command.fail({ code: "conflict", text: reason });
      }
    });
  }
}
