import { createMemoryStore, MemoryDisk } from "./memory.ts";
import { storeSuite } from "./store-suite.ts";

storeSuite("memory", async () => {
  const disk = new MemoryDisk();
  return { open: async () => createMemoryStore({}, disk), dispose: async () => undefined };
});
