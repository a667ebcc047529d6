import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addrText,
  admin,
  defined,
  errorOf,
  machineKey,
  makeKey,
  makeUser,
  must,
  nodeKey,
  prefix,
  registration,
  rig,
} from "../../test/tailnet-rig.ts";
import type { Credential } from "./contract.ts";
import type { User } from "./model.ts";

const day = 86_400_000;

function login(user: User): Credential {
  return { kind: "approved", user: user.id, method: "cli" };
}

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

test("a thousand machines with one reusable key and one hostname register in a handful of commits", async () => {
  const world = await rig();
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id });
  world.commits = 0;
  const results = await Promise.all(
    Array.from({ length: 1000 }, (_, i) =>
      tailnet.register(admin, registration(i + 1, i + 1, { host: { Hostname: "Box" } }), key),
    ),
  );
  const nodes = results.map(must);
  assert.ok(world.commits <= 4, `${world.commits} commits`);
  assert.equal(new Set(nodes.map(({ givenName }) => givenName)).size, 1000);
  assert.deepEqual(
    nodes.slice(0, 3).map(({ givenName }) => givenName),
    ["box", "box-1", "box-2"],
  );
  assert.equal(new Set(nodes.map(({ ipv4 }) => addrText(ipv4))).size, 1000);
});

test("one machine that registers the same key many times at once is one node", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id, reusable: false });
  const results = await Promise.all(Array.from({ length: 20 }, () => tailnet.register(admin, registration(1, 1), key)));
  assert.equal(new Set(results.map((result) => must(result).id)).size, 1);
});

test("keys that are unknown, expired or spent are refused in headscale's words", async () => {
  const world = await rig();
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const short = await makeKey(tailnet, { user: user.id, expiration: world.now + 1000 });
  const spent = await makeKey(tailnet, { user: user.id, reusable: false });
  const good = await makeKey(tailnet, { user: user.id });
  must(await tailnet.register(admin, registration(1, 1), spent));
  world.now += 1000;
  const wrong = { ...good, secret: `${good.secret.slice(0, -1)}${good.secret.endsWith("A") ? "B" : "A"}` };
  const attempts: [Credential, string][] = [
    [short, "authkey expired"],
    [spent, "authkey already used"],
    [wrong, "invalid pre auth key"],
    [{ kind: "auth-key", secret: "" }, "invalid pre auth key"],
    [{ kind: "auth-key", secret: "x".repeat(100_000) }, "invalid pre auth key"],
  ];
  for (const [credential, text] of attempts) {
    assert.equal(errorOf(await tailnet.register(admin, registration(2, 2), credential)), text);
  }
  assert.equal(tailnet.nodes().length, 1);
});

test("a valid node comes back with any key: spent, expired, deleted or never known", async () => {
  const world = await rig();
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id, reusable: false, expiration: world.now + 1000 });
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  world.now += 5000;
  const { commits } = world;
  for (const credential of [key, { kind: "auth-key" as const, secret: "never known" }]) {
    const again = must(await tailnet.register(admin, registration(1, 1), credential));
    assert.equal(again.id, node.id);
    assert.equal(again.nodeKey, node.nodeKey);
  }
  must(await tailnet.deletePreAuthKey(admin, defined(tailnet.preAuthKeys()[0]).id));
  assert.equal(must(await tailnet.register(admin, registration(1, 1), key)).id, node.id);
  assert.equal(world.commits, commits + 1, "only the deletion was written");
});

test("an expired node with a spent key stays out; with a good one it is itself again", async () => {
  const world = await rig();
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const spent = await makeKey(tailnet, { user: user.id, reusable: false });
  const node = must(await tailnet.register(admin, registration(1, 1), spent));
  must(await tailnet.expireNode(admin, node.id, world.now));
  assert.equal(tailnet.standing(machineKey(1), nodeKey(1)).kind, "expired");
  assert.equal(errorOf(await tailnet.register(admin, registration(1, 1), spent)), "authkey already used");
  assert.equal(
    errorOf(await tailnet.register(admin, registration(1, 2, { oldNodeKey: nodeKey(1) }), spent)),
    "authkey already used",
  );
  const good = await makeKey(tailnet, { user: user.id, reusable: false });
  const renewed = must(await tailnet.register(admin, registration(1, 2, { oldNodeKey: nodeKey(1) }), good));
  assert.equal(renewed.id, node.id);
  assert.equal(renewed.expiry, null);
  assert.equal(tailnet.preAuthKeys().find(({ id }) => id === good.id)?.used, true);
});

