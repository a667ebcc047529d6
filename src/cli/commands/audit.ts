// Who changed what.
import { ListAudit } from "../../api/own-calls.ts";
import { AuditEntry } from "../../api/own-messages.ts";
import type { AuditEntryValue } from "../../api/own-messages.ts";
import type { Client } from "../client.ts";
import { tableTime } from "../durations.ts";
import type { Invocation } from "../invocation.ts";
import { many, one, renderJson } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";

/** What one call brings at most. */
const page = 1000;

export async function listAudit(run: Invocation): Promise<void> {
  const client = await run.client();
  const limit = run.flags.number("limit", 50);
  const { entries } = await client.call(ListAudit, { limit: Math.min(limit, page) }, "reading the audit log");
  run.answer(many(AuditEntry, entries), auditTable(run, entries));
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

/** Everything, newest first, one JSON object a line, whatever --output says. */
export async function exportAudit(run: Invocation): Promise<void> {
  const client = await run.client();
  for await (const entry of allEntries(client)) {
    run.io.stdout.write(`${renderJson(one(AuditEntry, entry), undefined)}\n`);
  }
}

async function* allEntries(client: Client): AsyncGenerator<AuditEntryValue> {
  let before = 0;
  for (;;) {
    const { entries } = await client.call(ListAudit, { before, limit: page }, "reading the audit log");
    yield* entries;
    const last = entries.at(-1);
    if (last === undefined || entries.length < page) {
      return;
    }
    before = last.id;
  }
}
