// What each write means in SQLite's SQL. The database's own refusals (uniqueness, foreign keys) become reasons in
// sqlite-connection.ts.
import type { NodeId } from "../wire/ids.ts";
import type { Presence } from "../tailnet/model.ts";
import type { AuditChain, Snapshot, StoredAuditEntry, Write } from "../tailnet/store.ts";
import type { PlainWrite } from "./audit.ts";
import { refusal } from "./refusals.ts";
import {
  apiKeyColumns,
  auditChainColumns,
  auditColumns,
  type Columns,
  nodeColumns,
  policyColumns,
  preAuthKeyColumns,
  presenceColumns,
  secretColumns,
  userColumns,
} from "./rows.ts";

export type Parameter = string | number | null;

export interface Step {
  readonly sql: string;
  readonly parameters: readonly Parameter[];
  /** Why the group is refused when the statement touches no row. */
  readonly mustTouch?: string;
  /** Why the group is refused when a foreign key is violated: the first parent that is missing, or else `child`. */
  readonly parents?: readonly Parent[];
  readonly child?: string;
}

export interface Parent {
  readonly table: "users" | "pre_auth_keys";
  readonly id: number | null;
  readonly missing: string;
}

/** SQL texts by table and shape: one text per shape lets the database keep it prepared. */
const texts = new Map<string, string>();

