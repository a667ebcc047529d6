// Loaded into every test file's process: one that runs no test any more but does not end is ended with an error that says
// what keeps it alive. (node:test's own --test-force-exit ends a process without a word, before a pipe has taken all that
// was reported and before the tests behind a file's top-level `await` are known.)
import { subscribe } from "node:diagnostics_channel";
import { isMainThread } from "node:worker_threads";

/** Idle is also a file that prepares something between two tests, or cleans up after the last; no hook may take longer. */
const patienceMs = Number(process.env["HAWSER_TEST_PATIENCE_MS"] ?? 300_000);

// Threads and forks of a test file load this too.
if (isMainThread && process.env["NODE_TEST_CONTEXT"] !== undefined && /\.test\.[jt]s$/.test(process.argv[1] ?? "")) {
  watch();
}

function watch(): void {
  const running = new Set<unknown>();
  /** What comes before the first test (programs may be built) takes the time it takes. */
  let idleSince = Infinity;
  subscribe("tracing:node.test:start", (test) => {
    running.add(test);
  });
  subscribe("tracing:node.test:end", (test) => {
    running.delete(test);
    idleSince = performance.now();
  });
  setInterval(() => {
    if (running.size > 0 || performance.now() - idleSince < patienceMs) {
      return;
    }
    const kinds = Map.groupBy(process.getActiveResourcesInfo(), (kind) => kind);
    const left = [...kinds].map(([kind, { length }]) => (length > 1 ? `${length} ${kind}` : kind));
    console.error(`Its tests are over, but these keep the file's process alive: ${left.join(", ")}`);
    process.exit(1);
  }, patienceMs / 4).unref();
}
