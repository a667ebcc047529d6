// Golden tests of every REST path of headscale's, against the real model and a real listener.
import assert from "node:assert/strict";
import test from "node:test";
import type { RestAnswer } from "../../test/admin-world.ts";
import { created, infra, inWorld, nodeGolden, refused } from "../../test/rest-goldens.ts";

test("without a good key every path under /api is Unauthorized, in plain text", () =>
  inWorld(async ({ rest }) => {
    for (const path of ["/api/v1/user", "/api/v1/nothing", "/api/v2", "/api"]) {
      for (const key of [null, "hskey-api-nonsense", ""]) {
        const answer = await rest("GET", path, undefined, key);
        assert.deepEqual([answer.status, answer.text], [401, "Unauthorized"], `${path} ${key}`);
        assert.match(answer.contentType, /^text\/plain/);
      }
    }
  }));

test("an expired key is no key", () =>
  inWorld(async ({ rest, tailnet, clock }) => {
    const actor = { kind: "server", id: "", from: "" } as const;
    const made = await tailnet.createApiKey(actor, { expiration: clock.ms + 1000 });
    assert.ok(made.ok);
    assert.equal((await rest("GET", "/api/v1/user", undefined, made.value.secret)).status, 200);
    clock.ms += 1000;
    assert.equal((await rest("GET", "/api/v1/user", undefined, made.value.secret)).status, 401);
  }));

test("unknown paths are 404 code 5, wrong methods 501 code 12, paths outside v1 a plain 404", () =>
  inWorld(async ({ rest }) => {
    refused(await rest("GET", "/api/v1/machine"), 404, 5, "Not Found");
    refused(await rest("GET", "/api/v1/"), 404, 5, "Not Found");
    assert.equal((await rest("GET", "/api/v1")).text, "404 page not found\n");
    refused(await rest("PATCH", "/api/v1/user"), 501, 12, "Method Not Allowed");
    refused(await rest("GET", "/api/v1/node/1/tags"), 501, 12, "Method Not Allowed");
    const outside = await rest("GET", "/api/v2/tailnet");
    assert.deepEqual([outside.status, outside.text], [404, "404 page not found\n"]);
  }));

test("bodies that are no JSON, of wrong types or too large are refused", () =>
  inWorld(async ({ rest }) => {
    refused(await rest("POST", "/api/v1/user", "{"), 400, 3, /^syntax error in the request body/);
    refused(await rest("POST", "/api/v1/user", { name: 5 }), 400, 3, /field name: expected a string, not 5/);
    refused(await rest("POST", "/api/v1/user", "[]"), 400, 3, /expected an object/);
    refused(await rest("POST", "/api/v1/user", "x".repeat(5 * 1024 * 1024)), 413, 8, "request body too large");
    refused(await rest("GET", "/api/v1/node/abc"), 400, 3, /type mismatch, parameter: node_id/);
  }));

test("GET /health", () =>
  inWorld(async ({ rest }) => {
    const answer = await rest("GET", "/api/v1/health");
    assert.deepEqual([answer.status, answer.body], [200, { databaseConnectivity: true }]);
  }));

test("GET /health is 500 while the database is down", () =>
  inWorld(async ({ rest }) => assert.equal((await rest("GET", "/api/v1/health")).status, 500), {
    databaseHealthy: () => Promise.resolve(false),
  }));

