import assert from "node:assert/strict";
import { test } from "node:test";
import { copyStore } from "./copy.ts";
import { createMemoryStore } from "./memory.ts";
import { sampleNode, sampleUser } from "./store-suite.ts";

const entry = (action: string) => ({
  at: 1,
  actorKind: "cli",
  actorId: "root",
  from: "",
  action,
  target: "",
  before: "",
  after: "",
});

test("a copy holds what the original held, audit and id counters included", async () => {
  const from = createMemoryStore();
  await from.commit([
    [
      { kind: "put-user", user: sampleUser(1) },
      { kind: "put-node", node: sampleNode(4, { userId: sampleUser(1).id, tags: [] }) },
      { kind: "audit", entry: entry("first") },
      { kind: "audit", entry: entry("second") },
      { kind: "put-policy", policy: { id: 1, text: "{}", setAt: 1, setBy: "a" } },
      { kind: "put-policy", policy: { id: 2, text: "{ }", setAt: 2, setBy: "b" } },
      { kind: "put-setting", key: "k", value: "v" },
    ],
    [{ kind: "put-node", node: sampleNode(9) }],
    [{ kind: "delete-node", id: sampleNode(9).id }],
  ]);
  const to = createMemoryStore();
  const outcome = await copyStore(from, to);
  assert.ok(outcome.ok);
  const { sequence: _before, ...original } = await from.load();
  const { sequence: _after, ...copy } = await to.load();
  assert.deepEqual(copy, original);
  assert.deepEqual(await to.policyHistory(10), await from.policyHistory(10));
  assert.deepEqual(
    (await to.auditLog({ limit: 10 })).map(({ action }) => action),
    ["second", "first"],
  );
});

test("a database that holds something is not copied into", async () => {
  const to = createMemoryStore();
  await to.commit([[{ kind: "put-user", user: sampleUser(1) }]]);
  assert.equal((await copyStore(createMemoryStore(), to)).ok, false);
});
