// Every door of a server under bytes that nobody sends in good faith. A fault that nothing caught fails these tests by
// itself: the runner takes an uncaught exception for a failure. At the end of each the doors must still answer.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { connect, type NetConnectOpts } from "node:net";
import { test, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { createListener, type UpgradeHandler } from "../../src/control/listener.ts";
import { createDerpServer } from "../../src/relay/derp-server.ts";
import { generatePrivateKey } from "../../src/wire/keys.ts";
import { controlWorld, type ControlWorld } from "../control-world.ts";
import { freePort } from "../free-port.ts";
import { generousSeconds, until } from "../patience.ts";

interface Doors {
  readonly world: ControlWorld;
  readonly main: NetConnectOpts;
  readonly local: NetConnectOpts;
  readonly metrics: NetConnectOpts;
  readonly grpc: NetConnectOpts;
  readonly relay: NetConnectOpts;
  readonly stunPort: number;
}

async function openDoors(context: TestContext): Promise<Doors> {
  const grpcPort = await freePort();
  const world = await controlWorld(context, {
    metrics: true,
    extraConfig: `grpc_listen_addr: 127.0.0.1:${grpcPort}\ngrpc_allow_insecure: true`,
  });
  const host = "127.0.0.1";
  const { server } = world;
  const said = server.listening.join("\n");
  const portOf = (pattern: RegExp): number => Number(pattern.exec(said)?.[1] ?? assert.fail(said));
  return {
    world,
    main: { host, port: server.ports.main },
    local: { path: server.config.unixSocket },
    metrics: { host, port: server.ports.metrics ?? 0 },
    grpc: { host, port: grpcPort },
    relay: { host, port: portOf(/own certificate\) on TCP port (\d+)/) },
    stunPort: portOf(/STUN on UDP port (\d+)/),
  };
}

/** For an answer after which the server ends the connection. */
const untilAnsweredMs = generousSeconds * 1000;

/** Sends the bytes and collects what comes until the end, or for so long. */
function throwAt(where: NetConnectOpts, bytes: Uint8Array, patienceMs = 60, tls = false): Promise<string> {
  return new Promise((done) => {
    const socket = tls ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where);
    const heard: Buffer[] = [];
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => heard.push(chunk));
    const timer = setTimeout(() => socket.destroy(), patienceMs);
    socket.on("close", () => {
      clearTimeout(timer);
      done(Buffer.concat(heard).toString("latin1"));
    });
    socket.on(tls ? "secureConnect" : "connect", () => socket.write(bytes));
  });
}

async function stillOpen({ world, metrics, local, relay }: Doors): Promise<void> {
  assert.equal((await fetch(new URL("/health", world.url))).status, 200);
  const get = (path: string): Buffer => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  assert.match(await throwAt(metrics, get("/health"), untilAnsweredMs), /^HTTP\/1\.1 200/);
  assert.match(await throwAt(local, get("/api/v1/health"), untilAnsweredMs), /^HTTP\/1\.1 200/);
  assert.match(await throwAt(relay, get("/derp/probe"), untilAnsweredMs, true), /^HTTP\/1\.1 200/);
  const node = await world.join();
  assert.ok(node.netmap.self !== undefined);
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const line = fc.constantFrom(
  "GET / HTTP/1.1",
  "GET /derp HTTP/1.1",
  "POST /verify HTTP/1.1",
  "CONNECT x:1 HTTP/1.1",
  "PRI * HTTP/2.0",
  "GET //..//%00%ff/../api/v1/node?a=%zz HTTP/1.1",
  "GET /register/hskey-authreq-%0d%0aX HTTP/1.1",
  "GET http://evil.example/api/v1/user HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "POST /api/v1/node/%2e%2e%2f%2e%2e%2fuser HTTP/1.0",
  "DELETE /swagger/../api HTTP/1.1",
);
const header = fc.constantFrom(
  "Host: x",
  "Host: a\r\nHost: b",
  "Host: \u0001",
  "Content-Length: 5\r\nTransfer-Encoding: chunked",
  "Content-Length: 5\r\nContent-Length: 6",
  "Content-Length: -1",
  "Content-Length: 99999999999999999999",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding:\u000bchunked",
  "Transfer-Encoding: gzip, chunked",
  "Content-Encoding: gzip",
  "Expect: 100-continue",
  "Expect: surprise",
  "Upgrade: DERP\r\nConnection: Upgrade",
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 99",
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: derp",
  "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
  "Authorization: Bearer \u00e9",
  "Authorization: Bearer",
  `X-Long: ${"x".repeat(20_000)}`,
  "X-Folded: a\r\n b",
  "bad header",
  "X-Nul: a\0b",
);
const request = fc
  .record({ line, headers: fc.array(header, { maxLength: 4 }), body: fc.uint8Array({ maxLength: 200 }) })
  .map((given) =>
    Buffer.concat([Buffer.from(`${given.line}\r\n${given.headers.join("\r\n")}\r\n\r\n`, "latin1"), given.body]),
  );
const rubbish = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([preface, bytes])),
  request,
);

