// What the commands need of the configuration, and nothing of what only the server does: faults in other keys do not
// keep a command from running.
import { dirname } from "node:path";
import type { CliOnlyConfig, Finding } from "./config.ts";
import { warnOfExposedSecrets } from "./exposed.ts";
import { gather } from "./gather.ts";
import { logConfig } from "./groups.ts";
import { keys } from "./keys.ts";
import { cliGroup, dataDirOf, readSource, unixSocket } from "./load.ts";
import type { Surroundings } from "./places.ts";
import { findConfigFile, surroundings } from "./places.ts";
import { Reading } from "./reading.ts";

export interface LoadedCliConfig {
  /** Undefined when the file cannot be read, or one of the keys below has an error. */
  readonly config: CliOnlyConfig | undefined;
  /** Errors and warnings about the keys that commands read, and faults of the file. */
  readonly findings: readonly Finding[];
  readonly file: string | undefined;
}

export async function loadCliConfig(overrides: Partial<Surroundings> = {}): Promise<LoadedCliConfig> {
  const around = surroundings(overrides);
  const found = findConfigFile(around);
  const source = await readSource(found);
  if (source.faults.length > 0) {
    return { config: undefined, findings: source.faults, file: found?.path };
  }
  const { entries } = gather(source.root, around.env);
  const reading = new Reading(
    { entries, findings: [] },
    { configDir: found === undefined ? around.workingDir : dirname(found.path), workingDir: around.workingDir },
  );
  const config: CliOnlyConfig = {
    cli: cliGroup(reading),
    unixSocket: unixSocket(reading, dataDirOf(reading, around)),
    log: logConfig(reading),
    disableCheckUpdates: reading.take(keys.disableCheckUpdates),
  };
  warnOfExposedSecrets(reading, found);
  const findings = reading.findings().filter(({ severity }) => severity !== "info");
  const failed = findings.some(({ severity }) => severity === "error");
  return { config: failed ? undefined : config, findings, file: found?.path };
}
