// The server as a whole: what it needs to start, what it does without, and that it comes back with what it had.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect as tlsConnect } from "node:tls";
import type { Config } from "./config/config.ts";
import { loadConfig } from "./config/load.ts";
import { connectNoise } from "./control/noise-client.test-data.ts";
import { actor, mapBody, registerBody } from "./control/rig.test-data.ts";
import { createLogger } from "./ops/logger.ts";
import { makeLeaf } from "./relay/certificate.ts";
import { type RunningServer, StartError, startServer } from "./server.ts";
import { generatePrivateKey, parsePrivateKey } from "./wire/keys.ts";
import { freePort } from "../test/free-port.ts";
import { startStopwatch } from "../test/patience.ts";
import { scratchFolder } from "../test/scratch-folder.ts";

async function configIn(folder: string, more = ""): Promise<Config> {
  const port = await freePort();
  const file = join(folder, "config.yaml");
  writeFileSync(
    file,
    `data_dir: ${folder}/data
server_url: http://127.0.0.1:${port}
listen_addr: 127.0.0.1:${port}
metrics_listen_addr: 127.0.0.1:0
dns: {base_domain: test.example, magic_dns: true}
derp: {server: {enabled: true, stun_listen_addr: "127.0.0.1:0"}, urls: []}
${more}`,
  );
  const { config, findings } = await loadConfig({ file, env: {} });
  assert.ok(config, JSON.stringify(findings));
  return config;
}

function folderFor(context: TestContext): string {
  const folder = scratchFolder(context, "server");
  return folder;
}

async function run(context: TestContext, config: Config): Promise<RunningServer & { readonly lines: string[] }> {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", format: "text", write: (line) => lines.push(line) });
  const server = await startServer(config, { log });
  context.after(() => server.stop());
  return { ...server, lines };
}

/** A machine that joins over the network, with a fresh key of a fresh user. */
async function joinOne(server: RunningServer) {
  const user = server.tailnet.users()[0] ?? (await madeUser(server));
  const key = await server.tailnet.createPreAuthKey(actor, {
    user: user.id,
    reusable: false,
    ephemeral: false,
    tags: [],
    expiration: null,
  });
  assert.ok(key.ok);
  const nodeKey = generatePrivateKey();
  const client = await connectNoise({ port: server.ports.main, serverKey: noiseKeyOf(server.config) });
  const answer = await client.request(
    "POST",
    "/machine/register",
    registerBody(nodeKey, { Auth: { AuthKey: key.value.secret } }),
  );
  assert.match(answer.body.toString(), /"Error":""/);
  return { client, nodeKey, secret: key.value.secret };
}

async function madeUser(server: RunningServer) {
  const made = await server.tailnet.createUser(actor, { name: "alice" });
  assert.ok(made.ok);
  return made.value;
}

function noiseKeyOf(config: Config): Uint8Array {
  const key = parsePrivateKey(readFileSync(config.noise.privateKeyPath, "utf8"));
  assert.ok(key);
  return key.publicRaw;
}

test("a server starts, serves on every door and stops within five seconds, leaving nothing behind", async (context) => {
  const config = await configIn(folderFor(context));
  const server = await run(context, config);
  assert.deepEqual(server.problems, []);
  const base = `http://127.0.0.1:${server.ports.main}`;
  assert.deepEqual(await (await fetch(`${base}/health`)).json(), { status: "pass" });
  assert.equal((await fetch(`${base}/derp/probe`)).status, 200);
  assert.equal((await fetch(`${base}/generate_204`)).status, 204);
  assert.equal((await fetch(`${base}/api/v1/user`)).status, 401);
  for (const path of ["/", "/api/v1/user", "/derp", "/derp/probe", "/verify", "/generate_204", "/bootstrap-dns"]) {
    const { headers } = await fetch(base + path);
    assert.equal(headers.get("x-frame-options"), "DENY", path);
    assert.equal(headers.get("x-content-type-options"), "nosniff", path);
  }
  assert.match(
    await (await fetch(`http://127.0.0.1:${server.ports.metrics}/metrics`)).text(),
    /^hawser_control_connections_opened_total 0$/m,
  );
  const { client, nodeKey } = await joinOne(server);
  const stream = await client.map(mapBody(nodeKey, { Stream: true }));
  const map = (await stream.next()) as { DERPMap: { Regions: Record<string, { Nodes: { CertName: string }[] }> } };
  assert.match(Object.values(map.DERPMap.Regions)[0]?.Nodes[0]?.CertName ?? "", /^sha256-raw:/);
  const watch = startStopwatch();
  await server.stop();
  assert.ok(watch.seconds() < 5);
  await client.closed;
  assert.equal(existsSync(join(config.dataDir, "hawser.lock")), false);
  assert.equal(existsSync(config.unixSocket), false);
  await assert.rejects(fetch(`${base}/health`));
});

