import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiKeyId, NodeId, PreAuthKeyId, UserId } from "../wire/ids.ts";
import {
  addrText,
  admin,
  defined,
  errorOf,
  linePolicy,
  makeKey,
  makeUser,
  must,
  prefix,
  registration,
  type Rig,
  rig,
  seededSecrets,
  type TestEngine,
  turn,
} from "../../test/tailnet-rig.ts";
import type { Node } from "./model.ts";

async function nodeOf(world: Rig, machine = 1, user = "ada"): Promise<Node> {
  const { tailnet } = world;
  const owner = tailnet.usersByName(user)[0] ?? (await makeUser(tailnet, user));
  const credential = { kind: "approved", user: owner.id, method: "cli" } as const;
  return must(await tailnet.register(admin, registration(machine, machine), credential));
}

test("users: a local name is taken once, a provider's identity once, and names of providers do not count", async () => {
  const { tailnet } = await rig();
  const ada = await makeUser(tailnet, "ada");
  assert.match(errorOf(await tailnet.createUser(admin, { name: "ada" })), /UNIQUE constraint failed: users\.name/);
  const provided = must(await tailnet.createUser(admin, { name: "ada", providerId: "iss/1", provider: "oidc" }));
  assert.match(
    errorOf(await tailnet.createUser(admin, { name: "x", providerId: "iss/1" })),
    /UNIQUE constraint failed: users\.provider_identifier/,
  );
  assert.deepEqual(tailnet.usersByName("ada"), [ada, provided]);
  assert.equal((await tailnet.createUser(admin, { name: "" })).ok, false);
  assert.equal((await tailnet.createUser(admin, { name: "a\u0000b" })).ok, false);
  const bob = await makeUser(tailnet, "bob");
  assert.match(errorOf(await tailnet.renameUser(admin, bob.id, "ada")), /UNIQUE/);
  assert.equal(must(await tailnet.renameUser(admin, bob.id, "bobby")).name, "bobby");
  assert.deepEqual(tailnet.usersByName("bob"), []);
  assert.equal(errorOf(await tailnet.renameUser(admin, 99 as UserId, "x")), "user not found");
});

test("users: two of one name asked for at once are one", async () => {
  const { tailnet } = await rig();
  const results = await Promise.all([1, 2, 3].map(() => tailnet.createUser(admin, { name: "ada" })));
  assert.equal(results.filter(({ ok }) => ok).length, 1);
});

test("users: what an identity provider says is taken over; roles and groups reach the policy", async () => {
  const world = await rig({ compilePolicy: linePolicy });
  const { tailnet } = world;
  must(await tailnet.setPolicy(admin, "tag tag:x"));
  const user = must(await tailnet.createUser(admin, { name: "ada", providerId: "iss/1" }));
  const patch = { displayName: "Ada L.", email: "ada@example.net", groups: ["group:b", "group:a", "group:b"] };
  const updated = must(await tailnet.updateUser(admin, user.id, patch));
  assert.deepEqual([updated.displayName, updated.name, updated.groups], ["Ada L.", "ada", ["group:a", "group:b"]]);
  must(await tailnet.setUserRole(admin, user.id, "auditor"));
  const engine = tailnet.policy as TestEngine;
  const last = defined(engine.applied.at(-1));
  assert.ok(last.kind === "user" && last.user.role === "auditor" && last.user.groups.length === 2);
  const { version } = tailnet;
  must(await tailnet.updateUser(admin, user.id, patch));
  assert.equal(tailnet.version, version, "nothing new is no change");
});

test("users: one with nodes stays; without, it goes with its own keys and nobody else's", async () => {
  const world = await rig();
  const { tailnet } = world;
  const node = await nodeOf(world);
  const [ada] = tailnet.usersByName("ada");
  const bob = await makeUser(tailnet, "bob");
  await makeKey(tailnet, { user: defined(ada).id });
  await makeKey(tailnet, { user: defined(ada).id, tags: ["tag:x"] });
  const others = [await makeKey(tailnet, { user: bob.id }), await makeKey(tailnet, { tags: ["tag:x"] })];
  assert.equal(errorOf(await tailnet.deleteUser(admin, defined(ada).id)), "user not empty: node(s) found");
  must(await tailnet.deleteNode(admin, node.id));
  must(await tailnet.deleteUser(admin, defined(ada).id));
  assert.deepEqual(
    tailnet.preAuthKeys().map(({ id }) => Number(id)),
    others.map(({ id }) => id),
  );
  assert.equal(errorOf(await tailnet.deleteUser(admin, defined(ada).id)), "user not found");
});

