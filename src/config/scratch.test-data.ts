// A folder of its own for each test of the configuration, and surroundings that hold nothing of this machine.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { LoadedConfig } from "./config.ts";
import { loadConfig } from "./load.ts";
import type { Surroundings } from "./places.ts";

export interface Scratch extends Disposable {
  readonly folder: string;
  /** Writes a file (its folders too) and gives its path. */
  readonly write: (name: string, text: string) => string;
  readonly around: (overrides?: Partial<Surroundings>) => Partial<Surroundings>;
  /** Loads this text as config.yaml. */
  readonly load: (text: string, env?: Surroundings["env"]) => Promise<LoadedConfig>;
}

export function scratch(): Scratch {
  const folder = mkdtempSync(join(tmpdir(), "hawser-config-"));
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  };
  const around = (overrides: Partial<Surroundings> = {}): Partial<Surroundings> => ({
    env: {},
    workingDir: join(folder, "work"),
    home: join(folder, "home"),
    programRoot: join(folder, "program"),
    systemFolders: [join(folder, "etc/hawser"), join(folder, "etc/headscale")],
    machineAddress: () => "192.0.2.7",
    ...overrides,
  });
  return {
    folder,
    write,
    around,
    load: (text, env = {}) => loadConfig(around({ env, file: write("conf/config.yaml", text) })),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Messages of one severity. */
export function said({ findings }: Pick<LoadedConfig, "findings">, severity: "error" | "warning" | "info"): string[] {
  return findings.filter((finding) => finding.severity === severity).map(({ text }) => text);
}
