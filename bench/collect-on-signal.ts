// Loaded into a server that is looked at for what it keeps (soak.ts): SIGUSR2 collects its garbage at once. When the
// runtime does so by itself differs by minutes and by tens of megabytes.
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  process.on("SIGUSR2", () => globalThis.gc?.());
}
