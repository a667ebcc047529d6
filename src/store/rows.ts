// Records to rows and back, shared by the SQL stores. Columns are named as the schema names them; lists and hostinfo are
// JSON text. A row that does not make sense is reported by what is wrong with it and set aside by the caller.
import { type Addr, formatAddr, formatPrefix, parseAddr, parsePrefix, type Prefix } from "../ip/index.ts";
import type { PolicyVersion } from "../tailnet/contract.ts";
import type { ApiKey, NodeRecord, PreAuthKey, Presence, RegisterMethod, User } from "../tailnet/model.ts";
import { emptyAuditChain } from "../tailnet/audit-chain.ts";
import { nothingSaidYet } from "../tailnet/derive.ts";
import type { AuditChain, StoredAuditEntry, StoredSecret } from "../tailnet/store.ts";
import type {
  ApiKeyId,
  DiscoKey,
  MachineKey,
  NodeId,
  NodeKey,
  NodeLockKey,
  PreAuthKeyId,
  UserId,
} from "../wire/ids.ts";

export type Cell = string | number | bigint | null | Uint8Array;
export type Row = Readonly<Record<string, Cell>>;
export type Columns = Readonly<Record<string, string | number | null>>;

export class DamagedRow extends Error {}

function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") {
    throw new DamagedRow(`${column} is no text`);
  }
  return value;
}

function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

/** Ids and times; PostgreSQL's bigint arrives as text. */
function integer(row: Row, column: string): number {
  const value = row[column];
  const number = typeof value === "string" || typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number)) {
    throw new DamagedRow(`${column} is no whole number`);
  }
  return number;
}

function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}

function flag(row: Row, column: string): boolean {
  return integer(row, column) !== 0;
}

function json(row: Row, column: string): unknown {
  try {
    return JSON.parse(text(row, column));
  } catch {
    throw new DamagedRow(`${column} is no JSON`);
  }
}

function texts(row: Row, column: string): readonly string[] {
  const value = json(row, column);
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw new DamagedRow(`${column} is no list of texts`);
  }
  return value;
}

const keyText = /^[a-z]+:[0-9a-f]{64}$/;

function key(row: Row, column: string): string {
  const value = text(row, column);
  if (!keyText.test(value)) {
    throw new DamagedRow(`${column} is no key`);
  }
  return value;
}

function keyOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : key(row, column);
}

function address(row: Row, column: string): Addr | null {
  const value = textOrNull(row, column);
  const addr = value === null ? null : parseAddr(value);
  if (addr === undefined) {
    throw new DamagedRow(`${column} is no address`);
  }
  return addr;
}

function prefixes(row: Row, column: string): readonly Prefix[] {
  return texts(row, column).map((item) => {
    const prefix = parsePrefix(item);
    if (prefix === undefined) {
      throw new DamagedRow(`${column} holds no prefix: ${item}`);
    }
    return prefix;
  });
}

const roles = ["owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor", "member"] as const;
const methods = ["authkey", "cli", "oidc"] as const satisfies readonly RegisterMethod[];
const algorithms = ["sha256", "bcrypt", "sha256-legacy"] as const satisfies readonly StoredSecret["algorithm"][];

function oneOf<Value extends string>(row: Row, column: string, values: readonly Value[]): Value {
  const value = text(row, column);
  const known = values.find((candidate) => candidate === value);
  if (known === undefined) {
    throw new DamagedRow(`${column} is none of ${values.join(", ")}`);
  }
  return known;
}

function bit(value: boolean): number {
  return value ? 1 : 0;
}

export function userColumns(user: User): Columns {
  return {
    id: user.id,
    name: user.name,
    display_name: user.displayName,
    email: user.email,
    provider_id: user.providerId === "" ? null : user.providerId,
    provider: user.provider,
    profile_pic_url: user.profilePicUrl,
    role: user.role,
    groups: JSON.stringify(user.groups),
    created_at: user.createdAt,
  };
}

export function userOf(row: Row): User {
  return {
    id: integer(row, "id") as UserId,
    name: text(row, "name"),
    displayName: text(row, "display_name"),
    email: text(row, "email"),
    providerId: textOrNull(row, "provider_id") ?? "",
    provider: text(row, "provider"),
    profilePicUrl: text(row, "profile_pic_url"),
    role: oneOf(row, "role", roles),
    groups: texts(row, "groups"),
    createdAt: integer(row, "created_at"),
  };
}

export function nodeColumns(node: NodeRecord): Columns {
  return {
    id: node.id,
    stable_id: node.stableId,
    machine_key: node.machineKey,
    node_key: node.nodeKey,
    node_lock_key: node.nodeLockKey,
    user_id: node.userId,
    tags: JSON.stringify(node.tags),
    given_name: node.givenName,
    name_fixed: bit(node.nameFixed),
    ipv4: node.ipv4 === null ? null : formatAddr(node.ipv4),
    ipv6: node.ipv6 === null ? null : formatAddr(node.ipv6),
    register_method: node.registerMethod,
    auth_key_id: node.authKeyId,
    ephemeral: bit(node.ephemeral),
    created_at: node.createdAt,
    expiry: node.expiry,
    approved_routes: JSON.stringify(node.approvedRoutes.map(formatPrefix)),
  };
}

