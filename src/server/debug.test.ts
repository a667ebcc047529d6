// The debug pages of a running server with nodes in it: every page answers, in headscale's shapes where it has them, and
// no page gives away anything that opens a door.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { DatabaseSync } from "node:sqlite";
import { SimClient } from "../../sim/client.ts";
import { fetchServerKey } from "../../sim/dial.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger } from "../ops/logger.ts";
import { type RunningServer, startServer } from "../server.ts";
import type { Actor } from "../tailnet/contract.ts";
import { until } from "../../test/patience.ts";
import { scratchFolder } from "../../test/scratch-folder.ts";

const actor: Actor = { kind: "cli", id: "test", from: "" };
const secrets = {
  cliKey: "hskey-api-CLIkeyCLIkey-" + "c".repeat(64),
  oidc: "the-oidc-client-secret-0815",
  doh: "doh-password-4711",
};

interface World {
  readonly server: RunningServer;
  readonly lines: readonly string[];
  /** Everything that nobody may read there. */
  readonly forbidden: readonly string[];
  readonly get: (page: string, accept?: string) => Promise<{ readonly status: number; readonly text: string }>;
  readonly json: (page: string) => Promise<unknown>;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

async function world(context: TestContext): Promise<World> {
  const folder = scratchFolder(context, "debug");
  const file = join(folder, "config.yaml");
  writeFileSync(
    file,
    `data_dir: ${folder}/data
server_url: http://127.0.0.1:1
listen_addr: 127.0.0.1:0
metrics_listen_addr: 127.0.0.1:0
dns: {base_domain: test.example, nameservers: {global: ["https://me:${secrets.doh}@dns.example/x?token=${secrets.doh}"]}}
derp: {server: {enabled: true, stun_listen_addr: "127.0.0.1:0"}}
policy: {mode: database}
oidc: {issuer: "https://idp.example", client_id: hawser, client_secret: ${secrets.oidc}, only_start_if_oidc_is_available: false, extra_params: {token: "${secrets.oidc}"}}
cli: {address: "other:50443", api_key: "${secrets.cliKey}"}
`,
  );
  const { config, findings } = await loadConfig({ file, env: {} });
  assert.ok(config, JSON.stringify(findings));
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "text", write: (line) => lines.push(line) });
  const server = await startServer(config, { log });
  context.after(() => server.stop());
  const { tailnet } = server;
  const user = await tailnet.createUser(actor, { name: "alice" });
  assert.ok(user.ok);
  const authKey = await tailnet.createPreAuthKey(actor, {
    user: user.value.id,
    reusable: true,
    ephemeral: false,
    tags: [],
    expiration: null,
  });
  const apiKey = await tailnet.createApiKey(actor, { expiration: null });
  assert.ok(authKey.ok && apiKey.ok);
  const policy = `{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
    "ssh": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["root"]}]}`;
  assert.ok((await tailnet.setPolicy(actor, policy)).ok);
  const url = new URL(`http://127.0.0.1:${server.ports.main}`);
  const serverPublic = await fetchServerKey(url, 142);
  const clients: SimClient[] = [];
  for (const hostname of ["web", "db"]) {
    const hostinfo = { RoutableIPs: ["10.0.0.0/24"], sshHostKeys: [`ssh-ed25519 AAAA${"Q".repeat(64)}`] };
    const client = new SimClient({ url, serverPublic, hostname, hostinfo });
    context.after(() => client.close());
    await client.join({ authKey: authKey.value.secret });
    await client.openMap();
    clients.push(client);
  }
  const waiting = new SimClient({ url, serverPublic, hostname: "stranger" });
  context.after(() => waiting.close());
  const { AuthURL } = await waiting.register();
  const [first] = tailnet.nodes();
  assert.ok(first);
  await tailnet.setApprovedRoutes(actor, first.id, first.advertised);
  const given = [authKey.value.secret, apiKey.value.secret, secrets.cliKey];
  const base = `http://127.0.0.1:${server.ports.metrics}/debug/`;
  const hexOf = (text: string): string => text.split(":")[1] ?? text;
  return {
    server,
    lines,
    forbidden: [
      secrets.oidc,
      secrets.doh,
      ...given,
      ...given.flatMap((text) => [text.slice(-64), sha256(text), sha256(text.slice(-64))]),
      AuthURL.slice(-24),
      ...[config.noise.privateKeyPath, config.derp.server.privateKeyPath].map((path) =>
        hexOf(readFileSync(path, "utf8").trim()),
      ),
      ...clients.flatMap((client) => [client.machineKeyText, client.nodeKeyText, client.discoKeyText].map(hexOf)),
      ...hashesIn(join(folder, "data", "db.sqlite")),
      "Q".repeat(24),
    ],
    async get(page, accept) {
      const response = await fetch(base + page, accept === undefined ? {} : { headers: { accept } });
      return { status: response.status, text: await response.text() };
    },
    async json(page) {
      const response = await fetch(base + page, { headers: { accept: "application/json" } });
      assert.equal(response.headers.get("content-type"), "application/json");
      return response.json();
    },
  };
}

function hashesIn(database: string): string[] {
  const db = new DatabaseSync(database, { readOnly: true });
  try {
    return db
      .prepare("SELECT hash FROM api_keys UNION SELECT hash FROM pre_auth_keys UNION SELECT hash FROM audit")
      .all()
      .map((row) => String(row["hash"]));
  } finally {
    db.close();
  }
}

