// Running the server until somebody stops it.
import type { RunningServer } from "../../server.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";
import { faults, loadFull, noteWarnings } from "./configuration.ts";

/** Resolves when the server has stopped. Throws CliError when it cannot start. */
export async function serve(run: Invocation): Promise<void> {
  const loaded = await loadFull(run);
  noteWarnings(run, loaded);
  if (loaded.config === undefined) {
    throw new CliError(`initializing: loading configuration: ${faults(loaded)}`);
  }
  const { StartError, startServer } = await import("../../server.ts");
  let server: RunningServer;
  try {
    server = await startServer(loaded.config);
  } catch (fault) {
    if (fault instanceof StartError) {
      throw new CliError(`initializing: ${fault.message}`);
    }
    throw fault;
  }
  const { guardProcess } = await import("../../ops/fault-guard.ts");
  guardProcess(server.log, () => process.exit(70));
  run.note(`serving ${server.config.serverUrl}`);
  for (const place of server.listening) {
    run.note(`  ${place}`);
  }
  for (const problem of server.problems) {
    run.note(`not working: ${problem}`);
  }
  await stopped(server);
}

/** SIGHUP reads the policy again; the other signals end the server gracefully, a second one at once. */
async function stopped(server: RunningServer): Promise<void> {
  process.on("SIGHUP", () => {
    server.reload().catch((fault: unknown) => {
      server.log.error({ fault: fault instanceof Error ? fault.message : String(fault) }, "reloading failed");
    });
  });
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) {
      process.once(signal, () => resolve());
    }
  });
  await server.stop();
}
