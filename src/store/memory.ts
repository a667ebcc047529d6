// The store without a disk, for tests and simulation: what a commit has stored survives a simulated crash, what was only
// on its way does not. Held to the same suite as the real ones.
import type { PolicyVersion } from "../tailnet/contract.ts";
import type { ApiKey, NodeRecord, PreAuthKey, Presence, User } from "../tailnet/model.ts";
import { emptyAuditChain, pruneEntry } from "../tailnet/audit-chain.ts";
import { nothingSaidYet } from "../tailnet/derive.ts";
import type {
  AuditChain,
  CommitOutcome,
  Snapshot,
  Store,
  StoredAuditEntry,
  StoredSecret,
  Write,
} from "../tailnet/store.ts";
import { type AuditWrite, ChainInCommit } from "./audit.ts";
import { MemoryTable, type Undo, type UniqueKey } from "./memory-table.ts";
import { refusal } from "./refusals.ts";

/** Where a simulated crash can strike: before and after what would be on the disk. */
export type CrashPoint = "before-commit" | "after-commit" | "before-presence" | "after-presence";

export interface MemoryStoreOptions {
  /** Asked at every crash point; when true the call throws there, as if the process had died. */
  readonly crashAt?: (point: CrashPoint) => boolean;
  /** Awaited inside every write, so that a simulated scheduler decides when the disk is done. */
  readonly disk?: () => Promise<void>;
}

interface NodeRow {
  readonly record: NodeRecord;
  readonly presence: Presence;
}
interface Secret<Key> {
  readonly key: Key;
  readonly secret: StoredSecret;
}

/** What lies on the simulated disk; give it to a new store to restart after a crash. */
export class MemoryDisk {
  sequence = 0;
  readonly users = new MemoryTable<User>(userKeys);
  readonly nodes = new MemoryTable<NodeRow>(nodeKeys);
  readonly preAuthKeys = new MemoryTable<Secret<PreAuthKey>>(prefixKey);
  readonly apiKeys = new MemoryTable<Secret<ApiKey>>(prefixKey);
  readonly policies = new MemoryTable<PolicyVersion>(() => []);
  readonly settings = new Map<string, string>();
  audit: StoredAuditEntry[] = [];
  auditChain: AuditChain = emptyAuditChain;
}

function userKeys(user: User): readonly UniqueKey[] {
  return user.providerId === ""
    ? [{ key: `name ${user.name}`, reason: refusal.userNameTaken }]
    : [{ key: `provider ${user.providerId}`, reason: refusal.providerTaken }];
}

function nodeKeys({ record }: NodeRow): readonly UniqueKey[] {
  const keys: UniqueKey[] = [
    { key: record.nodeKey, reason: refusal.nodeKeyTaken },
    { key: `name ${record.givenName}`, reason: refusal.nameTaken },
    { key: `stable ${record.stableId}`, reason: refusal.stableIdTaken },
  ];
  if (record.userId !== null) {
    keys.push({ key: `${record.machineKey} ${record.userId}`, reason: refusal.machineTaken });
  }
  for (const addr of [record.ipv4, record.ipv6]) {
    if (addr !== null) {
      keys.push({ key: `address ${JSON.stringify(addr)}`, reason: refusal.addressTaken });
    }
  }
  return keys;
}

function prefixKey({ key }: Secret<PreAuthKey | ApiKey>): readonly UniqueKey[] {
  return key.prefix === "" ? [] : [{ key: key.prefix, reason: refusal.prefixTaken }];
}

export interface MemoryStore extends Store {
  /** What a restart finds. */
  readonly disk: MemoryDisk;
}