test("what it acknowledged is there after a restart, keys included", async (context) => {
  const config = await configIn(folderFor(context));
  const first = await run(context, config);
  const { nodeKey } = await joinOne(first);
  const node = first.tailnet.nodes()[0];
  const key = noiseKeyOf(config);
  const legacy = async (server: RunningServer) =>
    (await fetch(`http://127.0.0.1:${server.ports.main}/key?v=142`)).text();
  const keys = await legacy(first);
  await first.stop();
  const second = await run(context, config);
  assert.equal(second.tailnet.nodes()[0]?.nodeKey, node?.nodeKey);
  assert.deepEqual(noiseKeyOf(config), key);
  assert.equal(await legacy(second), keys);
  assert.ok(nodeKey);
});

test("the data folder is its owner's alone, and no secret is in a log or in clear in the store", async (context) => {
  const config = await configIn(folderFor(context));
  const server = await run(context, config);
  const { secret } = await joinOne(server);
  assert.equal(statSync(config.dataDir).mode & 0o777, 0o700);
  assert.equal(statSync(config.noise.privateKeyPath).mode & 0o777, 0o600);
  const noise = readFileSync(config.noise.privateKeyPath, "utf8").trim();
  const log = server.lines.join("");
  assert.ok(log.includes("node joined"));
  assert.ok(!log.includes(secret), "the auth key was logged");
  assert.ok(!log.includes(noise), "the Noise key was logged");
  await server.stop();
  for (const suffix of ["", "-wal"]) {
    const path = join(config.dataDir, `db.sqlite${suffix}`);
    assert.ok(!existsSync(path) || !readFileSync(path).includes(secret));
  }
});

test("a second server on the same folder does not start, and says who has it", async (context) => {
  const config = await configIn(folderFor(context));
  await run(context, config);
  const other = { ...config, listenAddr: { host: "127.0.0.1", port: await freePort() } };
  await assert.rejects(startServer(other, { log: createLogger({ level: "silent", format: "text" }) }), (error) => {
    assert.ok(error instanceof StartError);
    assert.match(error.message, /another server|in use/);
    return true;
  });
});

test(
  "a data folder that nothing can be written to stops the start with a word on what to change",
  { skip: process.platform !== "linux" && "needs a folder that root cannot write to either" },
  async (context) => {
    const config = await configIn(folderFor(context));
    await assert.rejects(
      startServer(
        { ...config, dataDir: "/proc/self" },
        { log: createLogger({ level: "error", format: "text", write: () => undefined }) },
      ),
      (error) => {
        assert.ok(error instanceof StartError);
        assert.match(
          error.message,
          /this user cannot write to the data folder \/proc\/self: .*set data_dir \(or HAWSER_DATA_DIR\)/,
        );
        return true;
      },
    );
  },
);

test("a taken main port stops the start with a word on what to change, and leaves the folder free", async (context) => {
  const config = await configIn(folderFor(context));
  const squatter = createServer();
  squatter.listen(config.listenAddr.port, "127.0.0.1");
  await once(squatter, "listening");
  await assert.rejects(
    startServer(config, { log: createLogger({ level: "silent", format: "text" }) }),
    /something else listens on 127\.0\.0\.1, port [0-9]+\. Choose another with listen_addr/,
  );
  squatter.close();
  await once(squatter, "close");
  await run(context, config);
});

test("taken STUN and metrics ports are said loudly and done without", async (context) => {
  const udp = createSocket("udp4");
  udp.bind(0, "127.0.0.1");
  await once(udp, "listening");
  context.after(() => udp.close());
  const tcp = createServer();
  tcp.listen(0, "127.0.0.1");
  await once(tcp, "listening");
  context.after(() => tcp.close());
  const config = await configIn(folderFor(context));
  const server = await run(context, {
    ...config,
    metricsListenAddr: { host: "127.0.0.1", port: (tcp.address() as AddressInfo).port },
    derp: {
      ...config.derp,
      urls: ["http://127.0.0.1:1/derpmap"],
      paths: ["/nowhere/derp.yaml"],
      server: { ...config.derp.server, stunListenAddr: { host: "127.0.0.1", port: udp.address().port } },
    },
  });
  const said = server.problems.join("\n");
  assert.match(said, /STUN/);
  assert.match(said, /no metrics: .*EADDRINUSE/);
  assert.match(server.lines.join(""), /WARN .*derpmap/);
  assert.equal((await fetch(`http://127.0.0.1:${server.ports.main}/health`)).status, 200);
});

test("a policy file that was never good closes the tailnet; a broken change leaves the good one in force", async (context) => {
  const folder = folderFor(context);
  const path = join(folder, "policy.hujson");
  writeFileSync(path, "{ not a policy");
  const config = await configIn(folder, `policy: {mode: file, path: ${path}}\n`);
  const server = await run(context, config);
  const one = await joinOne(server);
  await joinOne(server);
  const node = server.tailnet.nodes()[0];
  assert.ok(node);
  assert.equal(server.tailnet.policy.viewOf(node.id).peers().length, 0, "closed, not open");
  writeFileSync(path, '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}');
  await server.reload();
  assert.ok(server.tailnet.policy.viewOf(node.id).peers().length > 0);
  writeFileSync(path, "{");
  await server.reload();
  assert.ok(server.tailnet.policy.viewOf(node.id).peers().length > 0, "the last good one stays");
  assert.match(server.lines.join(""), /ERROR policy: the policy file is not used, the last good policy stays in force/);
  assert.ok(one.client);
});

