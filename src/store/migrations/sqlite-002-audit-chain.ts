// The audit log becomes a chain (tailnet/audit-chain.ts): what is there is linked in its order, and from here on the
// database itself refuses changes and any removal that pruning has not announced.
import type { DatabaseSync } from "node:sqlite";
import { auditStart } from "../../tailnet/audit-chain.ts";
import type { AuditLink } from "../../tailnet/store.ts";
import { linkOld } from "../audit.ts";

export const name = "audit chain";

export const sql = `
ALTER TABLE audit ADD COLUMN previous_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN hash TEXT NOT NULL DEFAULT '';

CREATE TABLE audit_chain (
  tailnet INTEGER PRIMARY KEY,
  head_id INTEGER NOT NULL,
  head_hash TEXT NOT NULL,
  anchor_id INTEGER NOT NULL,
  anchor_hash TEXT NOT NULL
) STRICT;
`;

const triggers = `
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_kept BEFORE DELETE ON audit
WHEN OLD.id > coalesce((SELECT anchor_id FROM audit_chain WHERE tailnet = OLD.tailnet), 0)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
`;

const rowsAtATime = 1000;

export function run(db: DatabaseSync): void {
  const read = db.prepare("SELECT * FROM audit WHERE tailnet = 1 AND id > ? ORDER BY id LIMIT ?");
  const link = db.prepare("UPDATE audit SET previous_hash = ?, hash = ? WHERE id = ?");
  let last: AuditLink = auditStart;
  for (;;) {
    const rows = read.all(last.id, rowsAtATime);
    for (const row of rows) {
      // The table is STRICT: the columns hold what they say.
      const linked = linkOld(last, row);
      link.run(linked.previous, linked.hash, linked.id);
      last = linked;
    }
    if (rows.length < rowsAtATime) {
      break;
    }
  }
  db.prepare("INSERT INTO audit_chain VALUES (1, ?, ?, ?, ?)").run(last.id, last.hash, auditStart.id, auditStart.hash);
  db.exec(triggers);
}