test("pre-auth keys need an owner or tags of the right form", async () => {
  const { tailnet } = await rig();
  const make = async (tags: readonly string[], user: UserId | null = null) =>
    errorOf(await tailnet.createPreAuthKey(admin, { user, reusable: false, ephemeral: false, tags, expiration: null }));
  assert.equal(await make([]), "auth-key must be either tagged or owned by user");
  assert.equal(await make(["web"]), "tag must start with the string 'tag:'");
  assert.equal(await make(["tag:Web"]), "tag should be lowercase");
  assert.equal(await make(["tag:we b"]), "tags must not contain spaces");
  assert.equal(await make(["tag:web"], 9 as UserId), "user not found");
  assert.equal(await make(["tag:web"]), "no error");
});

test("pre-auth keys: the form of the secret, and only its hash is kept", async () => {
  const world = await rig();
  const { secret } = await makeKey(world.tailnet, { tags: ["tag:web"] });
  assert.match(secret, /^hskey-auth-[A-Za-z0-9_-]{12}-[A-Za-z0-9_-]{64}$/);
  const kept = JSON.stringify([...world.disk.preAuthKeys.rows.values(), world.disk.audit]);
  assert.equal(kept.includes(secret.slice(-64)), false);
});

test("pre-auth keys: expiring and deleting are silent for one that does not exist, as headscale's are", async () => {
  const world = await rig();
  const { tailnet } = world;
  must(await tailnet.expirePreAuthKey(admin, 9 as PreAuthKeyId));
  must(await tailnet.deletePreAuthKey(admin, 9 as PreAuthKeyId));
  assert.deepEqual(world.disk.audit, []);
});

test("pre-auth keys: a deleted key is forgotten by its nodes, also after a restart", async () => {
  const world = await rig();
  const { tailnet } = world;
  const key = await makeKey(tailnet, { tags: ["tag:web"] });
  const nodes = await Promise.all(
    [1, 2].map(async (machine) => must(await tailnet.register(admin, registration(machine, machine), key))),
  );
  must(await tailnet.deletePreAuthKey(admin, key.id as PreAuthKeyId));
  for (const reader of [tailnet, (await world.restart()).tailnet]) {
    assert.deepEqual(
      nodes.map(({ id }) => reader.node(id)?.authKeyId),
      [null, null],
    );
  }
});

test("keys imported from headscale open: plaintext, and bcrypt once, then by a fast hash", async () => {
  const first = await rig();
  const user = await makeUser(first.tailnet, "ada");
  const legacy = await makeKey(first.tailnet, { user: user.id });
  const slow = await makeKey(first.tailnet, { user: user.id });
  const { key: apiKey, secret: apiSecret } = must(await first.tailnet.createApiKey(admin, { expiration: null }));
  const { preAuthKeys, apiKeys } = first.disk;
  const tools = seededSecrets(1);
  const plain = "0123456789abcdef".repeat(3);
  const legacyRow = defined(preAuthKeys.rows.get(legacy.id));
  const legacySecret = { algorithm: "sha256-legacy", hash: tools.sha256(plain) } as const;
  preAuthKeys.put(legacy.id, { key: { ...legacyRow.key, prefix: "" }, secret: legacySecret }, []);
  const slowRow = defined(preAuthKeys.rows.get(slow.id));
  const bcrypt = (text: string) => ({ algorithm: "bcrypt", hash: `bcrypt(${text})` }) as const;
  preAuthKeys.put(slow.id, { key: slowRow.key, secret: bcrypt(slow.secret.slice(-64)) }, []);
  apiKeys.put(apiKey.id, { key: { ...apiKey, prefix: "abcdefg" }, secret: bcrypt("secret") }, []);

  const world = await first.restart();
  const { tailnet } = world;
  must(await tailnet.register(admin, registration(1, 1), { kind: "auth-key", secret: plain }));
  must(await tailnet.register(admin, registration(2, 2), slow));
  assert.equal(tailnet.verifyApiKey("abcdefg.wrong"), undefined);
  assert.equal(tailnet.verifyApiKey("abcdefg.secret")?.id, apiKey.id);
  assert.equal(tailnet.verifyApiKey(apiSecret), undefined, "its old prefix is gone");
  await tailnet.close();
  assert.equal(world.disk.preAuthKeys.rows.get(slow.id)?.secret.algorithm, "sha256");
  assert.equal(world.disk.apiKeys.rows.get(apiKey.id)?.secret.algorithm, "sha256");
  const again = await world.restart();
  assert.equal(again.tailnet.verifyApiKey("abcdefg.secret")?.id, apiKey.id);
  must(await again.tailnet.register(admin, registration(3, 3), slow));
});

