// Asks a server under load what administrators and their monitors ask, again and again, and keeps the slowest answers.
import type { ServerProcess } from "./server-process.ts";

export interface SlowestAnswers {
  /** Seconds: the HTTP health check. */
  readonly health: number;
  /** Seconds: `hawser health`, a process of its own that starts, asks and ends. */
  readonly command: number;
  /** Seconds: `hawser nodes list` of all nodes. */
  readonly list: number;
}

const healthEveryMs = 100;
const commandEveryMs = 1000;
const listEveryMs = 5000;

export function watchAnswers(server: ServerProcess): { stop(): Promise<SlowestAnswers> } {
  const stopped = new AbortController();
  const again = async (everyMs: number, ask: () => Promise<unknown>): Promise<number> => {
    let slowest = 0;
    while (!stopped.signal.aborted) {
      const start = performance.now();
      await ask();
      const took = performance.now() - start;
      slowest = Math.max(slowest, took);
      await new Promise((done) => setTimeout(done, Math.max(0, everyMs - took)));
    }
    return slowest / 1000;
  };
  const all = Promise.all([
    again(healthEveryMs, () => fetch(new URL("/health", server.url)).then((answer) => answer.arrayBuffer())),
    again(commandEveryMs, () => server.cli("health")),
    again(listEveryMs, () => server.cli("nodes", "list", "--output", "json")),
  ]);
  return {
    async stop() {
      stopped.abort();
      const [health, command, list] = await all;
      return { health, command, list };
    },
  };
}
