// Golden tests of the REST paths that headscale does not have.
import assert from "node:assert/strict";
import test from "node:test";
import { created, infra, inWorld, nodeGolden, refused } from "../../test/rest-goldens.ts";

test("a node moves to another user and gets another address", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await rest("POST", "/api/v1/user", { name: "alice" });
    await join(1, 1);
    await join(1, 2);
    const alice = { ...infra, id: "2", name: "alice" };
    const moved = await rest("POST", "/api/v1/node/1/user", { user: "2" });
    assert.deepEqual(moved.body, { node: nodeGolden(1, { user: alice }) });
    refused(await rest("POST", "/api/v1/node/1/user", { user: 9 }), 404, 5, "user not found");
    const path = "/api/v1/node/1/addresses";
    const readdressed = await rest("POST", path, { ipv4: "100.64.0.99", ipv6: "fd7a:115c:a1e0::99" });
    const ipAddresses = ["100.64.0.99", "fd7a:115c:a1e0::99"];
    assert.deepEqual(readdressed.body, { node: nodeGolden(1, { user: alice, ipAddresses }) });
    refused(await rest("POST", path, { ipv4: "100.64.0.2" }), 409, 6, "100.64.0.2 is in use by another node");
    for (const ipv4 of ["10.0.0.1", "100.100.100.100", "100.64.0.0", "100.127.255.255"]) {
      refused(await rest("POST", path, { ipv4 }), 400, 3, `${ipv4} is not an address that a node here may have`);
    }
    for (const body of [{}, { ipv4: "fd7a::1" }, { ipv6: "nonsense" }]) {
      refused(await rest("POST", path, body), 400, 3, /give an IPv4 address, an IPv6 address, or both/);
    }
    await join(1, 3);
    const freed = (await rest("POST", "/api/v1/node/3/addresses", { ipv4: "100.64.0.1" })).body;
    assert.deepEqual((freed as { node: { ipAddresses: string[] } }).node.ipAddresses[0], "100.64.0.1");
  }));

test("a node's details", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await join(1, 1, {
      Hostname: "host-1",
      OS: "linux",
      OSVersion: "6.1",
      IPNVersion: "1.80.3",
      extra: { Cloud: "x" },
    });
    const details = (await rest("GET", "/api/v1/node/1/details")).body as Record<string, unknown>;
    assert.deepEqual(details["node"], nodeGolden(1));
    assert.deepEqual(
      [details["os"], details["osVersion"], details["clientVersion"], details["capabilityVersion"]],
      ["linux", "6.1", "1.80.3", 113],
    );
    assert.deepEqual(details["hostinfo"], {
      Cloud: "x",
      Hostname: "host-1",
      OS: "linux",
      OSVersion: "6.1",
      IPNVersion: "1.80.3",
    });
    refused(await rest("GET", "/api/v1/node/9/details"), 404, 5, "node not found");
  }));

test("roles", () =>
  inWorld(async ({ rest }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    assert.deepEqual((await rest("POST", "/api/v1/user/1/role", { role: "network-admin" })).body, {
      user: { ...infra, role: "network-admin" },
    });
    assert.deepEqual((await rest("POST", "/api/v1/user/1/role", { role: "member" })).body, { user: infra });
    refused(await rest("POST", "/api/v1/user/1/role", { role: "king" }), 400, 3, /unknown role "king"/);
  }));

test("who waits", () =>
  inWorld(async ({ rest, pending, registration }) => {
    const id = pending.open(registration(1), "192.0.2.1");
    const { waiting } = (await rest("GET", "/api/v1/auth")).body as { waiting: Record<string, unknown>[] };
    assert.equal(waiting.length, 1);
    assert.deepEqual(waiting[0], {
      authId: id,
      kind: "MACHINE",
      createdAt: created,
      expiresAt: "2026-01-02T03:19:05Z",
      from: "192.0.2.1",
      hostname: "host-1",
      os: "linux",
      machineKey: `mkey:${"01".repeat(32)}`,
      nodeKey: `nodekey:${"01".repeat(32)}`,
      requestedTags: [],
      sourceNode: "0",
      destinationNode: "0",
      localUser: "",
    });
  }));

