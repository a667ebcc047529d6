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
  const signals = heedSignals();
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
  signals.onReload(() => {
    server.reload().catch((fault: unknown) => {
      server.log.error({ fault: fault instanceof Error ? fault.message : String(fault) }, "reloading failed");
    });
  });
  await signals.end;
  await server.stop();
}

interface Signals {
  /** SIGHUP reads the policy again. */
  onReload(reload: () => void): void;
  /** The other signals end the server gracefully, a second one at once. */
  readonly end: Promise<void>;
}

/**
 * From before the server answers: whoever sees that it does may send a signal, and would kill it were nobody there to take
 * it. What comes during the start is done after it.
 */
function heedSignals(): Signals {
  let reload: (() => void) | undefined;
  let isWanted = false;
  process.on("SIGHUP", () => {
    isWanted = reload === undefined;
    reload?.();
  });
  const end = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) {
      process.once(signal, () => resolve());
    }
  });
  return {
    onReload(given) {
      reload = given;
      if (isWanted) {
        given();
      }
    },
    end,
  };
}
