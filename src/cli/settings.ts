// Which server the commands talk to, by flags, environment and configuration file.
import { CliError } from "./cli-error.ts";
import { createClient, remotePlace } from "./client.ts";
import type { Client } from "./client.ts";
import type { Io } from "./io.ts";

/** Throws CliError when the configuration cannot be used. `patience`: as of ClientOptions, for the connection too. */
export async function connect(configFile: string, io: Io, programName: string, patience?: number): Promise<Client> {
  const { loadCliConfig } = await import("../config/cli-config.ts");
  const { config, findings } = await loadCliConfig({ env: io.env, ...(configFile === "" ? {} : { file: configFile }) });
  if (config === undefined) {
    const faults = findings.filter((finding) => finding.severity === "error").map((finding) => finding.text);
    throw new CliError(`loading configuration: ${faults.join("; ")}`);
  }
  const { address, apiKey, insecure, timeout } = config.cli;
  // The key that this very command uses; other findings are the server's business.
  for (const { text } of findings.filter(({ key, kind }) => key === "cli.api_key" && kind === "risky")) {
    io.stderr.write(`warning: ${text}\n`);
  }
  const place =
    address === ""
      ? ({ kind: "socket", path: config.unixSocket } as const)
      : remotePlace(address, apiKey, insecure, programName);
  return createClient({
    place,
    programName,
    ...(patience === undefined ? { timeout } : { timeout: Math.min(timeout, patience), patience }),
  });
}
