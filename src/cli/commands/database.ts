// Moving the server's data between databases.
import type { DatabaseConfig } from "../../config/config.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";
import { plain } from "../output-shapes.ts";
import { faults, loadFull } from "./configuration.ts";

export async function copyDatabase(run: Invocation): Promise<void> {
  const { copyDatabase: copy } = await import("../../server/database-copy.ts");
  const from = run.flags.text("from");
  const outcome = await copy(
    from === "" ? { kind: "configured", config: await configured(run) } : { kind: "named", text: from },
    { kind: "named", text: run.flags.text("to") },
  );
  if (!outcome.ok) {
    throw new CliError(outcome.reason);
  }
  const { users, nodes, preAuthKeys, apiKeys, policies, auditEntries } = outcome.counts;
  run.answer(
    plain({ copied: { ...outcome.counts } }),
    `Copied ${users} users, ${nodes} nodes, ${preAuthKeys} pre-auth keys, ${apiKeys} API keys, ${policies} policy versions, ${auditEntries} audit entries`,
  );
}

async function configured(run: Invocation): Promise<DatabaseConfig> {
  const loaded = await loadFull(run);
  if (loaded.config === undefined) {
    throw new CliError(`loading configuration: ${faults(loaded)}`);
  }
  return loaded.config.database;
}