export function createMemoryStore(options: MemoryStoreOptions = {}, disk: MemoryDisk = new MemoryDisk()): MemoryStore {
  let closed = false;
  const reach = (point: CrashPoint): void => {
    if (options.crashAt?.(point) === true) {
      closed = true;
      throw new Error(`crashed ${point}`);
    }
  };
  const mustBeOpen = (): void => {
    if (closed) {
      throw new Error("the store is closed");
    }
  };
  return {
    disk,
    load: async () => {
      mustBeOpen();
      return snapshotOf(disk);
    },
    commit: async (groups) => {
      mustBeOpen();
      reach("before-commit");
      await options.disk?.();
      mustBeOpen();
      const outcome = commitTo(disk, groups);
      reach("after-commit");
      return outcome;
    },
    savePresence: async (rows) => {
      mustBeOpen();
      reach("before-presence");
      await options.disk?.();
      mustBeOpen();
      for (const { id, presence } of rows) {
        const row = disk.nodes.rows.get(id);
        if (row !== undefined) {
          disk.nodes.put(id, { record: row.record, presence: structuredClone(presence) }, []);
        }
      }
      reach("after-presence");
    },
    auditLog: async ({ before, after, limit }) => {
      mustBeOpen();
      return after === undefined
        ? disk.audit
            .filter(({ id }) => before === undefined || id < before)
            .toReversed()
            .slice(0, limit)
        : disk.audit.filter(({ id }) => id > after).slice(0, limit);
    },
    auditChain: async () => {
      mustBeOpen();
      return disk.auditChain;
    },
    policyHistory: async (limit) => {
      mustBeOpen();
      return disk.policies.sorted().reverse().slice(0, limit);
    },
    ping: async () => mustBeOpen(),
    close: async () => {
      closed = true;
    },
  };
}

function snapshotOf(disk: MemoryDisk): Snapshot {
  return structuredClone({
    sequence: disk.sequence,
    users: disk.users.sorted(),
    nodes: disk.nodes.sorted(),
    preAuthKeys: disk.preAuthKeys.sorted(),
    apiKeys: disk.apiKeys.sorted(),
    policy: disk.policies.sorted().at(-1) ?? null,
    settings: Object.fromEntries(disk.settings),
    highest: {
      user: disk.users.highest,
      node: disk.nodes.highest,
      preAuthKey: disk.preAuthKeys.highest,
      apiKey: disk.apiKeys.highest,
      policy: disk.policies.highest,
    },
  });
}

function commitTo(disk: MemoryDisk, groups: readonly (readonly Write[])[]): CommitOutcome {
  const refused: { index: number; reason: string }[] = [];
  groups.forEach((writes, index) => {
    const undo: Undo = [];
    for (const write of writes) {
      const reason = store(disk, structuredClone(write), undo);
      if (reason !== undefined) {
        for (const step of undo.reverse()) {
          step();
        }
        refused.push({ index, reason });
        return;
      }
    }
  });
  if (refused.length < groups.length) {
    disk.sequence++;
  }
  return refused.length === 0 ? { ok: true, sequence: disk.sequence } : { ok: false, sequence: disk.sequence, refused };
}

/** Does one write; the reason when a database would refuse it. */
function store(disk: MemoryDisk, write: Write, undo: Undo): string | undefined {
  switch (write.kind) {
    case "put-user":
      return disk.users.put(write.user.id, write.user, undo);
    case "delete-user":
      return deleteUser(disk, write.id, undo);
    case "put-node":
      return putNode(disk, write.node, write.presence, undo);
    case "delete-node":
      disk.nodes.remove(write.id, undo);
      return undefined;
    case "put-pre-auth-key":
      return write.key.userId !== null && !disk.users.rows.has(write.key.userId)
        ? refusal.userMissing
        : putSecret(disk.preAuthKeys, write.key, write.secret, undo);
    case "use-pre-auth-key": {
      const row = disk.preAuthKeys.rows.get(write.id);
      return row === undefined || row.key.used
        ? refusal.keyUsed
        : disk.preAuthKeys.put(write.id, { ...row, key: { ...row.key, used: true } }, undo);
    }
    case "delete-pre-auth-key":
      return deletePreAuthKey(disk, write.id, undo);
    case "put-api-key":
      return putSecret(disk.apiKeys, write.key, write.secret, undo);
    case "delete-api-key":
      disk.apiKeys.remove(write.id, undo);
      return undefined;
    case "put-policy":
      return disk.policies.put(write.policy.id, write.policy, undo);
    case "reserve-ids":
      for (const [table, id] of [
        [disk.users, write.highest.user],
        [disk.nodes, write.highest.node],
        [disk.preAuthKeys, write.highest.preAuthKey],
        [disk.apiKeys, write.highest.apiKey],
        [disk.policies, write.highest.policy],
      ] as const) {
        table.highest = Math.max(table.highest, id);
      }
      return undefined;
    case "put-setting":
      return putSetting(disk.settings, write.key, write.value, undo);
    case "audit":
    case "prune-audit":
    case "restore-audit":
      return storeAudit(disk, write, undo);
  }
}