test("users: create, list, find, rename, delete", () =>
  inWorld(async ({ rest }) => {
    const first = await rest("POST", "/api/v1/user", { name: "infra" });
    assert.deepEqual([first.status, first.body], [200, { user: infra }]);
    const second = await rest("POST", "/api/v1/user", {
      name: "alice",
      display_name: "Alice",
      email: "alice@example.com",
      pictureUrl: "https://example.com/a.png",
      unknown: true,
    });
    const alice = {
      ...infra,
      id: "2",
      name: "alice",
      displayName: "Alice",
      email: "alice@example.com",
      profilePicUrl: "https://example.com/a.png",
    };
    assert.deepEqual(second.body, { user: alice });
    refused(
      await rest("POST", "/api/v1/user", { name: "infra" }),
      500,
      13,
      /^creating user: .*UNIQUE constraint failed/,
    );

    assert.deepEqual((await rest("GET", "/api/v1/user")).body, { users: [infra, alice] });
    assert.deepEqual((await rest("GET", "/api/v1/user?name=alice")).body, { users: [alice] });
    assert.deepEqual((await rest("GET", "/api/v1/user?email=alice%40example.com")).body, { users: [alice] });
    assert.deepEqual((await rest("GET", "/api/v1/user?id=1")).body, { users: [infra] });
    assert.deepEqual((await rest("GET", "/api/v1/user?id=1&name=alice")).body, { users: [alice] }, "name wins over id");
    assert.deepEqual((await rest("GET", "/api/v1/user?name=nobody")).body, { users: [] });

    const renamed = await rest("POST", "/api/v1/user/2/rename/alison%20b");
    assert.deepEqual(renamed.body, { user: { ...alice, name: "alison b" } });
    refused(await rest("POST", "/api/v1/user/99/rename/x"), 500, 2, "user not found");

    assert.deepEqual((await rest("DELETE", "/api/v1/user/2")).body, {});
    refused(await rest("DELETE", "/api/v1/user/2"), 500, 2, "user not found");
  }));

test("a user who owns a node is not deleted", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await join(1, 1);
    refused(await rest("DELETE", "/api/v1/user/1"), 500, 2, "user not empty: node(s) found");
  }));

test("pre-auth keys: the whole key once, then masked", () =>
  inWorld(async ({ rest }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    const made = await rest("POST", "/api/v1/preauthkey", {
      user: "1",
      reusable: true,
      expiration: "2026-01-03T00:00:00Z",
    });
    const { preAuthKey } = made.body as { preAuthKey: { key: string } };
    assert.match(preAuthKey.key, /^hskey-auth-[A-Za-z0-9_-]{12}-[A-Za-z0-9_-]{64}$/);
    const golden = {
      user: infra,
      id: "1",
      key: preAuthKey.key,
      reusable: true,
      ephemeral: false,
      used: false,
      expiration: "2026-01-03T00:00:00Z",
      createdAt: created,
      aclTags: [],
    };
    assert.deepEqual(preAuthKey, golden);
    const masked = { ...golden, key: `${preAuthKey.key.slice(0, "hskey-auth-".length + 12)}-***` };
    assert.deepEqual((await rest("GET", "/api/v1/preauthkey")).body, { preAuthKeys: [masked] });

    assert.deepEqual((await rest("POST", "/api/v1/preauthkey/expire", { id: 1 })).body, {});
    const listed = (await rest("GET", "/api/v1/preauthkey")).body as { preAuthKeys: { expiration: string }[] };
    assert.equal(listed.preAuthKeys[0]?.expiration, created);
    assert.deepEqual((await rest("DELETE", "/api/v1/preauthkey?id=1")).body, {});
    assert.deepEqual((await rest("GET", "/api/v1/preauthkey")).body, { preAuthKeys: [] });
  }));

test("ending or deleting a pre-auth key that is not there succeeds, as scripts expect", () =>
  inWorld(async ({ rest }) => {
    assert.deepEqual((await rest("POST", "/api/v1/preauthkey/expire", { id: "9" })).body, {});
    assert.deepEqual((await rest("DELETE", "/api/v1/preauthkey?id=9")).body, {});
  }));

test("a key without expiration is good for the command line's default, not dead", () =>
  inWorld(async ({ rest }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    const expirationOf = async (input: object): Promise<unknown> => {
      const answer = await rest("POST", "/api/v1/preauthkey", { user: 1, ...input });
      return (answer.body as { preAuthKey: { expiration: unknown } }).preAuthKey.expiration;
    };
    assert.equal(await expirationOf({}), "2026-01-02T04:04:05Z");
    assert.equal(await expirationOf({ expiration: "0001-01-01T00:00:00Z" }), "2026-01-02T04:04:05Z");
    assert.equal(await expirationOf({ neverExpires: true }), null);
  }));

