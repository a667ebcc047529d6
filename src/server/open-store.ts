// The store that the configuration names.
import type { DatabaseConfig } from "../config/config.ts";
import { createMemoryStore } from "../store/memory.ts";
import type { Store } from "../tailnet/store.ts";

export function openStore(_config: DatabaseConfig): Promise<Store> {
  return Promise.resolve(createMemoryStore());
}