function storeAudit(disk: MemoryDisk, write: AuditWrite, undo: Undo): string | undefined {
  const { audit, auditChain } = disk;
  const { length } = audit;
  undo.push(() => {
    audit.length = length;
    disk.audit = audit;
    disk.auditChain = auditChain;
  });
  const chain = new ChainInCommit(auditChain);
  switch (write.kind) {
    case "audit":
      audit.push(chain.append(write.entry));
      break;
    case "prune-audit": {
      const firstKept = audit.findIndex(({ at }) => at >= write.olderThan);
      const removed = audit.slice(0, firstKept === -1 ? audit.length : firstKept);
      const last = removed.at(-1);
      if (last !== undefined) {
        chain.chain = { ...chain.chain, anchor: { id: last.id, hash: last.hash } };
        const entry = chain.append(pruneEntry(write.at, chain.chain.anchor, removed.length));
        disk.audit = [...audit.slice(removed.length), entry];
      }
      break;
    }
    case "restore-audit":
      if (auditChain.head.id !== 0) {
        return refusal.auditNotEmpty;
      }
      disk.audit = [...write.entries];
      chain.chain = write.chain;
  }
  disk.auditChain = chain.chain;
  return undefined;
}

function putSecret<Key extends { readonly id: number }>(
  table: MemoryTable<Secret<Key>>,
  key: Key,
  secret: StoredSecret | undefined,
  undo: Undo,
): string | undefined {
  const kept = secret ?? table.rows.get(key.id)?.secret;
  return kept === undefined ? refusal.secretMissing : table.put(key.id, { key, secret: kept }, undo);
}

function putNode(disk: MemoryDisk, record: NodeRecord, presence: Presence | undefined, undo: Undo): string | undefined {
  if (record.userId !== null && !disk.users.rows.has(record.userId)) {
    return refusal.userMissing;
  }
  if (record.authKeyId !== null && !disk.preAuthKeys.rows.has(record.authKeyId)) {
    return refusal.keyMissing;
  }
  const kept = presence ?? disk.nodes.rows.get(record.id)?.presence ?? nothingSaidYet;
  return disk.nodes.put(record.id, { record, presence: kept }, undo);
}

function deleteUser(disk: MemoryDisk, id: number, undo: Undo): string | undefined {
  for (const { record } of disk.nodes.rows.values()) {
    if (record.userId === id) {
      return refusal.userHasNodes;
    }
  }
  for (const [keyId, row] of disk.preAuthKeys.rows) {
    if (row.key.userId === id) {
      disk.preAuthKeys.put(keyId, { ...row, key: { ...row.key, userId: null } }, undo);
    }
  }
  disk.users.remove(id, undo);
  return undefined;
}

function deletePreAuthKey(disk: MemoryDisk, id: number, undo: Undo): undefined {
  for (const [nodeId, row] of disk.nodes.rows) {
    if (row.record.authKeyId === id) {
      disk.nodes.put(nodeId, { ...row, record: { ...row.record, authKeyId: null } }, undo);
    }
  }
  disk.preAuthKeys.remove(id, undo);
}

function putSetting(settings: Map<string, string>, key: string, value: string, undo: Undo): undefined {
  const before = settings.get(key);
  undo.push(() => {
    if (before === undefined) {
      settings.delete(key);
    } else {
      settings.set(key, before);
    }
  });
  settings.set(key, value);
}