test("pre-auth keys need an owner or tags, and tags of the right form", () =>
  inWorld(async ({ rest }) => {
    refused(await rest("POST", "/api/v1/preauthkey", {}), 500, 2, "auth-key must be either tagged or owned by user");
    refused(await rest("POST", "/api/v1/preauthkey", { user: 7 }), 500, 2, "user not found");
    const tagged = await rest("POST", "/api/v1/preauthkey", { aclTags: ["tag:web"] });
    const { preAuthKey } = tagged.body as { preAuthKey: { user: unknown; aclTags: unknown } };
    assert.deepEqual([preAuthKey.user, preAuthKey.aclTags], [null, ["tag:web"]]);
    for (const [tag, text] of [
      ["web", "tag must start with the string 'tag:'"],
      ["tag:Web", "tag should be lowercase"],
      ["tag:a b", "tags must not contain spaces"],
    ] as const) {
      refused(await rest("POST", "/api/v1/preauthkey", { aclTags: [tag] }), 400, 3, text);
    }
  }));

test("nodes: list, one, of a user, delete", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await rest("POST", "/api/v1/user", { name: "alice" });
    await join(1, 1);
    await join(1, 2);
    assert.deepEqual((await rest("GET", "/api/v1/node")).body, { nodes: [nodeGolden(1), nodeGolden(2)] });
    assert.deepEqual((await rest("GET", "/api/v1/node?user=infra")).body, { nodes: [nodeGolden(1), nodeGolden(2)] });
    assert.deepEqual((await rest("GET", "/api/v1/node?user=alice")).body, { nodes: [] });
    refused(await rest("GET", "/api/v1/node?user=nobody"), 500, 2, "user not found");
    assert.deepEqual((await rest("GET", "/api/v1/node/2")).body, { node: nodeGolden(2) });
    refused(await rest("GET", "/api/v1/node/9"), 404, 5, "node not found");
    assert.deepEqual((await rest("DELETE", "/api/v1/node/2")).body, {});
    refused(await rest("DELETE", "/api/v1/node/2"), 404, 5, "node not found");
  }));

test("node tags: a tagged node belongs to tagged-devices", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await join(1, 1);
    const tags = "/api/v1/node/1/tags";
    const taggedDevices = {
      ...infra,
      id: "2147455555",
      name: "tagged-devices",
      displayName: "Tagged Devices",
      createdAt: "0001-01-01T00:00:00Z",
    };
    const golden = nodeGolden(1, { user: taggedDevices, tags: ["tag:a", "tag:b"] });
    assert.deepEqual((await rest("POST", tags, { tags: ["tag:b", "tag:a", "tag:b"] })).body, { node: golden });
    assert.deepEqual((await rest("GET", "/api/v1/node/1")).body, { node: golden });
    assert.deepEqual((await rest("GET", "/api/v1/node?user=infra")).body, { nodes: [] });
    refused(await rest("POST", tags, { tags: [] }), 400, 3, /^cannot remove all tags from a node/);
    refused(await rest("POST", tags, { tags: ["web"] }), 500, 2, "tag must start with the string 'tag:'");
    refused(await rest("POST", "/api/v1/node/9/tags", { tags: ["tag:a"] }), 404, 5, "node not found");
  }));

test("routes: approved beyond what is advertised, exit routes in pairs, served when advertised", () =>
  inWorld(async ({ rest, join, tailnet }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    const node = await join(1, 1, { Hostname: "host-1", RoutableIPs: ["10.0.0.0/24", "0.0.0.0/0", "::/0"] });
    tailnet.sessionOpened(node.id);
    const path = "/api/v1/node/1/approve_routes";
    const answer = await rest("POST", path, { routes: ["10.0.0.0/24", "192.168.0.0/16", "::/0"] });
    const routes = answer.body as { node: Record<string, unknown> };
    assert.deepEqual(routes.node["approvedRoutes"], ["0.0.0.0/0", "10.0.0.0/24", "192.168.0.0/16", "::/0"]);
    assert.deepEqual(routes.node["availableRoutes"], ["10.0.0.0/24", "0.0.0.0/0", "::/0"]);
    assert.deepEqual(routes.node["subnetRoutes"], ["10.0.0.0/24", "0.0.0.0/0", "::/0"]);
    assert.equal(routes.node["online"], true);
    const none = (await rest("POST", path, { routes: [] })).body as { node: Record<string, unknown> };
    assert.deepEqual(none.node["approvedRoutes"], []);
    refused(
      await rest("POST", path, { routes: ["10.0.0.1"] }),
      500,
      2,
      `parsing route: netip.ParsePrefix("10.0.0.1"): no '/'`,
    );
  }));