test("guesses at an imported key cost a few slow hashes, not one each", async () => {
  let slow = 0;
  const first = await rig();
  const { key } = must(await first.tailnet.createApiKey(admin, { expiration: null }));
  first.disk.apiKeys.put(
    key.id,
    { key: { ...key, prefix: "abcdefg" }, secret: { algorithm: "bcrypt", hash: "x" } },
    [],
  );
  const secrets = { ...seededSecrets(3), bcryptVerify: () => ((slow += 1), false) };
  const { tailnet } = await rig({ disk: first.disk, secrets });
  for (let guess = 0; guess < 1000; guess++) {
    assert.equal(tailnet.verifyApiKey(`abcdefg.${guess}`), undefined);
    assert.equal(tailnet.verifyApiKey("abcdefg.again"), undefined);
  }
  assert.equal(slow, 3);
});

test("API keys open until they expire or are deleted; their last use is noted", async () => {
  const world = await rig();
  const { tailnet } = world;
  const { key, secret } = must(await tailnet.createApiKey(admin, { expiration: world.now + 1000, description: "ci" }));
  assert.match(secret, /^hskey-api-[A-Za-z0-9_-]{12}-[A-Za-z0-9_-]{64}$/);
  assert.equal(tailnet.verifyApiKey(secret)?.id, key.id);
  for (const wrong of ["", "x", secret.slice(0, -1), `${secret}A`, secret.replace("hskey-api", "hskey-aut")]) {
    assert.equal(tailnet.verifyApiKey(wrong), undefined);
  }
  await turn();
  assert.equal(tailnet.apiKeys()[0]?.lastSeen, world.now);
  world.now += 1000;
  assert.equal(tailnet.verifyApiKey(secret), undefined);
  const second = must(await tailnet.createApiKey(admin, { expiration: null }));
  must(await tailnet.expireApiKey(admin, second.key.id));
  assert.equal(tailnet.verifyApiKey(second.secret), undefined);
  must(await tailnet.deleteApiKey(admin, second.key.id));
  for (const refused of [
    await tailnet.expireApiKey(admin, 9 as ApiKeyId),
    await tailnet.deleteApiKey(admin, second.key.id),
  ]) {
    assert.equal(errorOf(refused), "record not found");
  }
});

test("renaming a node takes a valid label that is free", async () => {
  const world = await rig();
  const { tailnet } = world;
  const [one, two] = [await nodeOf(world, 1), await nodeOf(world, 2)];
  assert.equal(must(await tailnet.renameNode(admin, one.id, "Web-1")).givenName, "web-1");
  assert.equal(errorOf(await tailnet.renameNode(admin, two.id, "web-1")), "node name is not unique: web-1");
  assert.match(
    errorOf(await tailnet.renameNode(admin, two.id, "bad name")),
    /not a valid DNS label.*invalid character ' '/,
  );
  assert.equal((await tailnet.renameNode(admin, two.id, "")).ok, false);
  assert.equal(must(await tailnet.renameNode(admin, one.id, "web-1")).givenName, "web-1");
  assert.equal(must(await tailnet.renameNode(admin, two.id, "host1")).givenName, "host1", "the old name is free again");
  const results = await Promise.all([one, two].map(({ id }) => tailnet.renameNode(admin, id, "both")));
  assert.deepEqual(results.map(errorOf), ["no error", "node name is not unique: both"]);
});

test("a full name that is too long for DNS is refused", async () => {
  const world = await rig({ baseDomain: `${"a".repeat(60)}.`.repeat(4).slice(0, -1) });
  const node = await nodeOf(world);
  assert.match(errorOf(await world.tailnet.renameNode(admin, node.id, "b".repeat(30))), /too long/);
  assert.equal(must(await world.tailnet.renameNode(admin, node.id, "b".repeat(9))).givenName, "b".repeat(9));
});

