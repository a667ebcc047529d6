// The configuration, and running a server with it.
import type { Finding, LoadedConfig } from "../../config/config.ts";
import { CliError } from "../cli-error.ts";
import type { Invocation } from "../invocation.ts";
import { plain } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";
import type { Cell } from "../table.ts";

export async function loadFull(run: Invocation): Promise<LoadedConfig> {
  const { loadConfig } = await import("../../config/load.ts");
  const file = run.flags.text("config");
  return loadConfig({ env: run.io.env, ...(file === "" ? {} : { file }) });
}

function findingText(finding: Finding, file: string | undefined): string {
  const place = finding.line === null || file === undefined ? "" : `${file}:${finding.line}: `;
  return place + finding.text;
}

export function noteWarnings(run: Invocation, { findings, file }: LoadedConfig): void {
  for (const finding of findings.filter(({ severity }) => severity === "warning")) {
    run.note(`warning: ${findingText(finding, file)}`);
  }
}

/** The errors, a line each. */
export function faults({ findings, file }: LoadedConfig): string {
  const errors = findings.filter(({ severity }) => severity === "error");
  return errors.map((finding) => `Fatal config error: ${findingText(finding, file)}`).join("\n");
}

/** Silent when all is well; warnings are on stderr. */
export async function configTest(run: Invocation): Promise<void> {
  const loaded = await loadFull(run);
  noteWarnings(run, loaded);
  if (loaded.config === undefined) {
    throw new CliError(`configuration error: loading configuration: ${faults(loaded)}`);
  }
}

/** What the server would run with, as a config.yaml. */
export async function configDump(run: Invocation): Promise<void> {
  const loaded = await loadFull(run);
  noteWarnings(run, loaded);
  if (loaded.config === undefined) {
    throw new CliError(`configuration error: loading configuration: ${faults(loaded)}`);
  }
  const { dumpConfig } = await import("../../config/dump.ts");
  const withSecrets = run.flags.on("with-secrets");
  const { tree, yaml } = dumpConfig(loaded.config, { withSecrets });
  const source = loaded.file === undefined ? "the environment and the defaults" : loaded.file;
  const warning = withSecrets ? "\n# It holds secrets: keep it from others (chmod 600)." : "";
  run.answer(plain(tree), `# The configuration in effect, of ${source}.${warning}\n\n${yaml.trimEnd()}`);
}

const severityColour = { error: "red", warning: "yellow", info: "green" } as const;

/** Every key of the file and the environment: understood, unknown, removed or risky. */
export async function doctorConfig(run: Invocation): Promise<void> {
  const { findings, file, config } = await loadFull(run);
  const rows = findings.map((finding): (Cell | string)[] => [
    finding.line === null ? "" : String(finding.line),
    finding.key,
    { text: finding.kind, colour: severityColour[finding.severity] },
    finding.text,
  ]);
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const warnings = findings.filter(({ severity }) => severity === "warning").length;
  const human = [
    file === undefined ? "No configuration file; defaults and environment only." : `File: ${file}`,
    renderTable(["Line", "Key", "State", "Explanation"], rows, tableStyle(run.io)),
    `${errors} errors, ${warnings} warnings.`,
  ].join("\n");
  run.answer(plain({ file: file ?? null, findings: findings.map((finding) => ({ ...finding })) }), human);
  if (config === undefined) {
    throw new CliError("the server would not start with this configuration");
  }
}

export async function policyMode(run: Invocation): Promise<void> {
  const loaded = await loadFull(run);
  if (loaded.config === undefined) {
    throw new CliError(`loading configuration: ${faults(loaded)}`);
  }
  const { mode, path } = loaded.config.policy;
  const file = path === "" ? "(none: everything is allowed)" : path;
  run.answer(plain({ mode, path }), mode === "file" ? `file ${file}` : mode);
}
