// The same requests and commands to headscale's own server and to ours: the same answers, but for the differences that
// are declared (beside/differences.ts) and told to people (docs/headscale.md).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runBeside } from "./beside/beside.ts";
import { differences } from "./beside/differences.ts";
import { devices, flags, people } from "./beside/sequences/command-line.ts";
import { apiKeys, authKeys } from "./beside/sequences/keys.ts";
import { nodes, waiting } from "./beside/sequences/nodes.ts";
import { pages } from "./beside/sequences/pages.ts";
import { policies, policyFile } from "./beside/sequences/policy.ts";
import { remotely } from "./beside/sequences/remote.ts";
import { dialect, users } from "./beside/sequences/users.ts";
import { missing } from "./beside/servers.ts";

const sequences = [
  users,
  dialect,
  authKeys,
  apiKeys,
  nodes,
  waiting,
  policies,
  policyFile,
  pages,
  people,
  devices,
  flags,
  remotely,
];

const seen = new Set<number>();

for (const sequence of sequences) {
  test(`beside headscale: ${sequence.name}`, { skip: missing, timeout: 300_000 }, async (context) => {
    const report = await runBeside(context, sequence);
    report.seen.forEach((number) => seen.add(number));
    assert.deepEqual(report.undeclared, []);
  });
}

test("every declared difference happens", { skip: missing }, () => {
  const stale = differences.filter((_, number) => !seen.has(number));
  assert.deepEqual(stale, []);
});

test("every declared difference is told to people", () => {
  const text = readFileSync(join(import.meta.dirname, "../docs/headscale.md"), "utf8");
  const untold = differences.filter(({ documented }) => documented === "" || !text.includes(documented));
  assert.deepEqual([...new Set(untold.map(({ documented }) => documented))], []);
});
