// Groups of writes in one transaction: each between its own savepoint and release, so that a refused one leaves the
// others as they are. The database's constraints decide; their names say why.
import type { Presence } from "../../tailnet/model.ts";
import { pruneEntry } from "../../tailnet/audit-chain.ts";
import type { AuditChain, AuditLink, CommitOutcome, Write } from "../../tailnet/store.ts";
import type { NodeId } from "../../wire/ids.ts";
import { type AuditWrite, ChainInCommit, isAuditWrite, type PlainWrite } from "../audit.ts";
import { refusal } from "../refusals.ts";
import {
  apiKeyColumns,
  auditChainColumns,
  auditChainOf,
  auditColumns,
  nodeColumns,
  policyColumns,
  preAuthKeyColumns,
  presenceColumns,
  secretColumns,
  userColumns,
} from "../rows.ts";
import type { Columns } from "../rows.ts";
import type { Query } from "./connection.ts";
import { refusalOf } from "./schema.ts";

/** A refusal found by our own check rather than by a constraint. */
class Refused extends Error {
  override readonly name = "Refused";
}

export async function commitGroups(query: Query, groups: readonly (readonly Write[])[]): Promise<CommitOutcome> {
  // Taken first, the row orders the commits of all servers.
  const [counter] = await query("SELECT value FROM hawser.counters WHERE name = 'sequence' FOR UPDATE");
  let sequence = counter === undefined ? 0 : Number(counter["value"]);
  const refused: { index: number; reason: string }[] = [];
  // The counter's row orders the commits, so the chain is nobody else's until this one ends.
  const chain = new ChainInCommit(auditChainOf((await query("SELECT * FROM hawser.audit_chain"))[0]));
  for (const [index, writes] of groups.entries()) {
    const before = chain.chain;
    await query("SAVEPOINT one_group");
    try {
      for (const write of writes) {
        await (isAuditWrite(write) ? storeAudit(query, write, chain) : store(query, write));
      }
      await query("RELEASE one_group");
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) {
        throw error;
      }
      await query("ROLLBACK TO one_group");
      chain.chain = before;
      refused.push({ index, reason });
    }
  }
  if (chain.moved) {
    await putChain(query, chain.chain);
  }
  if (refused.length < groups.length) {
    sequence++;
    await query("UPDATE hawser.counters SET value = $1 WHERE name = 'sequence'", [sequence]);
  }
  return refused.length === 0 ? { ok: true, sequence } : { ok: false, sequence, refused };
}

