// Loaded into a server that is looked at for what it keeps (soak.ts): SIGUSR2 collects the garbage of all its threads at
// once, and says what the main thread's heap holds then, before the next turn of the loop makes new garbage. When the
// runtime collects by itself differs by minutes and by tens of megabytes; the database's thread, which leaves little, is
// not collected for hours.
import { renameSync, writeFileSync } from "node:fs";
import { BroadcastChannel, isMainThread } from "node:worker_threads";

const channel = new BroadcastChannel("collect");
channel.unref();
const report = process.env["HAWSER_BENCH_COLLECTED"];
if (isMainThread) {
  process.on("SIGUSR2", () => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, not a window
    channel.postMessage("now");
    globalThis.gc?.();
    if (report !== undefined) {
      // Whole or not at all.
      writeFileSync(`${report}.new`, String(process.memoryUsage().heapUsed));
      renameSync(`${report}.new`, report);
    }
  });
} else {
  channel.onmessage = () => globalThis.gc?.();
}
