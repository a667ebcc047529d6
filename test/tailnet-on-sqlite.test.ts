// The tailnet over the real store: what it says it stored is what a restart finds, and no file holds a usable secret.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSqliteThread } from "../src/store/sqlite-thread.ts";
import type { Tailnet } from "../src/tailnet/contract.ts";
import { recordOf } from "../src/tailnet/derive.ts";
import type { Store } from "../src/tailnet/store.ts";
import { admin, makeKey, makeUser, must, prefix, registration, rig, type Rig } from "./tailnet-rig.ts";

async function withSqlite(body: (open: () => Promise<{ world: Rig; store: Store }>, folder: string) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), "hawser-tailnet-"));
  try {
    await body(async () => {
      const store = await openSqliteThread({ path: join(folder, "db.sqlite") });
      return { world: await rig({ wrapStore: () => store }), store };
    }, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function everything(tailnet: Tailnet) {
  return {
    nodes: tailnet.nodes().map((node) => [recordOf(node), node.hostinfo, node.endpoints, node.discoKey, node.homeDerp]),
    routes: tailnet.nodes().map(({ routes }) => routes),
    users: tailnet.users(),
    keys: tailnet.preAuthKeys(),
    apiKeys: tailnet.apiKeys(),
    policy: tailnet.policyVersion,
  };
}

test("a restart finds users, keys, nodes, routes, presence and policy as they were", async () => {
  await withSqlite(async (open) => {
    const { world, store } = await open();
    const { tailnet } = world;
    const ada = await makeUser(tailnet, "ada");
    must(await tailnet.setPolicy(admin, "auto 10.1.0.0/16\ntag tag:web"));
    const key = await makeKey(tailnet, { user: ada.id });
    const host = { RoutableIPs: ["10.1.0.0/16", "10.2.0.0/16"], extra: { Unknown: [1, { a: null }] } };
    const nodes = await Promise.all(
      Array.from({ length: 50 }, async (_, i) =>
        must(await tailnet.register(admin, registration(i + 1, i + 1, { host }), key)),
      ),
    );
    for (const [index, node] of nodes.entries()) {
      tailnet.updatePresence(node.id, { endpoints: [`192.0.2.1:${index + 1}`] });
    }
    const [one, two, three] = nodes;
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    must(await tailnet.setTags(admin, one.id, ["tag:web"]));
    must(await tailnet.setApprovedRoutes(admin, two.id, [prefix("10.2.0.0/16"), prefix("::/0")]));
    must(await tailnet.deleteNode(admin, three.id));
    must(await tailnet.createApiKey(admin, { expiration: null, description: "ci" }));
    await tailnet.close();
    await store.close();
    const again = await open();
    assert.deepEqual(everything(again.world.tailnet), everything(tailnet));
    assert.equal(again.world.tailnet.nodes().length, 49);
    await again.world.tailnet.close();
    await again.store.close();
  });
});

test("no file of the database holds a secret that opens anything", async () => {
  await withSqlite(async (open, folder) => {
    const { world, store } = await open();
    const { tailnet } = world;
    const ada = await makeUser(tailnet, "ada");
    const key = await makeKey(tailnet, { user: ada.id });
    const api = must(await tailnet.createApiKey(admin, { expiration: null }));
    must(await tailnet.register(admin, registration(1, 1), key));
    const secrets = [key.secret, api.secret].map((secret) => secret.slice(-64));
    const look = () => {
      const files = readdirSync(folder);
      const holdsPrefix = (file: string) => readFileSync(join(folder, file)).includes(api.key.prefix);
      assert.ok(files.some(holdsPrefix), "the search looks where keys are kept");
      for (const file of files) {
        const bytes = readFileSync(join(folder, file));
        assert.equal(
          secrets.some((secret) => bytes.includes(secret)),
          false,
          file,
        );
      }
    };
    look();
    await tailnet.close();
    await store.close();
    look();
  });
});

test("a thousand parallel registrations with a single-use key admit one, over the real database", async () => {
  await withSqlite(async (open) => {
    const { world, store } = await open();
    const { tailnet } = world;
    const ada = await makeUser(tailnet, "ada");
    const key = await makeKey(tailnet, { user: ada.id, reusable: false });
    const results = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => tailnet.register(admin, registration(i + 1, i + 1), key)),
    );
    assert.equal(results.filter(({ ok }) => ok).length, 1);
    const { nodes, preAuthKeys } = await store.load();
    assert.deepEqual([nodes.length, preAuthKeys[0]?.key.used], [1, true]);
    await tailnet.close();
    await store.close();
  });
});
