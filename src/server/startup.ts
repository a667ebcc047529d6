// What the parts of a start share: the configuration, where to say what does not work, and how everything that was
// opened is closed again, in reverse, whether the start failed half-way or the server is stopped.
import type { Config } from "../config/config.ts";
import type { Logger } from "../ops/logger.ts";

/** Why the server cannot start, in words for who runs it. */
export class StartError extends Error {
  override readonly name = "StartError";
}

export interface Startup {
  readonly config: Config;
  readonly log: Logger;
  /** What does not work, for people; the server runs without it. */
  readonly problems: string[];
  /** What listens where, for people. */
  readonly listening: string[];
  /** Says loudly that something does not work. */
  problem(text: string): void;
  /** To be done when the server stops; last in, first out. */
  whenStopping(step: () => unknown): void;
  /** Undoes everything; a step that fails does not keep the others from happening. */
  stop(): Promise<void>;
}

export function createStartup(config: Config, log: Logger): Startup {
  const steps: (() => unknown)[] = [];
  const problems: string[] = [];
  return {
    config,
    log,
    problems,
    listening: [],
    problem(text) {
      problems.push(text);
      log.warn({}, text);
    },
    whenStopping: (step) => void steps.push(step),
    async stop() {
      for (const step of steps.splice(0).toReversed()) {
        try {
          await step();
        } catch (error) {
          log.error({ fault: faultText(error) }, "a part of the server did not stop as it should");
        }
      }
    },
  };
}

export function faultText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