test("a new node key keeps the node: id, stable id, addresses and name", async () => {
  const { tailnet, batches } = await rig();
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id });
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  must(await tailnet.renameNode(admin, node.id, "chosen"));
  const rotated = must(
    await tailnet.register(admin, registration(1, 2, { oldNodeKey: nodeKey(1), host: { Hostname: "other" } }), key),
  );
  assert.deepEqual(
    [rotated.id, rotated.stableId, rotated.ipv4, rotated.ipv6, rotated.givenName],
    [node.id, node.stableId, node.ipv4, node.ipv6, "chosen"],
  );
  assert.equal(tailnet.nodeByKey(nodeKey(1)), undefined);
  assert.equal(tailnet.nodeByKey(nodeKey(2))?.id, node.id);
  const change = defined(batches.at(-1)?.changes[0]);
  assert.ok(change.kind === "node-changed" && change.fields.has("key"));
});

test("without an old key the machine's node of that user is meant; an unknown old key is no error", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id });
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  assert.equal(must(await tailnet.register(admin, registration(1, 2), key)).id, node.id);
  assert.equal(must(await tailnet.register(admin, registration(1, 3, { oldNodeKey: nodeKey(99) }), key)).id, node.id);
});

test("no machine gets hold of another's node key, by whatever field it names it", async () => {
  const world = await rig();
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id });
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  const taken = "node key already in use by another machine";
  for (const credential of [key, login(user)]) {
    assert.equal(errorOf(await tailnet.register(admin, registration(2, 1), credential)), taken);
    assert.equal(
      errorOf(await tailnet.register(admin, registration(2, 2, { oldNodeKey: nodeKey(1) }), credential)),
      taken,
    );
  }
  must(await tailnet.register(admin, registration(2, 2), key));
  assert.equal(errorOf(await tailnet.register(admin, registration(2, 2, { oldNodeKey: nodeKey(1) }), key)), taken);
  const elsewhere = "node exist with different machine key";
  assert.equal(errorOf(await tailnet.logout(machineKey(2), nodeKey(1))), elsewhere);
  assert.equal(errorOf(await tailnet.shortenExpiry(machineKey(2), nodeKey(1), world.now + 5)), elsewhere);
  assert.equal(tailnet.node(node.id), node);
});

test("the zero key is no node key", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  const refused = await tailnet.register(admin, registration(1, 0), login(user));
  assert.equal(refused.ok, false);
  const node = must(await tailnet.register(admin, registration(1, 1, { oldNodeKey: nodeKey(0) }), login(user)));
  assert.equal(node.nodeKey, nodeKey(1));
});

test("a machine may hold one node per user", async () => {
  const { tailnet } = await rig();
  const [ada, bob] = [await makeUser(tailnet, "ada"), await makeUser(tailnet, "bob")];
  const [keyA, keyB] = [await makeKey(tailnet, { user: ada.id }), await makeKey(tailnet, { user: bob.id })];
  const first = must(await tailnet.register(admin, registration(1, 1), keyA));
  const second = must(await tailnet.register(admin, registration(1, 2, { oldNodeKey: nodeKey(1) }), keyB));
  assert.notEqual(second.id, first.id);
  assert.equal(tailnet.node(first.id), first);
  assert.equal(second.userId, bob.id);
  assert.equal(must(await tailnet.register(admin, registration(1, 3), login(bob))).id, second.id);
  assert.deepEqual(
    tailnet.nodesByMachine(machineKey(1)).map(({ id }) => id),
    [first.id, second.id],
  );
});

test("another user's key changes nothing of a valid node that keeps its key", async () => {
  const { tailnet } = await rig();
  const [ada, bob] = [await makeUser(tailnet, "ada"), await makeUser(tailnet, "bob")];
  const node = must(await tailnet.register(admin, registration(1, 1), login(ada)));
  const keyB = await makeKey(tailnet, { user: bob.id });
  assert.equal(must(await tailnet.register(admin, registration(1, 1), keyB)), node);
  const text = "machine key maps to ambiguous node ownership";
  assert.equal(errorOf(await tailnet.register(admin, registration(1, 1), login(bob))), text);
});

test("a tagged key makes a tagged node without user and expiry, whatever the policy says of the tag", async () => {
  const { tailnet } = await rig({ defaultNodeExpiry: 90 * day });
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id, tags: ["tag:web", "tag:db", "tag:web"] });
  const node = must(await tailnet.register(admin, registration(1, 1), key));
  assert.deepEqual([node.userId, node.tags, node.expiry], [null, ["tag:db", "tag:web"], null]);
});

