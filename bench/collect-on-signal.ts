// Loaded into a server that is looked at for what it keeps (soak.ts): SIGUSR2 collects the garbage of all its threads at
// once. When the runtime does so by itself differs by minutes and by tens of megabytes; the database's thread, which
// leaves little, is not collected for hours.
import { BroadcastChannel, isMainThread } from "node:worker_threads";

const channel = new BroadcastChannel("collect");
channel.unref();
if (isMainThread) {
  process.on("SIGUSR2", () => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, not a window
    channel.postMessage("now");
    globalThis.gc?.();
  });
} else {
  channel.onmessage = () => globalThis.gc?.();
}
