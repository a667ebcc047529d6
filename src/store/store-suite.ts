// What every store promises, as tests: run over each implementation with a way to open it again on the same data.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PolicyVersion } from "../tailnet/contract.ts";
import type { ApiKey, NodeRecord, PreAuthKey, Presence, User } from "../tailnet/model.ts";
import type { AuditEntry, Snapshot, Store, Write } from "../tailnet/store.ts";
import { parseAddr, parsePrefix } from "../ip/index.ts";
import { parseDiscoKey, parseMachineKey, parseNodeKey } from "../wire/ids.ts";
import type { ApiKeyId, NodeId, PreAuthKeyId, UserId } from "../wire/ids.ts";
import { emptyAuditChain, pruneAction, verifyAudit } from "../tailnet/audit-chain.ts";
import { sha256 } from "./audit.ts";
import { createMemoryStore } from "./memory.ts";
import { refusal } from "./refusals.ts";

export interface StoreUnderTest {
  /** Opens the store; a second call after `close` finds the data of the first. */
  open(): Promise<Store>;
  /** Removes the data. */
  dispose(): Promise<void>;
}

function defined<Value>(value: Value | undefined): Value {
  assert.notEqual(value, undefined);
  return value as Value;
}

const hex = (number: number): string => number.toString(16).padStart(64, "0");

export function sampleUser(id: number, more: Partial<User> = {}): User {
  return {
    id: id as UserId,
    name: `user${id}`,
    displayName: `User ${id}`,
    email: `user${id}@example.net`,
    providerId: "",
    provider: "",
    profilePicUrl: "",
    role: "member",
    groups: ["group:x"],
    createdAt: 1_700_000_000_000 + id,
    ...more,
  };
}

export function sampleNode(id: number, more: Partial<NodeRecord> = {}): NodeRecord {
  return {
    id: id as NodeId,
    stableId: `n${id}CNTRL`,
    machineKey: defined(parseMachineKey(`mkey:${hex(id)}`)),
    nodeKey: defined(parseNodeKey(`nodekey:${hex(id)}`)),
    nodeLockKey: null,
    userId: null,
    tags: ["tag:a", "tag:b"],
    givenName: `node-${id}`,
    nameFixed: false,
    ipv4: defined(parseAddr(`100.64.${id >> 8}.${id & 255}`)),
    ipv6: defined(parseAddr(`fd7a:115c:a1e0::${id.toString(16)}`)),
    registerMethod: "authkey",
    authKeyId: null,
    ephemeral: false,
    createdAt: 1_700_000_000_000,
    expiry: null,
    approvedRoutes: [defined(parsePrefix("10.0.0.0/8")), defined(parsePrefix("fd00::/8"))],
    ...more,
  };
}

export const samplePresence: Presence = {
  hostinfo: {
    Hostname: "box\u0000☃",
    OS: "linux",
    RoutableIPs: ["10.0.0.0/8"],
    extra: { Unknown: [1, null, { a: "b" }] },
  },
  discoKey: defined(parseDiscoKey(`discokey:${hex(9)}`)),
  endpoints: ["192.0.2.1:41641", "[2001:db8::1]:41641"],
  homeDerp: 3,
  capVersion: 113,
  lastSeen: 1_700_000_123_456,
};

const emptyPresence: Presence = {
  hostinfo: {},
  discoKey: null,
  endpoints: [],
  homeDerp: 0,
  capVersion: 0,
  lastSeen: null,
};

export function samplePreAuthKey(id: number, more: Partial<PreAuthKey> = {}): PreAuthKey {
  return {
    id: id as PreAuthKeyId,
    prefix: `prefix-of-${String(id).padStart(2, "0")}`,
    userId: null,
    reusable: false,
    ephemeral: true,
    used: false,
    tags: ["tag:a"],
    expiration: 1_800_000_000_000,
    createdAt: 1_700_000_000_000,
    ...more,
  };
}