test("policy history, rollback and layout", () =>
  inWorld(async ({ rest }) => {
    await rest("PUT", "/api/v1/policy", { policy: "{/*1*/}" });
    await rest("PUT", "/api/v1/policy", { policy: "{/*2*/}" });
    const history = async (): Promise<unknown> => {
      const { revisions } = (await rest("GET", "/api/v1/policy/history")).body as {
        revisions: { id: string; policy: string }[];
      };
      return revisions.map(({ id, policy }) => [id, policy]);
    };
    assert.deepEqual(await history(), [
      ["2", "{/*2*/}"],
      ["1", "{/*1*/}"],
    ]);
    assert.deepEqual((await rest("POST", "/api/v1/policy/rollback", { id: 1 })).body, {
      policy: "{/*1*/}",
      updatedAt: created,
    });
    assert.equal(((await rest("GET", "/api/v1/policy")).body as { policy: string }).policy, "{/*1*/}");
    refused(await rest("POST", "/api/v1/policy/rollback", { id: 9 }), 404, 5, "no policy 9 in the history");
    const formatted = await rest("POST", "/api/v1/policy/format", { policy: '{"acls":[ ],}' });
    assert.deepEqual(formatted.body, { policy: '{"acls": []}\n' });
    refused(await rest("POST", "/api/v1/policy/format", { policy: "{" }), 400, 3, /^hujson: line 1, column 2: /);
  }));

test("the audit log names who did what, page by page, and no secrets", () =>
  inWorld(async ({ rest, apiKey }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await rest("POST", "/api/v1/user/1/rename/ops");
    const made = await rest("POST", "/api/v1/preauthkey", { user: 1 });
    const secret = (made.body as { preAuthKey: { key: string } }).preAuthKey.key;
    const answer = await rest("GET", "/api/v1/audit?limit=3");
    const { entries } = answer.body as { entries: Record<string, unknown>[] };
    assert.deepEqual(
      entries.map((entry) => entry["action"]),
      ["auth-key.create", "user.rename", "user.create"],
    );
    const prefix = apiKey.slice("hskey-api-".length, "hskey-api-".length + 12);
    assert.deepEqual(
      [entries[1]?.["actorKind"], entries[1]?.["actorId"], entries[1]?.["from"]],
      ["api-key", prefix, "127.0.0.1"],
    );
    assert.partialDeepStrictEqual(entries[1], { after: { name: "ops" } });
    const older = (await rest("GET", `/api/v1/audit?before=${String(entries[2]?.["id"])}`)).body as {
      entries: unknown[];
    };
    assert.equal(older.entries.length, 1);
    assert.ok(!answer.text.includes(secret) && !answer.text.includes(secret.slice(-64)));
  }));

test("the policy is explained and previewed", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await join(1, 1);
    await join(1, 2);
    const policy = '{"acls": [{"action": "accept", "src": ["infra@"], "dst": ["100.64.0.2:22"]}]}';
    const ask = async (dst: string): Promise<unknown> => {
      const { answers } = (await rest("POST", "/api/v1/policy/explain", { src: "host-1", dst })).body as {
        answers: { allowed: boolean; by: { line: number }[]; misses: { missing: string }[] }[];
      };
      return answers.map(({ allowed, by, misses }) => [
        allowed,
        by.map(({ line }) => line),
        misses.map(({ missing }) => missing),
      ]);
    };
    const [[allowedWithout] = []] = (await ask("host-2:22")) as unknown[][];
    assert.equal(allowedWithout, true, "without a policy everything is allowed");
    await rest("PUT", "/api/v1/policy", { policy });
    assert.deepEqual(await ask("host-2:22"), [[true, [1], []]]);
    assert.deepEqual(await ask("host-2:80"), [[false, [], ["port"]]]);
    refused(await rest("POST", "/api/v1/policy/explain", { src: "host-1", dst: "nobody" }), 400, 3, /is no node/);

    const more = await rest("POST", "/api/v1/policy/preview", { policy: policy.replace(":22", ":22,80") });
    const { access, pairsGaining, pairsLosing } = more.body as {
      access: { gained: string[]; dst: { nodes: string[] } }[];
      pairsGaining: number;
      pairsLosing: number;
    };
    assert.deepEqual([pairsGaining, pairsLosing], [1, 0]);
    assert.deepEqual(
      access.map(({ gained, dst }) => [gained, dst.nodes]),
      [[["80"], ["host-2"]]],
    );
    refused(await rest("POST", "/api/v1/policy/preview", { policy: "{" }), 400, 3, /^parsing policy: /);
    assert.equal(((await rest("GET", "/api/v1/policy")).body as { policy: string }).policy, policy);
  }));