test("with edge threads everything is served as without, through the same port", async (context) => {
  const config = await configIn(folderFor(context), "control: {threads: 2}\n");
  assert.equal(config.control.threads, 2);
  const server = await run(context, config);
  const base = `http://127.0.0.1:${server.ports.main}`;
  const clients = [];
  for (let count = 0; count < 6; count++) {
    const joined = await joinOne(server);
    const stream = await joined.client.map(mapBody(joined.nodeKey, { Stream: true }));
    clients.push(stream);
  }
  // Each is told of the five others, in its first map or after it.
  for (const stream of clients) {
    const told = new Set<number>();
    while (told.size < 5) {
      const map = (await stream.next()) as Partial<Record<"Peers" | "PeersChanged", { ID: number }[]>>;
      [...(map.Peers ?? []), ...(map.PeersChanged ?? [])].forEach(({ ID }) => told.add(ID));
    }
  }
  assert.equal(server.tailnet.nodes().filter((node) => node.online).length, 6);
  assert.deepEqual(await (await fetch(`${base}/health`)).json(), { status: "pass" });
  const large = await fetch(`${base}/verify`, { method: "POST", body: "x".repeat(100_000) });
  assert.equal(large.status, 413);
  const answer = await fetch(`${base}/derp/probe`);
  assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  assert.equal(answer.headers.get("x-frame-options"), "DENY");
  assert.equal((await fetch(`${base}/nothing`)).status, 404);
  assert.match(server.lines.join(""), /node joined with an auth key .*from=127\.0\.0\.1/);
  const watch = startStopwatch();
  await server.stop();
  assert.ok(watch.seconds() < 5);
  await assert.rejects(fetch(`${base}/health`));
});

test("a client cannot make up its address for an edge thread, and the relay is reached through it", async (context) => {
  const config = await configIn(folderFor(context), "control: {threads: 1}\n");
  const server = await run(context, config);
  const port = server.ports.main;
  // Wrong API keys are counted by address: the made-up one must not count.
  const guess = (peer: string) =>
    fetch(`http://127.0.0.1:${port}/api/v1/user`, {
      headers: { authorization: "Bearer hskey-api-nope", "x-hawser-edge-peer": peer },
    });
  const statuses = new Set<number>();
  for (let count = 0; count < 200 && !statuses.has(429); count++) {
    statuses.add((await guess(`192.0.2.${count}`)).status);
  }
  assert.ok(statuses.has(429), "one address, however it calls itself");
  const upgraded = await new Promise<number>((resolve, reject) => {
    const request = httpRequest({
      host: "127.0.0.1",
      port,
      path: "/derp",
      headers: { connection: "upgrade", upgrade: "DERP" },
    });
    request.on("upgrade", (response, socket, head) => {
      // The relay speaks first: its key.
      const done = (): void => {
        socket.destroy();
        resolve(response.statusCode ?? 0);
      };
      if (head.length > 0) {
        done();
      } else {
        socket.once("data", done);
      }
    });
    request.on("response", (response) => resolve(response.statusCode ?? 0));
    request.on("error", reject);
    request.end();
  });
  assert.equal(upgraded, 101);
});

test("a taken port stops the start with threads too", async (context) => {
  const config = await configIn(folderFor(context), "control: {threads: 2}\n");
  const squatter = createServer();
  squatter.listen(config.listenAddr.port, "127.0.0.1");
  await once(squatter, "listening");
  context.after(() => squatter.close());
  await assert.rejects(
    startServer(config, { log: createLogger({ level: "silent", format: "text" }) }),
    /something else listens on 127\.0\.0\.1, port/,
  );
});

test("with a certificate the main listener speaks TLS, HTTP/1.1 only, from 1.2 on", async (context) => {
  const folder = folderFor(context);
  const day = 86_400_000;
  const leaf = makeLeaf(["127.0.0.1"], Date.now() - day, Date.now() + day);
  writeFileSync(join(folder, "cert.pem"), leaf.certPem);
  writeFileSync(join(folder, "key.pem"), leaf.keyPem);
  const config = await configIn(folder, `tls_cert_path: ${folder}/cert.pem\ntls_key_path: ${folder}/key.pem\n`);
  const server = await run(context, { ...config, serverUrl: config.serverUrl.replace("http:", "https:") });
  const { port } = new URL(config.serverUrl);
  const socket = tlsConnect({
    host: "127.0.0.1",
    port: Number(port),
    ca: leaf.certPem,
    ALPNProtocols: ["h2", "http/1.1"],
  });
  await once(socket, "secureConnect");
  assert.equal(socket.alpnProtocol, "http/1.1");
  socket.write("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200 OK/);
  assert.equal(server.problems.length, 0);
  assert.ok(!server.listening.some((line) => line.includes("own certificate")), "the relay is behind the same door");
  const old = tlsConnect({
    host: "127.0.0.1",
    port: Number(port),
    ca: leaf.certPem,
    maxVersion: "TLSv1.1",
    minVersion: "TLSv1",
  });
  await assert.rejects(once(old, "secureConnect"));
});