export function nodeOf(row: Row): NodeRecord {
  return {
    id: integer(row, "id") as NodeId,
    stableId: text(row, "stable_id"),
    machineKey: key(row, "machine_key") as MachineKey,
    nodeKey: key(row, "node_key") as NodeKey,
    nodeLockKey: keyOrNull(row, "node_lock_key") as NodeLockKey | null,
    userId: integerOrNull(row, "user_id") as UserId | null,
    tags: texts(row, "tags"),
    givenName: text(row, "given_name"),
    nameFixed: flag(row, "name_fixed"),
    ipv4: address(row, "ipv4"),
    ipv6: address(row, "ipv6"),
    registerMethod: oneOf(row, "register_method", methods),
    authKeyId: integerOrNull(row, "auth_key_id") as PreAuthKeyId | null,
    ephemeral: flag(row, "ephemeral"),
    createdAt: integer(row, "created_at"),
    expiry: integerOrNull(row, "expiry"),
    approvedRoutes: prefixes(row, "approved_routes"),
  };
}

export function presenceColumns(id: NodeId, presence: Presence): Columns {
  return {
    node_id: id,
    hostinfo: JSON.stringify(presence.hostinfo),
    disco_key: presence.discoKey,
    endpoints: JSON.stringify(presence.endpoints),
    home_derp: presence.homeDerp,
    cap_version: presence.capVersion,
    last_seen: presence.lastSeen,
  };
}

/** Of a row joined from both tables; a node that never wrote presence has none. */
export function presenceOf(row: Row): Presence {
  if (row["hostinfo"] === null) {
    return nothingSaidYet;
  }
  const hostinfo = json(row, "hostinfo");
  if (typeof hostinfo !== "object" || hostinfo === null || Array.isArray(hostinfo)) {
    throw new DamagedRow("hostinfo is no object");
  }
  return {
    // Written by us from a validated message.
    hostinfo,
    discoKey: keyOrNull(row, "disco_key") as DiscoKey | null,
    endpoints: texts(row, "endpoints"),
    homeDerp: integer(row, "home_derp"),
    capVersion: integer(row, "cap_version"),
    lastSeen: integerOrNull(row, "last_seen"),
  };
}

export function secretColumns(secret: StoredSecret): Columns {
  return { hash_algorithm: secret.algorithm, hash: secret.hash };
}

export function secretOf(row: Row): StoredSecret {
  return { algorithm: oneOf(row, "hash_algorithm", algorithms), hash: text(row, "hash") };
}

export function preAuthKeyColumns(key: PreAuthKey): Columns {
  return {
    id: key.id,
    prefix: key.prefix,
    user_id: key.userId,
    reusable: bit(key.reusable),
    ephemeral: bit(key.ephemeral),
    used: bit(key.used),
    tags: JSON.stringify(key.tags),
    expiration: key.expiration,
    created_at: key.createdAt,
  };
}

export function preAuthKeyOf(row: Row): PreAuthKey {
  return {
    id: integer(row, "id") as PreAuthKeyId,
    prefix: text(row, "prefix"),
    userId: integerOrNull(row, "user_id") as UserId | null,
    reusable: flag(row, "reusable"),
    ephemeral: flag(row, "ephemeral"),
    used: flag(row, "used"),
    tags: texts(row, "tags"),
    expiration: integerOrNull(row, "expiration"),
    createdAt: integer(row, "created_at"),
  };
}

export function apiKeyColumns(key: ApiKey): Columns {
  return {
    id: key.id,
    prefix: key.prefix,
    expiration: key.expiration,
    created_at: key.createdAt,
    last_seen: key.lastSeen,
    description: key.description,
    scopes: JSON.stringify(key.scopes),
  };
}

export function apiKeyOf(row: Row): ApiKey {
  return {
    id: integer(row, "id") as ApiKeyId,
    prefix: text(row, "prefix"),
    expiration: integerOrNull(row, "expiration"),
    createdAt: integer(row, "created_at"),
    lastSeen: integerOrNull(row, "last_seen"),
    description: text(row, "description"),
    scopes: texts(row, "scopes"),
  };
}

export function policyColumns(policy: PolicyVersion): Columns {
  return { id: policy.id, text: policy.text, set_at: policy.setAt, set_by: policy.setBy };
}

export function policyOf(row: Row): PolicyVersion {
  return {
    id: integer(row, "id"),
    text: text(row, "text"),
    setAt: integer(row, "set_at"),
    setBy: text(row, "set_by"),
  };
}

export function auditColumns(entry: StoredAuditEntry): Columns {
  return {
    id: entry.id,
    at: entry.at,
    actor_kind: entry.actorKind,
    actor_id: entry.actorId,
    from_address: entry.from,
    action: entry.action,
    target: entry.target,
    before: entry.before,
    after: entry.after,
    previous_hash: entry.previous,
    hash: entry.hash,
  };
}

export function auditOf(row: Row): StoredAuditEntry {
  return {
    id: integer(row, "id"),
    at: integer(row, "at"),
    actorKind: text(row, "actor_kind"),
    actorId: text(row, "actor_id"),
    from: text(row, "from_address"),
    action: text(row, "action"),
    target: text(row, "target"),
    before: text(row, "before"),
    after: text(row, "after"),
    previous: text(row, "previous_hash"),
    hash: text(row, "hash"),
  };
}

/** Of a database without a row yet: nothing was ever stored. */
export function auditChainOf(row: Row | undefined): AuditChain {
  return row === undefined
    ? emptyAuditChain
    : {
        head: { id: integer(row, "head_id"), hash: text(row, "head_hash") },
        anchor: { id: integer(row, "anchor_id"), hash: text(row, "anchor_hash") },
      };
}

export function auditChainColumns({ head, anchor }: AuditChain): Columns {
  return { head_id: head.id, head_hash: head.hash, anchor_id: anchor.id, anchor_hash: anchor.hash };
}