function sampleApiKey(id: number, more: Partial<ApiKey> = {}): ApiKey {
  return {
    id: id as ApiKeyId,
    prefix: `api-prefix-${id}`,
    expiration: null,
    createdAt: 1_700_000_000_000,
    lastSeen: null,
    description: "for tests",
    scopes: ["devices:core"],
    ...more,
  };
}

const samplePolicy = (id: number): PolicyVersion => ({
  id,
  text: `{"acls": [/* ${id} */]}`,
  setAt: id,
  setBy: "cli:root",
});

const sampleAudit = (action: string): AuditEntry => ({
  at: 1_700_000_000_000,
  actorKind: "cli",
  actorId: "root",
  from: "192.0.2.7",
  action,
  target: "node:1",
  before: "",
  after: '{"a":1}',
});

const secret = { algorithm: "sha256", hash: "ab".repeat(32) } as const;

const putUser = (user: User): Write => ({ kind: "put-user", user });
const putNode = (node: NodeRecord, presence?: Presence): Write =>
  presence === undefined ? { kind: "put-node", node } : { kind: "put-node", node, presence };
const putPreAuthKey = (key: PreAuthKey): Write => ({ kind: "put-pre-auth-key", key, secret });

/** The reasons by group; throws when the outcome names other groups. */
async function commit(store: Store, ...groups: readonly (readonly Write[])[]): Promise<Record<number, string>> {
  const outcome = await store.commit(groups);
  return outcome.ok ? {} : Object.fromEntries(outcome.refused.map(({ index, reason }) => [index, reason]));
}

