// Taking a headscale database over, ahead of the first start or only as a report, and giving it back.
import type { Config, DatabaseConfig } from "../../config/config.ts";
import type { TakeoverSummary } from "../../store/takeover/summary.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";
import { plain } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";
import { faults, loadFull, noteWarnings } from "./configuration.ts";

export async function takeover(run: Invocation): Promise<void> {
  const config = await configOf(run);
  if (run.flags.on("undo")) {
    await undo(run, config.database);
    return;
  }
  const { dryRunTakeover, takeOverAlone } = await import("../../server/takeover-part.ts");
  const dry = run.flags.on("dry-run");
  const outcome = await (dry ? dryRunTakeover(config) : takeOverAlone(config));
  switch (outcome.kind) {
    case "refused":
      throw new CliError(outcome.reason);
    case "nothing-to-do":
      run.answer(plain({ taken_over: false, report: [] }), "No headscale database here: nothing to take over.");
      return;
    case "done": {
      const { version, counts, report, snapshot } = outcome.summary;
      run.answer(
        plain({
          taken_over: !dry,
          headscale: version,
          counts: { ...counts },
          report: report.map((line) => ({ ...line })),
          kept: snapshot ?? null,
        }),
        reportText(run, outcome.summary),
      );
    }
  }
}

function reportText(run: Invocation, { version, counts, report, snapshot }: TakeoverSummary): string {
  const lines = report.map((line) => [line.kind, line.subject, line.text]);
  return [
    `headscale ${version}: ${counts.users} users, ${counts.nodes} nodes, ${counts.preAuthKeys} pre-auth keys, ${counts.apiKeys} API keys, ${counts.policies} policy versions`,
    ...(lines.length === 0 ? ["Nothing is odd."] : [renderTable(["What", "Of", "Report"], lines, tableStyle(run.io))]),
    snapshot === undefined
      ? "Nothing was changed (dry run)."
      : `Taken over. headscale's data is kept in ${snapshot}; the way back: hawser takeover --undo`,
  ].join("\n");
}

async function undo(run: Invocation, database: DatabaseConfig): Promise<void> {
  const { undoTakeover } = await import("../../server/takeover-part.ts");
  const outcome = await undoTakeover(database);
  switch (outcome.kind) {
    case "nothing-to-do":
      throw new CliError("there is no copy of a headscale database to put back");
    case "refused":
      throw new CliError(outcome.reason);
    case "undone":
      run.answer(plain({ undone: outcome.text }), outcome.text);
  }
}

async function configOf(run: Invocation): Promise<Config> {
  const loaded = await loadFull(run);
  noteWarnings(run, loaded);
  if (loaded.config === undefined) {
    throw new CliError(`loading configuration: ${faults(loaded)}`);
  }
  return loaded.config;
}