function textFor(shape: string, make: () => string): string {
  let text = texts.get(shape);
  if (text === undefined) {
    text = make();
    texts.set(shape, text);
  }
  return text;
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

/** Inserts or, where the key exists, updates the other columns; never deletes and inserts, which would cascade. */
function upsert(table: string, key: readonly string[], columns: Columns): Step {
  const names = Object.keys(columns);
  const sql = textFor(`upsert ${table} ${names.length}`, () => {
    const updates = names.filter((name) => !key.includes(name)).map((name) => `"${name}" = excluded."${name}"`);
    return (
      `INSERT INTO ${table} (${list(names)}) VALUES (${names.map(() => "?").join(", ")}) ` +
      `ON CONFLICT (${list(key)}) DO UPDATE SET ${updates.join(", ")}`
    );
  });
  return { sql, parameters: Object.values(columns) };
}

function updateById(table: string, columns: Columns, mustTouch: string): Step {
  const { id, ...rest } = columns;
  const names = Object.keys(rest);
  const sql = textFor(
    `update ${table} ${names.length}`,
    () => `UPDATE ${table} SET ${names.map((name) => `"${name}" = ?`).join(", ")} WHERE id = ?`,
  );
  return { sql, parameters: [...Object.values(rest), id ?? null], mustTouch };
}

function insert(table: string, columns: Columns): Step {
  const names = Object.keys(columns);
  const sql = textFor(
    `insert ${table} ${names.length}`,
    () => `INSERT INTO ${table} (${list(names)}) VALUES (${names.map(() => "?").join(", ")})`,
  );
  return { sql, parameters: Object.values(columns) };
}

/** Presence of a node that is still there; without one it is no error. */
export function presenceStep(id: NodeId, presence: Presence): Step {
  const columns = presenceColumns(id, presence);
  const names = Object.keys(columns);
  const sql = textFor("presence", () => {
    const updates = names.filter((name) => name !== "node_id").map((name) => `"${name}" = excluded."${name}"`);
    return (
      `INSERT INTO presence (${list(names)}) SELECT ${names.map(() => "?").join(", ")} ` +
      `WHERE EXISTS (SELECT 1 FROM nodes WHERE id = ?) ON CONFLICT (node_id) DO UPDATE SET ${updates.join(", ")}`
    );
  });
  return { sql, parameters: [...Object.values(columns), id] };
}

/** The statements of one write, in order. */
export function stepsOf(write: PlainWrite, tailnet: number): readonly Step[] {
  switch (write.kind) {
    case "put-user":
      return [upsert("users", ["id"], { tailnet, ...userColumns(write.user) })];
    case "delete-user":
      return [{ sql: "DELETE FROM users WHERE id = ?", parameters: [write.id], child: refusal.userHasNodes }];
    case "put-node": {
      const node = upsert("nodes", ["id"], { tailnet, ...nodeColumns(write.node) });
      const parents: readonly Parent[] = [
        { table: "users", id: write.node.userId, missing: refusal.userMissing },
        { table: "pre_auth_keys", id: write.node.authKeyId, missing: refusal.keyMissing },
      ];
      const step = { ...node, parents };
      return write.presence === undefined ? [step] : [step, presenceStep(write.node.id, write.presence)];
    }
    case "delete-node":
      return [{ sql: "DELETE FROM nodes WHERE id = ?", parameters: [write.id] }];
    case "put-pre-auth-key": {
      const columns = { tailnet, ...preAuthKeyColumns(write.key) };
      return [
        write.secret === undefined
          ? updateById("pre_auth_keys", columns, refusal.secretMissing)
          : {
              ...upsert("pre_auth_keys", ["id"], { ...columns, ...secretColumns(write.secret) }),
              parents: [{ table: "users", id: write.key.userId, missing: refusal.userMissing }],
            },
      ];
    }
    case "use-pre-auth-key":
      return [
        {
          sql: "UPDATE pre_auth_keys SET used = 1 WHERE id = ? AND used = 0",
          parameters: [write.id],
          mustTouch: refusal.keyUsed,
        },
      ];
    case "delete-pre-auth-key":
      return [{ sql: "DELETE FROM pre_auth_keys WHERE id = ?", parameters: [write.id] }];
    case "put-api-key": {
      const columns = { tailnet, ...apiKeyColumns(write.key) };
      return [
        write.secret === undefined
          ? updateById("api_keys", columns, refusal.secretMissing)
          : upsert("api_keys", ["id"], { ...columns, ...secretColumns(write.secret) }),
      ];
    }
    case "delete-api-key":
      return [{ sql: "DELETE FROM api_keys WHERE id = ?", parameters: [write.id] }];
    case "put-policy":
      return [upsert("policies", ["id"], { tailnet, ...policyColumns(write.policy) })];
    case "reserve-ids":
      return highWaterSteps(write.highest);
    case "put-setting":
      return [upsert("settings", ["tailnet", "key"], { tailnet, key: write.key, value: write.value })];
  }
}

export function auditStep(entry: StoredAuditEntry, tailnet: number): Step {
  return insert("audit", { tailnet, ...auditColumns(entry) });
}

export function auditChainStep(chain: AuditChain, tailnet: number): Step {
  return upsert("audit_chain", ["tailnet"], { tailnet, ...auditChainColumns(chain) });
}

export type HighWater = { -readonly [Kind in keyof Snapshot["highest"]]: number };
export const idKinds = ["user", "node", "preAuthKey", "apiKey", "policy"] as const;

/** Raises the marks of ids that were given out; never lowers one. */
export function highWaterSteps(highest: Readonly<Partial<HighWater>>): readonly Step[] {
  const sql = textFor(
    "high_water",
    () =>
      "INSERT INTO high_water (kind, value) VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET value = " +
      "CASE WHEN excluded.value > high_water.value THEN excluded.value ELSE high_water.value END",
  );
  return idKinds.flatMap((kind) => {
    const value = highest[kind];
    return value === undefined || value === 0 ? [] : { sql, parameters: [kind, value] };
  });
}

/** Notes the ids that the writes of a stored group give out. */
export function raiseMarks(marks: HighWater, writes: readonly Write[]): void {
  for (const write of writes) {
    const named = idOf(write);
    if (named !== undefined && named.id > marks[named.kind]) {
      marks[named.kind] = named.id;
    }
  }
}

function idOf(write: Write): { readonly kind: keyof HighWater; readonly id: number } | undefined {
  switch (write.kind) {
    case "put-user":
      return { kind: "user", id: write.user.id };
    case "put-node":
      return { kind: "node", id: write.node.id };
    case "put-pre-auth-key":
      return { kind: "preAuthKey", id: write.key.id };
    case "put-api-key":
      return { kind: "apiKey", id: write.key.id };
    case "put-policy":
      return { kind: "policy", id: write.policy.id };
    case "delete-user":
    case "delete-node":
    case "use-pre-auth-key":
    case "delete-pre-auth-key":
    case "delete-api-key":
    case "reserve-ids":
    case "put-setting":
    case "audit":
    case "prune-audit":
    case "restore-audit":
      return undefined;
  }
}
