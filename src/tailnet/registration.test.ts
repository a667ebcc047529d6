import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addrText,
  admin,
  errorOf,
  machineKey,
  makeKey,
  makeUser,
  must,
  nodeKey,
  registration,
  rig,
} from "../../test/tailnet-rig.ts";

test("a machine with a user's key becomes a node with a name and both addresses", async () => {
  const { tailnet, batches } = await rig();
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id });
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  assert.equal(node.givenName, "host1");
  assert.equal(node.userId, user.id);
  assert.equal(addrText(node.ipv4), "100.64.0.1");
  assert.equal(addrText(node.ipv6), "fd7a:115c:a1e0::1");
  assert.match(node.stableId, /^n[1-9A-Za-z]{11}CNTRL$/);
  assert.equal(tailnet.nodeByKey(nodeKey(1)), node);
  assert.deepEqual(batches.at(-1)?.changes, [{ kind: "node-added", id: node.id }]);
  assert.equal(tailnet.standing(machineKey(1), nodeKey(1)).kind, "valid");
  assert.equal(tailnet.standing(machineKey(2), nodeKey(1)).kind, "foreign");
  assert.equal(tailnet.standing(machineKey(2), nodeKey(2)).kind, "unknown");
});

test("a single-use key under a thousand parallel registrations admits exactly one", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id, reusable: false });
  const results = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => tailnet.register(admin, registration(i + 1, i + 1), key)),
  );
  assert.equal(results.filter((result) => result.ok).length, 1);
  assert.deepEqual([...new Set(results.filter((result) => !result.ok).map(errorOf))], ["authkey already used"]);
  assert.equal(tailnet.nodes().length, 1);
});