test("node expiry: now, at a time, never; from the query, or from a body", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await join(1, 1);
    const expiryAfter = async (query: string, body?: object): Promise<unknown> => {
      const answer = await rest("POST", `/api/v1/node/1/expire${query}`, body);
      return (answer.body as { node: { expiry: unknown } }).node.expiry;
    };
    assert.equal(await expiryAfter(""), created);
    assert.equal(await expiryAfter("?expiry=2027-01-01T00:00:00Z"), "2027-01-01T00:00:00Z");
    assert.equal(await expiryAfter("?disable_expiry=true"), null);
    assert.equal(await expiryAfter("?expiry=2027-01-01T00:00:00Z"), "2027-01-01T00:00:00Z");
    assert.equal(await expiryAfter("?disableExpiry=1"), null);
    assert.equal(await expiryAfter("", { expiry: "2028-01-01T00:00:00Z" }), "2028-01-01T00:00:00Z");
    refused(
      await rest("POST", "/api/v1/node/1/expire?disableExpiry=true&expiry=2027-01-01T00:00:00Z"),
      400,
      3,
      "cannot set both disable_expiry and expiry",
    );
  }));

test("renaming nodes", () =>
  inWorld(async ({ rest, join }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    await join(1, 1);
    await join(1, 2);
    assert.deepEqual((await rest("POST", "/api/v1/node/1/rename/web")).body, {
      node: nodeGolden(1, { givenName: "web" }),
    });
    refused(await rest("POST", "/api/v1/node/2/rename/web"), 500, 2, "node name is not unique: web");
    refused(await rest("POST", "/api/v1/node/2/rename/bad%20name"), 500, 2, /is not a valid DNS label/);
    refused(await rest("POST", "/api/v1/node/9/rename/x"), 404, 5, "node not found");
  }));

test("a waiting machine joins by auth/register, and by node/register with query or body", () =>
  inWorld(async ({ rest, pending, registration }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    const first = pending.open(registration(1), "192.0.2.1");
    const joined = await rest("POST", "/api/v1/auth/register", { user: "infra", authId: first });
    assert.deepEqual(joined.body, { node: nodeGolden(1) });
    const second = pending.open(registration(2), "192.0.2.1");
    assert.deepEqual((await rest("POST", `/api/v1/node/register?user=infra&key=${second}`)).body, {
      node: nodeGolden(2),
    });
    const third = pending.open(registration(3), "192.0.2.1");
    assert.deepEqual((await rest("POST", "/api/v1/node/register", { user: "infra", key: third })).body, {
      node: nodeGolden(3),
    });
    refused(
      await rest("POST", "/api/v1/auth/register", { user: "infra", authId: first }),
      500,
      2,
      "node not found in registration cache",
    );
    assert.deepEqual(pending.list(), []);
  }));

test("auth ids are checked, and unknown users refused, before anything joins", () =>
  inWorld(async ({ rest, pending, registration }) => {
    const id = pending.open(registration(1), "192.0.2.1");
    const register = (authId: string): Promise<RestAnswer> =>
      rest("POST", "/api/v1/auth/register", { user: "nobody", authId });
    refused(await register("nodekey:12"), 500, 2, 'auth ID has invalid prefix: expected prefix "hskey-authreq-"');
    refused(await register("hskey-authreq-abc"), 500, 2, "auth ID has invalid length: expected 38, got 17");
    refused(await register(id), 500, 2, "looking up user: user not found");
    assert.equal(pending.list().length, 1);
  }));