/** Why the database refused, or undefined when it did not refuse but failed. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof Refused) {
    return error.message;
  }
  if (!(error instanceof Error) || !("code" in error) || !("constraint" in error)) {
    return undefined;
  }
  const constraint = String(error.constraint);
  const unique = error.code === "23505";
  const foreign = error.code === "23503";
  if (constraint === "nodes_user") {
    const deleting = "detail" in error && String(error.detail).includes("still referenced");
    return deleting ? refusal.userHasNodes : refusal.userMissing;
  }
  return unique || foreign ? (refusalOf[constraint] ?? constraint) : undefined;
}

async function storeAudit(query: Query, write: AuditWrite, chain: ChainInCommit): Promise<void> {
  switch (write.kind) {
    case "audit":
      await insert(query, "audit", auditColumns(chain.append(write.entry)));
      return;
    case "prune-audit":
      await pruneAudit(query, write, chain);
      return;
    case "restore-audit":
      if (chain.chain.head.id !== 0) {
        throw new Refused(refusal.auditNotEmpty);
      }
      for (const entry of write.entries) {
        await insert(query, "audit", auditColumns(entry));
      }
      chain.chain = write.chain;
      return;
  }
}

async function pruneAudit(
  query: Query,
  { olderThan, at }: Extract<AuditWrite, { kind: "prune-audit" }>,
  chain: ChainInCommit,
): Promise<void> {
  const [last] = await query(
    `SELECT id, hash FROM hawser.audit
     WHERE id < coalesce((SELECT min(id) FROM hawser.audit WHERE at >= $1), $2) ORDER BY id DESC LIMIT 1`,
    [olderThan, Number.MAX_SAFE_INTEGER],
  );
  if (last === undefined) {
    return;
  }
  const anchor: AuditLink = { id: Number(last["id"]), hash: String(last["hash"]) };
  // Announced first: the database lets nothing else be removed.
  chain.chain = { ...chain.chain, anchor };
  await putChain(query, chain.chain);
  const [counted] = await query(
    "WITH gone AS (DELETE FROM hawser.audit WHERE id <= $1 RETURNING 1) SELECT count(*) AS n FROM gone",
    [anchor.id],
  );
  await insert(query, "audit", auditColumns(chain.append(pruneEntry(at, anchor, Number(counted?.["n"] ?? 0)))));
}

async function putChain(query: Query, chain: AuditChain): Promise<void> {
  const columns = auditChainColumns(chain);
  const updates = Object.keys(columns).map((name) => `${name} = excluded.${name}`);
  await insert(query, "audit_chain", columns, `ON CONFLICT (tailnet) DO UPDATE SET ${updates.join(", ")}`);
}

async function store(query: Query, write: PlainWrite): Promise<void> {
  switch (write.kind) {
    case "put-user":
      await put(query, "users", "user", userColumns(write.user));
      return;
    case "delete-user":
      await query("DELETE FROM hawser.users WHERE id = $1", [write.id]);
      return;
    case "put-node":
      await putNode(query, write);
      return;
    case "delete-node":
      await query("DELETE FROM hawser.nodes WHERE id = $1", [write.id]);
      return;
    case "put-pre-auth-key":
      await putSecret(query, "pre_auth_keys", "pre_auth_key", preAuthKeyColumns(write.key), write.secret);
      return;
    case "use-pre-auth-key": {
      const used = await query("UPDATE hawser.pre_auth_keys SET used = 1 WHERE id = $1 AND used = 0 RETURNING id", [
        write.id,
      ]);
      if (used.length === 0) {
        throw new Refused(refusal.keyUsed);
      }
      return;
    }
    case "delete-pre-auth-key":
      await query("DELETE FROM hawser.pre_auth_keys WHERE id = $1", [write.id]);
      return;
    case "put-api-key":
      await putSecret(query, "api_keys", "api_key", apiKeyColumns(write.key), write.secret);
      return;
    case "delete-api-key":
      await query("DELETE FROM hawser.api_keys WHERE id = $1", [write.id]);
      return;
    case "put-policy":
      await put(query, "policies", "policy", policyColumns(write.policy));
      return;
    case "reserve-ids":
      for (const [name, id] of [
        ["user", write.highest.user],
        ["node", write.highest.node],
        ["pre_auth_key", write.highest.preAuthKey],
        ["api_key", write.highest.apiKey],
        ["policy", write.highest.policy],
      ] as const) {
        await reserve(query, name, id);
      }
      return;
    case "put-setting":
      await query(
        "INSERT INTO hawser.settings (key, value) VALUES ($1, $2) ON CONFLICT (tailnet, key) DO UPDATE SET value = excluded.value",
        [write.key, write.value],
      );
      return;
  }
}

async function putNode(query: Query, write: Extract<Write, { kind: "put-node" }>): Promise<void> {
  await put(query, "nodes", "node", nodeColumns(write.node));
  if (write.presence !== undefined) {
    await putPresence(query, write.node.id, write.presence);
  }
}

/** Replaces what is known of a node; a node that is gone is left alone. */
export async function putPresence(query: Query, id: NodeId, presence: Presence): Promise<void> {
  const columns = presenceColumns(id, presence);
  const names = Object.keys(columns);
  const updates = names.filter((name) => name !== "node_id").map((name) => `${name} = excluded.${name}`);
  // FOR KEY SHARE holds off a deletion until the row is in.
  await query(
    `INSERT INTO hawser.presence (${names.join(", ")}) SELECT ${names.map((_, index) => `$${index + 1}${castOf(names[index] ?? "")}`).join(", ")}
     FROM hawser.nodes WHERE id = $1 FOR KEY SHARE ON CONFLICT (node_id) DO UPDATE SET ${updates.join(", ")}`,
    Object.values(columns),
  );
}

/** Values of a SELECT have no column to take their type from. */
function castOf(column: string): string {
  switch (column) {
    case "node_id":
    case "last_seen":
      return "::bigint";
    case "home_derp":
    case "cap_version":
      return "::int";
    default:
      return "::text";
  }
}

async function putSecret(
  query: Query,
  table: "pre_auth_keys" | "api_keys",
  counter: string,
  columns: Columns,
  secret: Extract<Write, { kind: "put-api-key" }>["secret"],
): Promise<void> {
  if (secret !== undefined) {
    await put(query, table, counter, { ...columns, ...secretColumns(secret) });
    return;
  }
  const names = Object.keys(columns);
  const updated = await query(
    `UPDATE hawser.${table} SET ${names.map((name, index) => `${name} = $${index + 1}`).join(", ")} WHERE id = $1 RETURNING id`,
    Object.values(columns),
  );
  if (updated.length === 0) {
    throw new Refused(refusal.secretMissing);
  }
}

/** Inserts the row or replaces the one with its id; ids given out are remembered. */
async function put(query: Query, table: string, counter: string, columns: Columns): Promise<void> {
  const updates = Object.keys(columns)
    .filter((name) => name !== "id")
    .map((name) => `${name} = excluded.${name}`);
  await insert(query, table, columns, `ON CONFLICT (id) DO UPDATE SET ${updates.join(", ")}`);
  await reserve(query, counter, Number(columns["id"]));
}

async function insert(query: Query, table: string, columns: Columns, conflict = ""): Promise<void> {
  const names = Object.keys(columns);
  const places = names.map((_, index) => `$${index + 1}`).join(", ");
  await query(
    `INSERT INTO hawser.${table} (${names.join(", ")}) VALUES (${places}) ${conflict}`,
    Object.values(columns),
  );
}

async function reserve(query: Query, counter: string, id: number): Promise<void> {
  await query("UPDATE hawser.counters SET value = greatest(value, $2) WHERE name = $1", [counter, id]);
}
