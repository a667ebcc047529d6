// Who changed what, whether the log of it is whole, and a copy of it.
import { toJson } from "../../api/json-dialect.ts";
import { ListAudit, VerifyAudit } from "../../api/own-calls.ts";
import { AuditEntry, VerifyAuditResponse } from "../../api/own-messages.ts";
import type { AuditEntryValue, VerifyAuditValue } from "../../api/own-messages.ts";
import { CliError } from "../cli-error.ts";
import type { Client } from "../client.ts";
import { tableTime } from "../durations.ts";
import type { Invocation } from "../invocation.ts";
import { many, one } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";

/** What one call brings at most. */
const page = 1000;

export async function listAudit(run: Invocation): Promise<void> {
  const client = await run.client();
  const limit = run.flags.number("limit", 50);
  const { entries } = await client.call(ListAudit, { limit: Math.min(limit, page) }, "reading the audit log");
  run.answer(many(AuditEntry, entries), () => auditTable(run, entries));
}

function auditTable(run: Invocation, entries: readonly AuditEntryValue[]): string {
  const rows = entries.map((entry) => [
    String(entry.id),
    tableTime(entry.at),
    entry.actorId === "" ? entry.actorKind : `${entry.actorKind} ${entry.actorId}`,
    entry.from,
    entry.action,
    entry.target,
  ]);
  return renderTable(
    [{ title: "ID", drop: 2 }, "When", "Who", { title: "From", drop: 1 }, "What", "Of"],
    rows,
    tableStyle(run.io),
  );
}

/** Everything, oldest first, one JSON object a line as REST has it, whatever --output says. */
export async function exportAudit(run: Invocation): Promise<void> {
  const client = await run.client();
  for await (const entry of allEntries(client, run.flags.number("after", 0))) {
    run.io.stdout.write(`${JSON.stringify(toJson(AuditEntry, entry))}\n`);
  }
}

async function* allEntries(client: Client, begin: number): AsyncGenerator<AuditEntryValue> {
  let after = begin;
  for (;;) {
    const asked = { after, oldestFirst: true, limit: page };
    const { entries } = await client.call(ListAudit, asked, "reading the audit log");
    yield* entries;
    const last = entries.at(-1);
    if (last === undefined) {
      return;
    }
    after = last.id;
  }
}

/** Fails when the log is not whole. With --file an exported log is judged, without a server. */
export async function verifyAudit(run: Invocation): Promise<void> {
  const noted = run.flags.text("noted").trim().toLowerCase();
  const file = run.flags.text("file");
  const verdict = file === "" ? await askServer(run, noted) : await judgeFile(file, noted);
  if (!verdict.ok) {
    const lines = verdict.faults.map(({ id, text }) => `  ${id === 0 ? "the log" : `entry ${id}`}: ${text}`);
    throw new CliError(`the audit log is not whole:\n${lines.join("\n")}`);
  }
  const { entries, headId, headHash, anchorId } = verdict;
  const since = anchorId === 0 ? "" : ` (after entry ${anchorId})`;
  run.answer(
    one(VerifyAuditResponse, verdict),
    entries === 0
      ? "The audit log is empty."
      : `The audit log is whole: ${entries} ${entries === 1 ? "entry" : "entries"}${since}, the newest is ${headId}.\n` +
          `Its hash stands for all of them; note it elsewhere: ${headHash}`,
  );
}

async function askServer(run: Invocation, noted: string): Promise<VerifyAuditValue> {
  const client = await run.client();
  return client.call(VerifyAudit, { noted }, "verifying the audit log");
}

async function judgeFile(path: string, noted: string): Promise<VerifyAuditValue> {
  const { createReadStream } = await import("node:fs");
  const { createInterface } = await import("node:readline");
  const { judgeAuditFile, presentVerdict } = await import("../../api/audit-file.ts");
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  const judged = await judgeAuditFile(lines, noted).catch((fault: unknown) => {
    throw new CliError(`reading ${path}: ${fault instanceof Error ? fault.message : String(fault)}`);
  });
  if (judged.kind === "unreadable") {
    throw new CliError(`${path}, line ${judged.line}: ${judged.problem}`);
  }
  return presentVerdict(judged.verdict);
}