test("SSH checks are approved, machines and checks rejected", () =>
  inWorld(async ({ rest, join, pending, registration }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    const [source, destination] = [await join(1, 1), await join(1, 2)];
    const check = { sourceNode: source.id, destinationNode: destination.id, localUser: "root" };
    const id = pending.openCheck(check, "192.0.2.1");
    const outcome = pending.waitCheck(id, check, new AbortController().signal, 1000);
    assert.deepEqual((await rest("POST", "/api/v1/auth/approve", { authId: id })).body, {});
    assert.equal((await outcome).kind, "approved");
    refused(
      await rest("POST", "/api/v1/auth/approve", { authId: id }),
      404,
      5,
      `no pending auth session for auth_id ${id}`,
    );

    const machine = registration(9);
    const waiting = pending.open(machine, "192.0.2.1");
    refused(await rest("POST", "/api/v1/auth/approve", { authId: waiting }), 400, 3, /say whose it is/);
    const verdict = pending.wait(waiting, machine.machineKey, new AbortController().signal, 1000);
    assert.deepEqual((await rest("POST", "/api/v1/auth/reject", { authId: waiting })).body, {});
    assert.equal((await verdict).kind, "rejected");
  }));

test("backfill asks to be confirmed", () =>
  inWorld(async ({ rest }) => {
    refused(await rest("POST", "/api/v1/node/backfillips"), 500, 2, "not confirmed, aborting");
    assert.deepEqual((await rest("POST", "/api/v1/node/backfillips?confirmed=true")).body, { changes: [] });
  }));

test("a made-up machine waits under the id it was given", () =>
  inWorld(async ({ rest, pending }) => {
    await rest("POST", "/api/v1/user", { name: "infra" });
    const key = "hskey-authreq-AAAAAAAAAAAAAAAAAAAAAAAA";
    const answer = await rest("POST", "/api/v1/debug/node", {
      user: "infra",
      key,
      name: "fake",
      routes: ["10.0.0.0/8"],
    });
    const { node } = answer.body as { node: Record<string, unknown> };
    assert.deepEqual([node["name"], node["user"], node["availableRoutes"]], ["fake", infra, ["10.0.0.0/8"]]);
    assert.equal(pending.get(key)?.kind, "register");
    const joined = await rest("POST", "/api/v1/auth/register", { user: "infra", authId: key });
    assert.equal((joined.body as { node: { givenName: string } }).node.givenName, "fake");
  }));

test("API keys: create, list masked, expire and delete by any form of the prefix", () =>
  inWorld(async ({ rest, apiKey }) => {
    const made = await rest("POST", "/api/v1/apikey", { expiration: "2026-02-01T00:00:00Z" });
    const secret = (made.body as { apiKey: string }).apiKey;
    assert.match(secret, /^hskey-api-[A-Za-z0-9_-]{12}-[A-Za-z0-9_-]{64}$/);
    const prefix = secret.slice("hskey-api-".length, "hskey-api-".length + 12);
    const listed = (await rest("GET", "/api/v1/apikey")).body as { apiKeys: Record<string, unknown>[] };
    assert.deepEqual(listed.apiKeys[1], {
      id: "2",
      prefix: `hskey-api-${prefix}-***`,
      expiration: "2026-02-01T00:00:00Z",
      createdAt: created,
      lastSeen: null,
      description: "",
      scopes: [],
    });
    assert.deepEqual((await rest("POST", "/api/v1/apikey/expire", { prefix })).body, {});
    assert.equal((await rest("GET", "/api/v1/user", undefined, secret)).status, 401);
    for (const form of [`hskey-api-${prefix}-***`, `hskey-api-${prefix}`, prefix]) {
      const path = `/api/v1/apikey/${encodeURIComponent(form)}`;
      const answer = await rest("DELETE", path);
      if (form === `hskey-api-${prefix}-***`) {
        assert.deepEqual(answer.body, {});
      } else {
        refused(answer, 500, 2, "record not found");
      }
    }
    refused(await rest("DELETE", `/api/v1/apikey/${prefix}?id=1`), 400, 3, "provide either id or prefix, not both");
    refused(await rest("POST", "/api/v1/apikey/expire", {}), 400, 3, "must provide id or prefix");
    assert.equal((await rest("GET", "/api/v1/user", undefined, apiKey)).status, 200);
  }));

