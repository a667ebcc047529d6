// The audit log becomes a chain (tailnet/audit-chain.ts): what is there is linked in its order, and from here on the
// database itself refuses changes and any removal that pruning has not announced.
import { auditStart } from "../../tailnet/audit-chain.ts";
import type { AuditLink } from "../../tailnet/store.ts";
import { linkOld } from "../audit.ts";
import type { Query } from "./connection.ts";

export const sql = `
  ALTER TABLE hawser.audit ADD COLUMN previous_hash text NOT NULL DEFAULT '', ADD COLUMN hash text NOT NULL DEFAULT '';
  CREATE TABLE hawser.audit_chain (
    tailnet int PRIMARY KEY DEFAULT 1,
    head_id bigint NOT NULL, head_hash text NOT NULL, anchor_id bigint NOT NULL, anchor_hash text NOT NULL
  );
`;

const triggers = `
  CREATE FUNCTION hawser.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'DELETE' THEN
      IF OLD.id <= coalesce((SELECT anchor_id FROM hawser.audit_chain WHERE tailnet = OLD.tailnet), 0) THEN
        RETURN OLD;
      END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only';
  END $$;
  CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON hawser.audit
    FOR EACH ROW EXECUTE FUNCTION hawser.audit_is_append_only();
`;

const rowsAtATime = 1000;

export async function run(query: Query): Promise<void> {
  let last: AuditLink = auditStart;
  for (;;) {
    const rows = await query("SELECT * FROM hawser.audit WHERE id > $1 ORDER BY id LIMIT $2", [last.id, rowsAtATime]);
    for (const row of rows) {
      const linked = linkOld(last, row);
      await query("UPDATE hawser.audit SET previous_hash = $1, hash = $2 WHERE id = $3", [
        linked.previous,
        linked.hash,
        linked.id,
      ]);
      last = linked;
    }
    if (rows.length < rowsAtATime) {
      break;
    }
  }
  await query(
    "INSERT INTO hawser.audit_chain (tailnet, head_id, head_hash, anchor_id, anchor_hash) VALUES (1, $1, $2, $3, $4)",
    [last.id, last.hash, auditStart.id, auditStart.hash],
  );
  await query(triggers);
}