/** Declares the suite's tests for one implementation. */
export function storeSuite(name: string, make: () => Promise<StoreUnderTest>): void {
  const on = (promise: string, body: (store: Store, reopen: () => Promise<Store>) => Promise<void>): void => {
    test(`${name}: ${promise}`, async () => {
      const subject = await make();
      let store = await subject.open();
      try {
        await body(store, async () => {
          await store.close();
          store = await subject.open();
          return store;
        });
      } finally {
        await store.close();
        await subject.dispose();
      }
    });
  };

  on("a new store is empty", async (store) => {
    assert.deepEqual(await store.load(), {
      sequence: 0,
      users: [],
      nodes: [],
      preAuthKeys: [],
      apiKeys: [],
      policy: null,
      settings: {},
      highest: { user: 0, node: 0, preAuthKey: 0, apiKey: 0, policy: 0 },
    } satisfies Snapshot);
  });

  on("all kinds of records come back as they were stored", async (store, reopen) => {
    const user = sampleUser(1);
    const provided = sampleUser(2, { name: "", providerId: "https://id.example/abc", role: "it-admin" });
    const key = samplePreAuthKey(1, { userId: user.id });
    const imported = samplePreAuthKey(2, { prefix: "", expiration: null, tags: [] });
    const node = sampleNode(1, { userId: user.id, tags: [], authKeyId: key.id, expiry: 1_900_000_000_000 });
    const plain = sampleNode(2, { ipv4: null, nodeLockKey: null, nameFixed: true, ephemeral: true });
    const refused = await commit(store, [
      putUser(user),
      putUser(provided),
      putPreAuthKey(key),
      { kind: "put-pre-auth-key", key: imported, secret: { algorithm: "sha256-legacy", hash: "cd" } },
      putNode(node, samplePresence),
      putNode(plain),
      { kind: "put-api-key", key: sampleApiKey(1), secret: { algorithm: "bcrypt", hash: "$2a$10$x" } },
      { kind: "put-policy", policy: samplePolicy(1) },
      { kind: "put-policy", policy: samplePolicy(2) },
      { kind: "put-setting", key: "color", value: "green" },
      { kind: "audit", entry: sampleAudit("node.register") },
    ]);
    assert.deepEqual(refused, {});
    assert.deepEqual(await (await reopen()).load(), {
      sequence: 1,
      users: [user, provided],
      nodes: [
        { record: node, presence: samplePresence },
        { record: plain, presence: emptyPresence },
      ],
      preAuthKeys: [
        { key, secret },
        { key: imported, secret: { algorithm: "sha256-legacy", hash: "cd" } },
      ],
      apiKeys: [{ key: sampleApiKey(1), secret: { algorithm: "bcrypt", hash: "$2a$10$x" } }],
      policy: samplePolicy(2),
      settings: { color: "green" },
      highest: { user: 2, node: 2, preAuthKey: 2, apiKey: 1, policy: 2 },
    } satisfies Snapshot);
  });

  on("a second put replaces the record and leaves presence and secrets that it does not bring", async (store) => {
    await commit(store, [
      putPreAuthKey(samplePreAuthKey(1)),
      { kind: "put-api-key", key: sampleApiKey(1), secret },
      putNode(sampleNode(1, { authKeyId: 1 as PreAuthKeyId }), samplePresence),
    ]);
    const node = sampleNode(1, { givenName: "other", tags: ["tag:c"], expiry: 5, authKeyId: 1 as PreAuthKeyId });
    const key = samplePreAuthKey(1, { used: true, expiration: 7 });
    const apiKey = sampleApiKey(1, { lastSeen: 9 });
    assert.deepEqual(
      await commit(store, [putNode(node), { kind: "put-pre-auth-key", key }, { kind: "put-api-key", key: apiKey }]),
      {},
    );
    const after = await store.load();
    assert.deepEqual(after.nodes, [{ record: node, presence: samplePresence }]);
    assert.deepEqual(after.preAuthKeys, [{ key, secret }]);
    assert.deepEqual(after.apiKeys, [{ key: apiKey, secret }]);
  });

  on("the sequence number moves by one a commit and not when all is refused", async (store, reopen) => {
    assert.equal((await store.commit([[putUser(sampleUser(1))], [putUser(sampleUser(2))]])).sequence, 1);
    assert.equal((await store.commit([[putUser(sampleUser(3))]])).sequence, 2);
    assert.deepEqual(await store.commit([[putUser(sampleUser(4, { name: "user1" }))]]), {
      ok: false,
      sequence: 2,
      refused: [{ index: 0, reason: refusal.userNameTaken }],
    });
    assert.equal((await (await reopen()).load()).sequence, 2);
  });

  on("a refused group leaves no trace and does not hold up the others", async (store) => {
    const refused = await commit(
      store,
      [putUser(sampleUser(1))],
      [putUser(sampleUser(2)), putNode(sampleNode(1)), putUser(sampleUser(3, { name: "user1" }))],
      [putNode(sampleNode(2))],
    );
    assert.deepEqual(refused, { 1: refusal.userNameTaken });
    const { users, nodes } = await store.load();
    assert.deepEqual(
      users.map(({ id }) => id),
      [1],
    );
    assert.deepEqual(
      nodes.map(({ record }) => record.id),
      [2],
    );
  });

  const clashes: readonly [string, Partial<NodeRecord>, string][] = [
    ["node key", { nodeKey: sampleNode(1).nodeKey }, refusal.nodeKeyTaken],
    ["stable id", { stableId: sampleNode(1).stableId }, refusal.stableIdTaken],
    ["name", { givenName: sampleNode(1).givenName }, refusal.nameTaken],
    ["IPv4 address", { ipv4: sampleNode(1).ipv4 }, refusal.addressTaken],
    ["IPv6 address", { ipv6: sampleNode(1).ipv6 }, refusal.addressTaken],
    ["machine and user", { machineKey: sampleNode(1).machineKey, userId: 1 as UserId, tags: [] }, refusal.machineTaken],
    ["missing user", { userId: 9 as UserId, tags: [] }, refusal.userMissing],
    ["missing key", { authKeyId: 9 as PreAuthKeyId }, refusal.keyMissing],
  ];
  for (const [what, clash, reason] of clashes) {
    on(`a node with a clash of ${what} is refused`, async (store) => {
      await commit(store, [putUser(sampleUser(1)), putNode(sampleNode(1, { userId: 1 as UserId, tags: [] }))]);
      assert.deepEqual(await commit(store, [putNode(sampleNode(2, clash))]), { 0: reason });
      assert.equal((await store.load()).nodes.length, 1);
    });
  }

  on("users clash by local name or by provider identity, not by a provider's name", async (store) => {
    const provided = sampleUser(2, { name: "user1", providerId: "iss/1" });
    assert.deepEqual(await commit(store, [putUser(sampleUser(1))], [putUser(provided)]), {});
    assert.deepEqual(await commit(store, [putUser(sampleUser(3, { name: "x", providerId: "iss/1" }))]), {
      0: refusal.providerTaken,
    });
    assert.deepEqual(await commit(store, [putUser(sampleUser(4, { name: "user1", providerId: "iss/2" }))]), {});
  });

  on("a single-use key is used once, also by two groups of one commit", async (store) => {
    await commit(store, [putPreAuthKey(samplePreAuthKey(1))]);
    const use: Write = { kind: "use-pre-auth-key", id: 1 as PreAuthKeyId };
    assert.deepEqual(await commit(store, [use, putNode(sampleNode(1))], [use, putNode(sampleNode(2))]), {
      1: refusal.keyUsed,
    });
    assert.deepEqual(await commit(store, [use]), { 0: refusal.keyUsed });
    assert.deepEqual(await commit(store, [{ kind: "use-pre-auth-key", id: 9 as PreAuthKeyId }]), {
      0: refusal.keyUsed,
    });
    const { nodes, preAuthKeys } = await store.load();
    assert.deepEqual(
      nodes.map(({ record }) => record.id),
      [1],
    );
    assert.equal(preAuthKeys[0]?.key.used, true);
  });

  on("a user with nodes stays; without them it goes and its keys lose it", async (store) => {
    const userId = 1 as UserId;
    await commit(store, [
      putUser(sampleUser(1)),
      putPreAuthKey(samplePreAuthKey(1, { userId })),
      putNode(sampleNode(1, { userId, tags: [] })),
    ]);
    assert.deepEqual(await commit(store, [{ kind: "delete-user", id: userId }]), { 0: refusal.userHasNodes });
    await commit(store, [{ kind: "delete-node", id: 1 as NodeId }]);
    assert.deepEqual(await commit(store, [{ kind: "delete-user", id: userId }]), {});
    const { users, preAuthKeys } = await store.load();
    assert.deepEqual(users, []);
    assert.equal(preAuthKeys[0]?.key.userId, null);
  });

  on("deleting a key leaves the nodes that it let in", async (store) => {
    const authKeyId = 1 as PreAuthKeyId;
    await commit(store, [putPreAuthKey(samplePreAuthKey(1)), putNode(sampleNode(1, { authKeyId }))]);
    assert.deepEqual(await commit(store, [{ kind: "delete-pre-auth-key", id: authKeyId }]), {});
    const { nodes, preAuthKeys } = await store.load();
    assert.deepEqual(nodes, [{ record: sampleNode(1), presence: emptyPresence }]);
    assert.deepEqual(preAuthKeys, []);
  });

  on("key prefixes are unique, the empty one apart; a key needs a secret", async (store) => {
    const { prefix } = samplePreAuthKey(1);
    await commit(store, [putPreAuthKey(samplePreAuthKey(1)), { kind: "put-api-key", key: sampleApiKey(1), secret }]);
    const refused = await commit(
      store,
      [putPreAuthKey(samplePreAuthKey(2, { prefix }))],
      [{ kind: "put-api-key", key: sampleApiKey(2, { prefix: sampleApiKey(1).prefix }), secret }],
      [putPreAuthKey(samplePreAuthKey(3, { prefix: "" })), putPreAuthKey(samplePreAuthKey(4, { prefix: "" }))],
      [{ kind: "put-pre-auth-key", key: samplePreAuthKey(5) }],
      [{ kind: "put-api-key", key: sampleApiKey(5) }],
    );
    assert.deepEqual(refused, {
      0: refusal.prefixTaken,
      1: refusal.prefixTaken,
      3: refusal.secretMissing,
      4: refusal.secretMissing,
    });
  });

  on("ids that were given out count for ever", async (store, reopen) => {
    await commit(store, [putUser(sampleUser(5)), putNode(sampleNode(7)), putPreAuthKey(samplePreAuthKey(3))]);
    await commit(store, [
      { kind: "delete-user", id: 5 as UserId },
      { kind: "delete-node", id: 7 as NodeId },
      { kind: "delete-pre-auth-key", id: 3 as PreAuthKeyId },
    ]);
    const again = await reopen();
    assert.deepEqual((await again.load()).highest, { user: 5, node: 7, preAuthKey: 3, apiKey: 0, policy: 0 });
    const highest = { user: 2, node: 99, preAuthKey: 3, apiKey: 4, policy: 0 };
    await commit(again, [{ kind: "reserve-ids", highest }]);
    assert.deepEqual((await again.load()).highest, { user: 5, node: 99, preAuthKey: 3, apiKey: 4, policy: 0 });
  });

  on("presence is kept for nodes that are there and moves no sequence number", async (store, reopen) => {
    await commit(store, [putNode(sampleNode(1))], [putNode(sampleNode(2), samplePresence)]);
    const later = { ...samplePresence, homeDerp: 8, lastSeen: 5 };
    await store.savePresence([
      { id: 1 as NodeId, presence: samplePresence },
      { id: 2 as NodeId, presence: later },
      { id: 3 as NodeId, presence: later },
    ]);
    await store.savePresence([]);
    const { nodes, sequence } = await (await reopen()).load();
    assert.equal(sequence, 1);
    assert.deepEqual(
      nodes.map(({ presence }) => presence),
      [samplePresence, later],
    );
  });

  on("policies keep their history, newest first", async (store) => {
    for (const id of [1, 2, 3]) {
      await commit(store, [{ kind: "put-policy", policy: samplePolicy(id) }]);
    }
    assert.deepEqual(await store.policyHistory(2), [samplePolicy(3), samplePolicy(2)]);
    assert.deepEqual((await store.load()).policy, samplePolicy(3));
  });

  on("the audit log is read backwards, page by page", async (store) => {
    for (const action of ["a", "b", "c", "d"]) {
      await commit(store, [{ kind: "audit", entry: sampleAudit(action) }]);
    }
    await commit(store, [
      { kind: "audit", entry: sampleAudit("never") },
      { kind: "use-pre-auth-key", id: 1 as PreAuthKeyId },
    ]);
    const first = await store.auditLog({ limit: 3 });
    assert.deepEqual(
      first.map(({ action }) => action),
      ["d", "c", "b"],
    );
    const { id: before, previous: _previous, hash: _hash, ...entry } = defined(first.at(-1));
    assert.deepEqual(entry, sampleAudit("b"));
    assert.deepEqual(
      (await store.auditLog({ before, limit: 3 })).map(({ action }) => action),
      ["a"],
    );
    assert.deepEqual(
      (await store.auditLog({ after: before, limit: 1 })).map(({ action }) => action),
      ["c"],
    );
  });

  const audit = (action: string, at = 1_700_000_000_000): Write => ({
    kind: "audit",
    entry: { ...sampleAudit(action), at },
  });
  const badUse: Write = { kind: "use-pre-auth-key", id: 99 as PreAuthKeyId };

  on("the audit log is a chain that refused groups leave no gap in", async (store, reopen) => {
    assert.deepEqual(await store.auditChain(), emptyAuditChain);
    await commit(store, [audit("a")], [audit("refused"), badUse], [audit("b"), audit("c\u0000\ud800")]);
    await commit(store, [audit("refused too"), badUse]);
    const again = await reopen();
    await commit(again, [audit("d")]);
    const entries = await again.auditLog({ after: 0, limit: 10 });
    assert.deepEqual(
      entries.map(({ action }) => action),
      ["a", "b", "c\ufffd", "d"],
    );
    assert.deepEqual(
      entries.map(({ previous }) => previous),
      [emptyAuditChain.head.hash, ...entries.slice(0, -1).map(({ hash }) => hash)],
    );
    const verdict = await verifyAudit(again, sha256);
    assert.deepEqual(verdict.faults, []);
    assert.equal(verdict.entries, 4);
    assert.deepEqual(verdict.head, { id: entries.at(-1)?.id, hash: entries.at(-1)?.hash });
    assert.equal((await verifyAudit(again, sha256, entries[1]?.hash)).ok, true);
    assert.equal((await verifyAudit(again, sha256, "f".repeat(64))).ok, false);
  });

  on("pruning takes the oldest entries, leaves an anchor and says so", async (store, reopen) => {
    await commit(store, [audit("a", 10), audit("b", 20), audit("old by its clock", 5), audit("c", 30), audit("d", 15)]);
    const all = await store.auditLog({ after: 0, limit: 10 });
    const prune = (olderThan: number): Write => ({ kind: "prune-audit", olderThan, at: 100 });
    await commit(store, [prune(10)]);
    assert.deepEqual(await store.auditLog({ after: 0, limit: 10 }), all);
    await commit(store, [prune(25), badUse]);
    assert.deepEqual(await store.auditLog({ after: 0, limit: 10 }), all);
    await commit(store, [prune(25)]);
    const again = await reopen();
    const left = await again.auditLog({ after: 0, limit: 10 });
    assert.deepEqual(
      left.map(({ action }) => action),
      ["c", "d", pruneAction],
    );
    const anchor = { id: all[2]?.id, hash: all[2]?.hash };
    assert.deepEqual((await again.auditChain()).anchor, anchor);
    assert.deepEqual(JSON.parse(left[2]?.after ?? ""), { through: anchor.id, hash: anchor.hash, removed: 3 });
    assert.deepEqual((await verifyAudit(again, sha256)).faults, []);
    await commit(again, [prune(1000)], [audit("e")]);
    assert.deepEqual(
      (await again.auditLog({ after: 0, limit: 10 })).map(({ action }) => action),
      [pruneAction, "e"],
    );
    assert.deepEqual((await verifyAudit(again, sha256)).faults, []);
  });

  on("an audit chain from elsewhere keeps its ids and hashes, in an empty log only", async (store) => {
    const source = createMemoryStore();
    await commit(source, [audit("a", 1), audit("b", 2), audit("c", 3)]);
    await commit(source, [{ kind: "prune-audit", olderThan: 2, at: 4 }]);
    const chain = await source.auditChain();
    const entries = await source.auditLog({ after: 0, limit: 10 });
    const restore: Write = { kind: "restore-audit", chain, entries };
    assert.deepEqual(await commit(store, [restore]), {});
    assert.deepEqual(await store.auditLog({ after: 0, limit: 10 }), entries);
    assert.deepEqual(await store.auditChain(), chain);
    assert.deepEqual(await commit(store, [restore]), { 0: refusal.auditNotEmpty });
    await commit(store, [audit("d")]);
    assert.deepEqual((await verifyAudit(store, sha256)).faults, []);
  });

  on("commits that are asked for at once are all stored, in order", async (store) => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => store.commit([[putUser(sampleUser(i + 1))]])),
    );
    assert.deepEqual(
      outcomes.map(({ sequence }) => sequence),
      outcomes.map((_, i) => i + 1),
    );
    assert.equal((await store.load()).users.length, 20);
  });

  on("ping answers while the store is open and fails after it is closed", async (store) => {
    await store.ping();
    await store.close();
    await assert.rejects(store.ping());
    await assert.rejects(store.commit([]));
  });
}