test("a scoped key does what its scopes say, and makes no key that may do more", () =>
  inWorld(async ({ rest }) => {
    const make = async (scopes: readonly string[], key?: string): Promise<RestAnswer> =>
      rest("POST", "/api/v1/apikey", { scopes, description: "ci" }, key);
    const { apiKey: scoped } = (await make(["users:read", "apikeys:write"])).body as { apiKey: string };
    assert.equal((await rest("GET", "/api/v1/user", undefined, scoped)).status, 200);
    refused(
      await rest("POST", "/api/v1/user", { name: "x" }, scoped),
      403,
      7,
      "this API key lacks the scope users:write",
    );
    refused(await rest("GET", "/api/v1/node", undefined, scoped), 403, 7, /nodes:read/);
    refused(await make([], scoped), 403, 7, /cannot create a key that may do more/);
    assert.equal((await make(["users:read"], scoped)).status, 200);
    refused(await make(["nodes:everything"]), 400, 3, /unknown scope "nodes:everything"/);
  }));

test("policy in the database: none, set, get, check", () =>
  inWorld(async ({ rest }) => {
    refused(await rest("GET", "/api/v1/policy"), 500, 2, /acl policy not found/);
    const policy = '{\n  // everybody\n  "acls": [],\n}\n';
    assert.deepEqual((await rest("PUT", "/api/v1/policy", { policy })).body, { policy, updatedAt: created });
    assert.deepEqual((await rest("GET", "/api/v1/policy")).body, { policy, updatedAt: created });
    refused(await rest("PUT", "/api/v1/policy", { policy: "nonsense" }), 500, 2, /^setting policy: parsing policy/);
    assert.deepEqual((await rest("POST", "/api/v1/policy/check", { policy })).body, { warnings: [] });
    refused(await rest("POST", "/api/v1/policy/check", { policy: "nonsense" }), 400, 3, /parsing policy/);
  }));

test("a policy in a file is read each time, and not set over the interface", () => {
  let text: string | undefined;
  return inWorld(
    async ({ rest }) => {
      refused(await rest("GET", "/api/v1/policy"), 500, 2, /acl policy not found/);
      text = "{}";
      assert.deepEqual((await rest("GET", "/api/v1/policy")).body, { policy: "{}", updatedAt: null });
      refused(
        await rest("PUT", "/api/v1/policy", { policy: "{}" }),
        500,
        2,
        "update is disabled for modes other than 'database'",
      );
    },
    { policySource: { mode: "file", readFile: () => Promise.resolve(text) } },
  );
});

test("a bug in an operation is an internal error that tells nothing", () => {
  const faults: unknown[] = [];
  return inWorld(
    async ({ rest }) => {
      refused(await rest("GET", "/api/v1/health"), 500, 13, "internal error");
      assert.equal(faults.length, 1);
    },
    {
      databaseHealthy: () => Promise.reject(new Error("secret path")),
      onFault: (fault) => faults.push(fault),
    },
  );
});

test("the OpenAPI document names every call and is whole in itself", () =>
  inWorld(async ({ rest }) => {
    const answer = await rest("GET", "/swagger/v1/openapiv2.json", undefined, null);
    const document = answer.body as {
      swagger: string;
      paths: Record<string, Record<string, { operationId: string }>>;
      definitions: Record<string, unknown>;
    };
    assert.equal(document.swagger, "2.0");
    const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map((call) => call.operationId));
    assert.ok(ids.includes("HeadscaleService_CreateUser") && ids.includes("HawserService_MoveNode"));
    for (const [, name = ""] of answer.text.matchAll(/"#\/definitions\/([^"]+)"/g)) {
      assert.ok(name in document.definitions, name);
    }
    const page = await rest("GET", "/swagger", undefined, null);
    assert.equal(page.status, 200);
    assert.match(page.text, /\/api\/v1\/node\/\{node_id\}/);
    assert.doesNotMatch(page.text, /<script|src=/);
  }));

test("answers are not cached and carry no guessing about their type", () =>
  inWorld(async ({ url, apiKey }) => {
    const response = await fetch(`${url}/api/v1/user`, { headers: { authorization: `Bearer ${apiKey}` } });
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(response.headers.get("content-type"), "application/json");
  }));