test("tags replace the owner, keep the expiry, must exist and cannot be removed", async () => {
  const world = await rig({ defaultNodeExpiry: 1000 });
  const { tailnet } = world;
  const node = await nodeOf(world);
  must(await tailnet.setPolicy(admin, "tag tag:a\ntag tag:b"));
  const tagged = must(await tailnet.setTags(admin, node.id, ["tag:b", "tag:a", "tag:b"]));
  assert.deepEqual([tagged.userId, tagged.tags, tagged.expiry], [null, ["tag:a", "tag:b"], node.expiry]);
  assert.equal(
    errorOf(await tailnet.setTags(admin, node.id, ["tag:q"])),
    "requested tags [tag:q] are invalid or not permitted",
  );
  assert.equal(
    errorOf(await tailnet.setTags(admin, node.id, [])),
    "cannot remove all tags from a node - tagged nodes must have at least one tag",
  );
  assert.equal(errorOf(await tailnet.setTags(admin, node.id, ["x"])), "tag must start with the string 'tag:'");
  must(await tailnet.setPolicy(admin, "tag tag:b"));
  assert.deepEqual(tailnet.node(node.id)?.tags, ["tag:a", "tag:b"], "a new policy takes no tags away");
  must(await tailnet.deleteUser(admin, defined(tailnet.usersByName("ada")[0]).id));
});

test("a node moves to a user who has none on that machine", async () => {
  const world = await rig();
  const { tailnet } = world;
  const node = await nodeOf(world);
  const bob = await makeUser(tailnet, "bob");
  assert.equal(must(await tailnet.moveNode(admin, node.id, bob.id)).userId, bob.id);
  const second = await nodeOf(world, 2);
  assert.equal(errorOf(await tailnet.moveNode(admin, second.id, 99 as UserId)), "user not found");
  assert.equal(errorOf(await tailnet.moveNode(admin, 99 as NodeId, bob.id)), "node not found");
  const key = await makeKey(tailnet, { tags: ["tag:x"] });
  const tagged = must(await tailnet.register(admin, registration(3, 3), key));
  assert.equal((await tailnet.moveNode(admin, tagged.id, bob.id)).ok, false);
});

test("deleting a node frees its name, addresses and keys, and tells its last record", async () => {
  const world = await rig();
  const { tailnet } = world;
  const node = await nodeOf(world);
  tailnet.sessionOpened(node.id);
  must(await tailnet.deleteNode(admin, node.id));
  const change = defined(world.batches.at(-1)?.changes[0]);
  assert.ok(change.kind === "node-removed" && change.last.givenName === "host1" && change.last.online);
  assert.equal(errorOf(await tailnet.deleteNode(admin, node.id)), "node not found");
  const again = await nodeOf(world);
  assert.equal(again.givenName, "host1");
  assert.notEqual(again.id, node.id);
  tailnet.sessionClosed(node.id);
  tailnet.tick();
});

test("backfilling gives and takes addresses as the prefixes say", async () => {
  const first = await rig({ prefixV6: null });
  const node = await nodeOf(first);
  const second = await rig({ disk: first.disk });
  assert.deepEqual(must(await second.tailnet.backfillAddresses(admin)), [
    `assigned IPv6 "fd7a:115c:a1e0::1" to Node(${node.id}) "host1"`,
  ]);
  assert.deepEqual(must(await second.tailnet.backfillAddresses(admin)), []);
  const third = await rig({ disk: first.disk, prefixV4: null });
  assert.deepEqual(must(await third.tailnet.backfillAddresses(admin)), [
    `removing IPv4 "100.64.0.1" from Node(${node.id}) "host1"`,
  ]);
  const after = defined(third.tailnet.node(node.id));
  assert.deepEqual([addrText(after.ipv4), addrText(after.ipv6)], ["", "fd7a:115c:a1e0::1"]);
});

test("a policy that does not compile changes nothing; one that does is kept with its history", async () => {
  const world = await rig();
  const { tailnet } = world;
  const before = tailnet.policy;
  assert.equal(errorOf(await tailnet.setPolicy(admin, "nonsense")), "unknown: nonsense");
  assert.equal(tailnet.policy, before);
  const first = must(await tailnet.setPolicy(admin, "tag tag:a"));
  const second = must(await tailnet.setPolicy(admin, "tag tag:b"));
  assert.deepEqual([first.id, second.id, second.setBy, second.setAt], [1, 2, "cli:root", world.now]);
  assert.deepEqual(await tailnet.policyHistory(), [second, first]);
  assert.equal(tailnet.policyVersion, second);
  assert.equal(tailnet.policy.tagExists("tag:b"), true);
  must(await tailnet.setPolicy(admin, " \n"));
  assert.equal(tailnet.policy.tagExists("tag:anything"), true, "an empty policy is none");
});

