// What the server cannot do without: its folder, held alone; its Noise key; its store.
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadOrCreateKey } from "../identity/key-file.ts";
import { type LockOutcome, takeLock } from "../ops/process-lock.ts";
import type { Store } from "../tailnet/store.ts";
import type { MachineKey } from "../wire/ids.ts";
import { machineKeyText, privateKeyFromRaw, type PrivateKey } from "../wire/keys.ts";
import { openStore } from "./open-store.ts";
import { faultText, StartError, type Startup } from "./startup.ts";

export interface Foundation {
  readonly noiseKey: PrivateKey;
  readonly store: Store;
  /** Resolves when the store has answered, within a second. */
  checkHealth(): Promise<void>;
}

export async function openFoundation(startup: Startup): Promise<Foundation> {
  const { config, log } = startup;
  prepareFolder(config.dataDir);
  const lock = lockFolder(config.dataDir);
  if (!lock.ok) {
    throw new StartError(`another server (process ${lock.holder}) uses ${config.dataDir}; stop it first`);
  }
  startup.whenStopping(() => lock.lock.release());
  const noiseKey = loadNoiseKey(config.noise.privateKeyPath, startup);
  const opening = await openStore(config, log.child("store"));
  if (!opening.ok) {
    throw new StartError(`the database cannot be used: ${opening.reason}`);
  }
  const { store } = opening;
  startup.whenStopping(() => store.close());
  return { noiseKey, store, checkHealth: () => withinASecond(store.ping()) };
}

function prepareFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(
      `the data folder ${folder} cannot be made: ${faultText(error)}; set data_dir (or HAWSER_DATA_DIR) to another place`,
    );
  }
}

function lockFolder(folder: string): LockOutcome {
  try {
    return takeLock(join(folder, "hawser.lock"));
  } catch (error) {
    throw new StartError(
      `this user cannot write to the data folder ${folder}: ${faultText(error)}; give the folder to this user, or set data_dir (or HAWSER_DATA_DIR) to another place`,
    );
  }
}

function loadNoiseKey(path: string, startup: Startup): PrivateKey {
  try {
    const { key, exposed } = loadOrCreateKey(path);
    if (exposed) {
      startup.problem(
        `${path} can be read by others on this machine; who has it can pose as this server. Run: chmod 600 ${path}`,
      );
    }
    return key;
  } catch (error) {
    throw new StartError(`the Noise key cannot be used: ${faultText(error)}`);
  }
}

/** Clients ask for it and no longer use it; it must not be zero, and stays as long as the Noise key. */
export function legacyKeyOf(noiseKey: PrivateKey): MachineKey {
  const seed = createHash("sha256").update("hawser legacy machine key").update(noiseKey.raw).digest();
  return machineKeyText(privateKeyFromRaw(seed).publicRaw);
}

async function withinASecond(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer within a second")), 1000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
