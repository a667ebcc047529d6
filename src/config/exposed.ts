// Secrets in a configuration file that everybody on this machine can read. Members of the file's group are left alone:
// packages give the server its file that way.
import { statSync } from "node:fs";
import { keys } from "./keys.ts";
import type { FoundFile } from "./places.ts";
import type { Reading } from "./reading.ts";

const secrets = [keys.postgresPass, keys.oidcClientSecret, keys.cliApiKey];

export function warnOfExposedSecrets(reading: Reading, found: FoundFile | undefined): void {
  const written = secrets.filter((spec) => reading.isInFile(spec));
  if (found === undefined || written.length === 0 || !readableByAll(found.path)) {
    return;
  }
  for (const spec of written) {
    reading.warn(spec, `${spec.key} can be read by everybody on this machine. Run: chmod 600 ${found.path}`);
  }
}

function readableByAll(path: string): boolean {
  try {
    return process.platform !== "win32" && (statSync(path).mode & 0o004) !== 0;
  } catch {
    return false;
  }
}