test("a tagged node stays tagged for a user's key; a tagged key takes a user's node over", async () => {
  const { tailnet } = await rig({ defaultNodeExpiry: 90 * day });
  const user = await makeUser(tailnet, "ada");
  const tagged = await makeKey(tailnet, { tags: ["tag:web"] });
  const owned = await makeKey(tailnet, { user: user.id });
  const server = must(await tailnet.register(admin, registration(1, 1), tagged));
  const still = must(await tailnet.register(admin, registration(1, 2, { oldNodeKey: nodeKey(1) }), owned));
  assert.deepEqual([still.id, still.tags, still.userId, still.expiry], [server.id, ["tag:web"], null, null]);

  const laptop = must(await tailnet.register(admin, registration(2, 11), owned));
  assert.notEqual(laptop.expiry, null);
  const converted = must(await tailnet.register(admin, registration(2, 11), tagged));
  assert.deepEqual(
    [converted.id, converted.tags, converted.userId, converted.expiry],
    [laptop.id, ["tag:web"], null, null],
  );
});

test("a tagged key cannot choose between several users' nodes of one machine", async () => {
  const { tailnet } = await rig();
  const [ada, bob] = [await makeUser(tailnet, "ada"), await makeUser(tailnet, "bob")];
  must(await tailnet.register(admin, registration(1, 1), login(ada)));
  must(await tailnet.register(admin, registration(1, 2), login(bob)));
  const tagged = await makeKey(tailnet, { tags: ["tag:web"] });
  const text = "machine key maps to ambiguous node ownership";
  assert.equal(errorOf(await tailnet.register(admin, registration(1, 3), tagged)), text);
  const converted = must(await tailnet.register(admin, registration(1, 3, { oldNodeKey: nodeKey(2) }), tagged));
  assert.deepEqual(converted.tags, ["tag:web"]);
});

test("requested tags must all be permitted, for a login and for a key", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  must(await tailnet.setPolicy(admin, "tag tag:ok"));
  const key = await makeKey(tailnet, { user: user.id });
  const refusal = "requested tags [tag:no] are invalid or not permitted";
  for (const credential of [login(user), key]) {
    const host = { RequestTags: ["tag:ok", "tag:no"] };
    assert.equal(errorOf(await tailnet.register(admin, registration(1, 1, { host }), credential)), refusal);
    const malformed = { RequestTags: ["web"] };
    const refused = await tailnet.register(admin, registration(1, 1, { host: malformed }), credential);
    assert.equal(errorOf(refused), "requested tags [web] are invalid or not permitted");
  }
  const node = must(
    await tailnet.register(admin, registration(1, 1, { host: { RequestTags: ["tag:ok"] } }), login(user)),
  );
  assert.deepEqual([node.userId, node.tags], [null, ["tag:ok"]]);
  const other = must(await tailnet.register(admin, registration(2, 2, { host: { RequestTags: ["tag:ok"] } }), key));
  assert.deepEqual([other.userId, other.tags], [null, ["tag:ok"]]);
});

test("a login that asks for tags it may not have is refused, though the node is valid", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  must(await tailnet.setPolicy(admin, "tag tag:ok"));
  must(await tailnet.register(admin, registration(1, 1), login(user)));
  const host = { RequestTags: ["tag:no"] };
  assert.equal((await tailnet.register(admin, registration(1, 1, { host }), login(user))).ok, false);
});

test("becoming tagged on request clears the expiry; a login without tags gives the node back to its user", async () => {
  const world = await rig({ defaultNodeExpiry: 30 * day });
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  must(await tailnet.setPolicy(admin, "tag tag:ok"));
  const node = must(await tailnet.register(admin, registration(1, 1), login(user)));
  assert.equal(node.expiry, world.now + 30 * day);
  const tagged = must(
    await tailnet.register(
      admin,
      registration(1, 2, { oldNodeKey: nodeKey(1), host: { RequestTags: ["tag:ok"] } }),
      login(user),
    ),
  );
  assert.deepEqual([tagged.id, tagged.tags, tagged.expiry], [node.id, ["tag:ok"], null]);
  const back = must(await tailnet.register(admin, registration(1, 3, { oldNodeKey: nodeKey(2) }), login(user)));
  assert.deepEqual([back.id, back.tags, back.userId, back.expiry], [node.id, [], user.id, world.now + 30 * day]);
});