test("the engine hears of every node and user that is new, changed or gone, and nothing else", async () => {
  const world = await rig();
  const { tailnet } = world;
  must(await tailnet.setPolicy(admin, "tag tag:a"));
  const engine = tailnet.policy as TestEngine;
  const node = await nodeOf(world);
  tailnet.updatePresence(node.id, {
    endpoints: ["192.0.2.1:1"],
    hostinfo: { ...node.hostinfo, IPNVersion: "1.98.3-t1" },
  });
  tailnet.sessionOpened(node.id);
  must(await tailnet.renameNode(admin, node.id, "new"));
  must(await tailnet.deleteNode(admin, node.id));
  const heard = engine.applied.map((change) =>
    change.kind === "node" ? `${change.node.name} ${String(change.node.posture["node:tsVersion"])}` : change.kind,
  );
  assert.deepEqual(heard, ["user", "host1 undefined", "host1 1.98.3", "new 1.98.3", "node-removed"]);
});

test("an engine that is compiled while nodes change is not a step behind when it comes into force", async () => {
  const gate: { open?: () => void } = {};
  let waits = false;
  const world = await rig({
    store: { disk: () => (waits ? new Promise<void>((resolve) => (gate.open = resolve)) : Promise.resolve()) },
  });
  const { tailnet } = world;
  const node = await nodeOf(world);
  waits = true;
  const set = tailnet.setPolicy(admin, "tag tag:a");
  await turn();
  tailnet.updatePresence(node.id, { hostinfo: { ...node.hostinfo, OS: "plan9" } });
  waits = false;
  defined(gate.open)();
  must(await set);
  const last = defined((tailnet.policy as TestEngine).applied.at(-1));
  assert.ok(last.kind === "node" && last.node.posture["node:os"] === "plan9");
});

test("a stored policy that no longer compiles gives way to the last that does, and says so", async () => {
  const first = await rig();
  must(await first.tailnet.setPolicy(admin, "tag tag:good"));
  first.disk.policies.put(2, { id: 2, text: "nonsense", setAt: 1, setBy: "x" }, []);
  const { tailnet } = await first.restart();
  assert.equal(tailnet.policyProblem, "policy 2 cannot be used (unknown: nonsense); policy 1 is in force");
  assert.equal(tailnet.policy.tagExists("tag:good"), true);
  must(await tailnet.setPolicy(admin, "tag tag:new"));
  assert.equal(tailnet.policyProblem, undefined);
});

test("when no stored policy compiles, nothing is allowed rather than everything", async () => {
  const first = await rig();
  first.disk.policies.put(1, { id: 1, text: "nonsense", setAt: 1, setBy: "x" }, []);
  const closed = linePolicy("", { users: [], nodes: [] });
  assert.ok(closed.ok);
  const { tailnet } = await rig({ disk: first.disk, closedPolicy: () => closed.engine });
  assert.equal(tailnet.policy, closed.engine);
  assert.match(tailnet.policyProblem ?? "", /nothing is allowed/);
});

test("every command leaves a line in the audit log: who, what, and from what to what", async () => {
  const world = await rig();
  const { tailnet } = world;
  const actor = { kind: "api-key", id: "abc", from: "192.0.2.9" } as const;
  const user = must(await tailnet.createUser(actor, { name: "ada" }));
  must(await tailnet.renameUser(actor, user.id, "eve"));
  assert.equal((await tailnet.createUser(actor, { name: "eve" })).ok, false);
  const entries = await tailnet.auditLog({ limit: 10 });
  assert.deepEqual(
    entries.map(({ at, actorKind, actorId, from, action, target }) => [at, actorKind, actorId, from, action, target]),
    [
      [world.now, "api-key", "abc", "192.0.2.9", "user.rename", `user:${user.id}`],
      [world.now, "api-key", "abc", "192.0.2.9", "user.create", `user:${user.id}`],
    ],
  );
  assert.equal(JSON.parse(defined(entries[0]).before).name, "ada");
  assert.equal(JSON.parse(defined(entries[0]).after).name, "eve");
});

test("one configured family is enough", async () => {
  const world = await rig({ prefixV4: null, prefixV6: prefix("fd7a:115c:a1e0::/48") });
  const node = await nodeOf(world);
  assert.deepEqual([node.ipv4, addrText(node.ipv6)], [null, "fd7a:115c:a1e0::1"]);
});