test("no listener falls over random bytes, broken requests and broken HTTP/2", async (context) => {
  const doors = await openDoors(context);
  await fc.assert(
    fc.asyncProperty(fc.array(rubbish, { minLength: 6, maxLength: 6 }), async (thrown) => {
      const [a, b, c, d, e, f] = thrown;
      const targets: readonly [NetConnectOpts, Buffer | undefined, boolean][] = [
        [doors.main, a, false],
        [doors.local, b, false],
        [doors.metrics, c, false],
        [doors.grpc, d, false],
        [doors.relay, e, false],
        [doors.relay, f, true],
      ];
      await Promise.all(targets.map(([where, bytes, tls]) => throwAt(where, bytes ?? preface, 60, tls)));
    }),
    { numRuns: 40 },
  );
  const udp = createSocket("udp4");
  context.after(() => udp.close());
  let answers = 0;
  udp.on("message", () => answers++);
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 1400 }),
      (bytes) =>
        new Promise<void>((done) => {
          udp.send(bytes, doors.stunPort, "127.0.0.1", () => done());
        }),
    ),
    { numRuns: 100 },
  );
  assert.equal(answers, 0, "what is no question of a client is not answered");
  await stillOpen(doors);
});

test("of a request with two lengths there is one answer and no second request", async (context) => {
  const { main } = await openDoors(context);
  const smuggled = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const headers of [
    `Content-Length: ${smuggled.length}\r\nTransfer-Encoding: chunked`,
    "Content-Length: 0\r\nContent-Length: 40",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding : chunked",
    "Content-Length: +5",
    "Content-Length: 0x5",
  ]) {
    const bytes = Buffer.from(`POST /verify HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n0\r\n\r\n${smuggled}`);
    const answer = await throwAt(main, bytes, untilAnsweredMs);
    assert.equal([...answer.matchAll(/HTTP\/1\.1 \d/g)].length, 1, `${headers}: ${answer.slice(0, 200)}`);
    assert.match(answer, /^HTTP\/1\.1 400/, headers);
  }
});

test("compressed bodies are not unpacked, and bodies have an end", async (context) => {
  const { world } = await openDoors(context);
  const made = await world.server.tailnet.createApiKey(world.actor, { expiration: null });
  assert.ok(made.ok);
  const headers = { authorization: `Bearer ${made.value.secret}`, "content-encoding": "gzip" };
  const bomb = gzipSync(Buffer.alloc(32 * 1024 * 1024, " "));
  for (const path of ["/api/v1/policy", "/api/v1/user", "/verify"]) {
    const method = path.endsWith("policy") ? "PUT" : "POST";
    const { status } = await fetch(new URL(path, world.url), { method, headers, body: bomb });
    assert.ok(status === 400 || status === 413, `${path}: ${status}`);
  }
  const large = Buffer.alloc(5 * 1024 * 1024, " ");
  const answer = await fetch(new URL("/api/v1/user", world.url), {
    method: "POST",
    headers: { authorization: `Bearer ${made.value.secret}` },
    body: large,
  });
  assert.equal(answer.status, 413);
  const unknown = await fetch(new URL("/api/v1/user", world.url), { method: "POST", body: large });
  assert.equal(unknown.status, 401, "a stranger's body is not kept");
});

const upgradeHead =
  "POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n";

test("hundreds of half-open and broken handshakes keep nobody out, and the broken ones are let go", async (context) => {
  const { world, main } = await openDoors(context);
  const texts = [
    `${upgradeHead}X-Tailscale-Hand`,
    `${upgradeHead}X-Tailscale-Handshake: ${"A".repeat(136)}\r\n\r\n`,
    `${upgradeHead}\r\n`,
  ];
  const sockets = Array.from({ length: 600 }, (_, index) => {
    // Their end is never answered with ours.
    const socket = connect({ ...main, allowHalfOpen: true });
    socket.on("error", () => {});
    socket.resume();
    socket.write(texts[index % texts.length] ?? "");
    return socket;
  });
  context.after(() => sockets.forEach((socket) => socket.destroy()));
  const joined = await world.join({ hostname: "honest" });
  assert.ok(joined.netmap.self !== undefined);
  const ended = (): number => sockets.filter(({ readableEnded }) => readableEnded).length;
  await until("the broken ones are told that it is over", () => ended() >= 400);
  assert.equal(world.server.tailnet.nodes().length, 1);
});

test("a connection that was refused is not kept for a client that does not close", async (context) => {
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const relay = createDerpServer({ privateKey: generatePrivateKey(), admit: () => true });
  const listener = createListener({
    handlers: [],
    upgrades: new Map<string, UpgradeHandler>([
      ["/derp", (req, socket, head) => relay.handleUpgrade(req, socket, head)],
    ]),
    log: silent,
  });
  const { port } = await listener.listen("127.0.0.1", 0);
  context.after(() => listener.close());
  const sockets = [
    "GET /nothing HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n",
    "GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n",
    "no HTTP at all\r\n\r\n",
  ].map((text) => {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.on("error", () => {});
    socket.resume();
    socket.write(text);
    return socket;
  });
  context.after(() => sockets.forEach((socket) => socket.destroy()));
  await until("each is answered", () => sockets.every(({ bytesRead }) => bytesRead > 0));
  let open = 3;
  await until("the server has closed them", () => {
    listener.server.getConnections((_error, count) => {
      open = count;
    });
    return open === 0;
  });
});