test("the expiry is the login's word, else the client's wish within the default", async () => {
  const world = await rig({ defaultNodeExpiry: 30 * day });
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const expiryWith = async (machine: number, credential: Credential, expiry?: number) => {
    const wish = expiry === undefined ? {} : { expiry };
    return must(await tailnet.register(admin, registration(machine, machine, wish), credential)).expiry;
  };
  assert.equal(await expiryWith(1, login(user)), world.now + 30 * day);
  assert.equal(await expiryWith(2, login(user), world.now + day), world.now + day);
  assert.equal(await expiryWith(3, login(user), world.now + 99 * day), world.now + 30 * day);
  assert.equal(
    await expiryWith(4, { kind: "approved", user: user.id, method: "oidc", expiry: world.now + 5 }),
    world.now + 5,
  );
  assert.equal(await expiryWith(5, { kind: "approved", user: user.id, method: "oidc", expiry: null }), null);
  const past = await tailnet.register(admin, registration(6, 6, { expiry: world.now - 1 }), login(user));
  assert.equal(past.ok, false);
});

test("a key of a deleted user opens nothing", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  const key = await makeKey(tailnet, { user: user.id });
  const [deleted, registered] = await Promise.all([
    tailnet.deleteUser(admin, user.id),
    tailnet.register(admin, registration(1, 1), key),
  ]);
  assert.equal(deleted.ok, true);
  assert.equal(errorOf(registered), "invalid pre auth key");
});

test("a node that lost its owner in an import gets the one who logs it in", async () => {
  const first = await rig();
  const user = await makeUser(first.tailnet, "ada");
  const node = must(await first.tailnet.register(admin, registration(1, 1), login(user)));
  const row = defined(first.disk.nodes.rows.get(node.id));
  first.disk.nodes.put(node.id, { ...row, record: { ...row.record, userId: null } }, []);
  const { tailnet } = await first.restart();
  const key = await makeKey(tailnet, { user: user.id });
  const owned = must(await tailnet.register(admin, registration(1, 1), key));
  assert.deepEqual([owned.id, owned.userId], [node.id, user.id]);
});

test("addresses that have run out are an error, and nothing is left behind", async () => {
  const { tailnet } = await rig({ prefixV4: prefix("100.64.0.0/30"), prefixV6: null });
  const user = await makeUser(tailnet, "ada");
  for (const machine of [1, 2]) {
    must(await tailnet.register(admin, registration(machine, machine), login(user)));
  }
  assert.equal(errorOf(await tailnet.register(admin, registration(3, 3), login(user))), "failed to allocate IP");
  must(await tailnet.deleteNode(admin, defined(tailnet.nodes()[0]).id));
  const node = must(await tailnet.register(admin, registration(3, 3), login(user)));
  assert.deepEqual([node.givenName, addrText(node.ipv4), node.ipv6], ["host3", "100.64.0.1", null]);
});

test("policy's pools come before the configured prefix", async () => {
  const { tailnet } = await rig();
  const user = await makeUser(tailnet, "ada");
  must(await tailnet.setPolicy(admin, "pool 100.80.0.0/16"));
  const node = must(await tailnet.register(admin, registration(1, 1), login(user)));
  assert.equal(addrText(node.ipv4), "100.80.0.1");
  assert.equal(addrText(node.ipv6), "fd7a:115c:a1e0::1");
});

test("logging out expires the key at once, and deletes an ephemeral node", async () => {
  const world = await rig();
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  const node = must(await tailnet.register(admin, registration(1, 1), login(user)));
  must(await tailnet.logout(machineKey(1), nodeKey(1)));
  assert.equal(tailnet.node(node.id)?.expiry, world.now);
  const key = await makeKey(tailnet, { user: user.id, ephemeral: true });
  const passing = must(await tailnet.register(admin, registration(2, 2), key));
  assert.equal(passing.ephemeral, true);
  must(await tailnet.logout(machineKey(2), nodeKey(2)));
  assert.equal(tailnet.node(passing.id), undefined);
  assert.equal(errorOf(await tailnet.logout(machineKey(2), nodeKey(2))), "node not found");
});

test("a node may shorten its expiry, never lengthen it", async () => {
  const world = await rig({ defaultNodeExpiry: 30 * day });
  const { tailnet } = world;
  const user = await makeUser(tailnet, "ada");
  must(await tailnet.register(admin, registration(1, 1), login(user)));
  const sooner = world.now + day;
  assert.equal(must(await tailnet.shortenExpiry(machineKey(1), nodeKey(1), sooner)).expiry, sooner);
  const text = "extending key is not allowed";
  assert.equal(errorOf(await tailnet.shortenExpiry(machineKey(1), nodeKey(1), sooner + 1)), text);
  world.now += day;
  assert.equal(errorOf(await tailnet.shortenExpiry(machineKey(1), nodeKey(1), sooner - 1)), text);
});