test("no page shows a key, a password or a hash, as text or as JSON", async (context) => {
  const { get, forbidden } = await world(context);
  assert.ok(forbidden.length > 20 && forbidden.every((text) => text.length >= 16));
  const index = (await get("")).text;
  const pages = [...index.matchAll(/^\/debug\/([a-z-]+)(\?node=)?/gm)].map(([, name, node]) =>
    node === undefined ? `${name}` : `${name}?node=1`,
  );
  assert.ok(pages.length >= 14, pages.join(" "));
  for (const page of ["", ...pages, "map?node=1&version=113"]) {
    for (const accept of ["text/plain", "application/json"]) {
      const { status, text } = await get(page, accept);
      assert.equal(status, 200, page);
      for (const secret of forbidden) {
        assert.ok(!text.includes(secret), `${page} (${accept}) shows ${secret}`);
      }
      assert.doesNotMatch(text, /[0-9a-f]{32}/i, page);
    }
  }
});

test("the pages that headscale has are in its shapes", async (context) => {
  const { json, server } = await world(context);
  assert.partialDeepStrictEqual(await json("overview"), {
    nodes: { total: 2, online: 2, expired: 0, ephemeral: 0 },
    users: { alice: 2 },
    total_users: 1,
    policy: { mode: "database", path: "" },
    derp: { configured: true, regions: 1 },
    primary_routes: 1,
    waiting: 1,
  });
  assert.deepEqual(await json("routes"), {
    available_routes: { 1: ["10.0.0.0/24"] },
    primary_routes: { "10.0.0.0/24": 1 },
    unhealthy_nodes: [],
  });
  assert.deepEqual(await json("batcher"), {
    connected_nodes: { 1: { connected: true, active_connections: 1 }, 2: { connected: true, active_connections: 1 } },
    total_nodes: 2,
  });
  assert.partialDeepStrictEqual(await json("derp"), {
    configured: true,
    total_regions: 1,
    regions: { 999: { region_id: 999, nodes: [{ hostname: "127.0.0.1" }] } },
  });
  assert.partialDeepStrictEqual(await json("config"), {
    dataDir: server.config.dataDir,
    prefixes: { v4: "100.64.0.0/10", v6: "fd7a:115c:a1e0::/48" },
    oidc: { issuer: "https://idp.example", clientSecret: "***", extraParams: { token: "***" } },
    cli: { apiKey: "***" },
  });
});

test("a node is found by id, name and address; its map, filter, SSH rules and peers are shown as sent", async (context) => {
  const { json, get } = await world(context);
  for (const node of ["1", "web", "100.64.0.1", "fd7a:115c:a1e0::1"]) {
    const map = (await json(`map?node=${node}`)) as { Node: { ID: number; Name: string }; Peers: { ID: number }[] };
    assert.deepEqual([map.Node.ID, map.Node.Name, map.Peers.map(({ ID }) => ID)], [1, "web.test.example.", [2]], node);
  }
  assert.equal(((await json("filter?node=1")) as unknown[]).length, 1);
  assert.equal(((await json("ssh?node=1")) as unknown[]).length, 1);
  assert.partialDeepStrictEqual(await json("peers?node=db"), {
    node: 2,
    peers: [{ id: 1, name: "web", online: true, routes_if_primary: ["10.0.0.0/24"] }],
  });
  assert.match((await get("peers?node=2")).text, /^1 {2}web {2}online {2}100\.64\.0\.1,/);
  for (const [page, problem] of [
    ["map", /say which node/],
    ["map?node=77", /there is no such node/],
    ["map?node=1&version=x", /capability version/],
  ] as const) {
    const { status, text } = await get(page);
    assert.equal(status, 400);
    assert.match(text, problem);
  }
});

test("sessions say how far behind they are", async (context) => {
  const { json, get } = await world(context);
  const ask = async () =>
    (await json("sessions")) as { node: number; name: string; behind: number; blocked: boolean }[];
  await until("all has been told", async () => (await ask()).every(({ behind }) => behind === 0));
  const sessions = await ask();
  assert.deepEqual(
    sessions.map(({ node, name, behind, blocked }) => [node, name, behind, blocked]),
    [
      [1, "web", 0, false],
      [2, "db", 0, false],
    ],
  );
  assert.match((await get("sessions")).text, /node 1 \(web\) {2}capver 142 {2}zstd {2}behind 0/);
});

test("the log level is changed while the server runs, for all rooms", async (context) => {
  const { json, server, lines, get } = await world(context);
  const put = (body: string) =>
    fetch(`http://127.0.0.1:${server.ports.metrics}/debug/log-level`, { method: "PUT", body });
  assert.deepEqual(await json("log-level"), { level: "info" });
  assert.equal((await put('{"level":"error"}')).status, 200);
  assert.match(lines.at(-1) ?? "", /the log level was changed .*was=info now=error/);
  const count = lines.length;
  server.log.warn({}, "unseen");
  await server.reload();
  assert.equal(lines.length, count);
  assert.equal((await put("debug")).status, 200);
  server.log.debug({}, "seen");
  assert.match(lines.at(-1) ?? "", /seen/);
  assert.equal((await put("loud")).status, 400);
  assert.equal((await get("log-level")).text, "debug\n");
});
