// The edge over real sockets, with a core that only records: what comes up, what goes down, and what misbehaving
// clients cannot do.
import assert from "node:assert/strict";
import { type ClientHttp2Session, connect as http2Connect } from "node:http2";
import { connect as tcpConnect, type Socket } from "node:net";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Duplex } from "node:stream";
import { WebSocket, createWebSocketStream } from "ws";
import { generatePrivateKey, type PrivateKey } from "../wire/keys.ts";
import { responseLength, startHandshake } from "../wire/noise.ts";
import { maxPlaintextLength, RecordReader, RecordWriter } from "../wire/record.ts";
import { mostAsked } from "./asking-limits.ts";
import { latencyBounds } from "./latency.ts";
import { edgeRig, message, seams, until } from "./edge-rig.test-data.ts";
import { connectNoise, type NoiseClient, upgrade } from "./noise-client.test-data.ts";
import { textReply } from "./reply.ts";

for (const seam of seams) {
  test(`a request comes up whole, with the machine key that the handshake proved (${seam})`, async (context) => {
    const rig = await edgeRig(context, { seam });
    const client = await rig.connect();
    const body = "x".repeat(300_000);
    const [large, small] = await Promise.all([
      client.request("POST", "/machine/register?a=b", body),
      client.request("GET", "/machine/whoami"),
    ]);
    assert.equal(large.body.toString(), "POST /machine/register?a=b 300000 142");
    assert.equal(small.body.toString(), "GET /machine/whoami 0 142");
    assert.deepEqual(
      rig.requests.map((request) => request.machineKey),
      [client.machineKey, client.machineKey],
    );
    assert.equal(rig.requests[0]?.source, "127.0.0.1");
  });
}

test("the handshake's answer and the server's SETTINGS are the first that a client reads", async (context) => {
  const rig = await edgeRig(context);
  const started = startHandshake({
    version: 113,
    machineKey: generatePrivateKey(),
    serverPublic: rig.noiseKey.publicRaw,
  });
  assert.ok(started.ok);
  const { socket, head, status } = await upgrade(rig.port, {
    upgrade: "tailscale-control-protocol",
    connection: "upgrade",
    "x-tailscale-handshake": Buffer.from(started.initiation).toString("base64"),
  });
  context.after(() => socket.destroy());
  assert.equal(status, 101);
  const bytes =
    head.length > responseLength ? head : Buffer.concat([head, ...((await once(socket, "data")) as [Buffer])]);
  const finished = started.finish(bytes.subarray(0, responseLength));
  assert.ok(finished.ok);
  const plaintext: Buffer[] = [];
  new RecordReader(finished.receiveKey).push(bytes.subarray(responseLength), (part) =>
    plaintext.push(Buffer.from(part)),
  );
  assert.equal(Buffer.concat(plaintext)[3], 4, "a SETTINGS frame");
});

test("a server of another key gets nowhere: the protocol is switched and the connection ends", async (context) => {
  const rig = await edgeRig(context);
  await assert.rejects(
    connectNoise({ port: rig.port, serverKey: generatePrivateKey().publicRaw }),
    /closed during the handshake/,
  );
  assert.equal(rig.counters.handshakesFailed, 1);
  assert.equal(rig.counters.connectionsOpened, 0);
});

/** The bytes of an upgrade request, as a client sends them. */
function upgradeRequest(serverKey: Uint8Array): string {
  const started = startHandshake({ version: 142, machineKey: generatePrivateKey(), serverPublic: serverKey });
  assert.ok(started.ok);
  return (
    "POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n" +
    `X-Tailscale-Handshake: ${Buffer.from(started.initiation).toString("base64")}\r\n\r\n`
  );
}

test("no handshake is done for a client that gave up while it waited, however it left", async (context) => {
  const rig = await edgeRig(context, { silent: 1 });
  const served = await rig.connect();
  const leave: ((socket: Socket) => unknown)[] = [
    (socket) => socket.end(),
    (socket) => socket.resetAndDestroy(),
    (socket) => socket.destroy(),
  ];
  for (const [index, go] of leave.entries()) {
    const socket = tcpConnect(rig.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(upgradeRequest(rig.noiseKey.publicRaw));
    await until(() => rig.waiting() === index + 1);
    go(socket);
  }
  const patient = rig.connect();
  await until(() => rig.waiting() === leave.length + 1);
  assert.equal(rig.counters.connectionsOpened, 1);
  await served.request("GET", "/machine/whoami");
  await patient;
  assert.equal(rig.counters.connectionsOpened, 2);
  assert.equal(rig.counters.handshakesAbandoned, leave.length);
});

test("a client that waited for too long is told to come again, natively and as a browser", async (context) => {
  const rig = await edgeRig(context, { silent: 1 });
  await rig.connect();
  const socket = tcpConnect(rig.port, "127.0.0.1");
  socket.write(upgradeRequest(rig.noiseKey.publicRaw));
  const browser = new WebSocket(`ws://127.0.0.1:${rig.port}/ts2021?X-Tailscale-Handshake=${"A".repeat(135)}%3D`, [
    "tailscale-control-protocol",
  ]);
  const closed = once(browser, "close");
  await once(browser, "open");
  await until(() => rig.waiting() === 2);
  rig.clock.advance(8100);
  const parts: Buffer[] = [];
  for await (const part of socket) {
    parts.push(part as Buffer);
  }
  assert.match(Buffer.concat(parts).toString(), /^HTTP\/1\.1 503 Service Unavailable\r\n.*retry-after: 1\r\n/s);
  assert.equal((await closed)[0], 1013);
  assert.deepEqual([rig.counters.handshakesTurnedAway, rig.counters.connectionsOpened], [2, 1]);
});

test("malformed upgrades are told what is missing", async (context) => {
  const rig = await edgeRig(context);
  const ask = async (text: string): Promise<string> => {
    const socket = tcpConnect(rig.port, "127.0.0.1");
    socket.end(text);
    const parts: Buffer[] = [];
    for await (const part of socket) {
      parts.push(part as Buffer);
    }
    return Buffer.concat(parts).toString();
  };
  const post = (headers: string): string => `POST /ts2021 HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
  const noise = "Upgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n";
  assert.match(await ask(post("Connection: close\r\n")), /^HTTP\/1\.1 400 .*missing next protocol/s);
  assert.match(await ask(post("Upgrade: spdy\r\nConnection: upgrade\r\n")), /400 .*unknown next protocol/s);
  assert.match(await ask(post(noise)), /400 .*missing Tailscale handshake header/s);
  assert.match(await ask(post(`${noise}X-Tailscale-Handshake: !!!\r\n`)), /400 .*invalid tailscale handshake header/s);
  assert.match(
    await ask(post(`${noise}X-Tailscale-Handshake: ${Buffer.alloc(100).toString("base64")}\r\n`)),
    /^HTTP\/1\.1 101 [^\r]*\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n$/,
  );
  assert.match(await ask(`GET /ts2021 HTTP/1.1\r\nHost: x\r\n${noise}\r\n`), /405/);
  assert.match(await ask(`GET /elsewhere HTTP/1.1\r\nHost: x\r\n${noise}\r\n`), /404 .*x-frame-options: DENY/s);
});

/** A connection on which Node's own HTTP/2 client speaks. */
async function nodeHttp2(
  context: TestContext,
  rig: { readonly port: number; readonly noiseKey: PrivateKey },
): Promise<ClientHttp2Session> {
  const started = startHandshake({
    version: 142,
    machineKey: generatePrivateKey(),
    serverPublic: rig.noiseKey.publicRaw,
  });
  assert.ok(started.ok);
  const { socket, head } = await upgrade(rig.port, {
    upgrade: "tailscale-control-protocol",
    connection: "upgrade",
    "x-tailscale-handshake": Buffer.from(started.initiation).toString("base64"),
  });
  const bytes = head.length > 0 ? head : ((await once(socket, "data")) as [Buffer])[0];
  const finished = started.finish(bytes.subarray(0, responseLength));
  assert.ok(finished.ok);
  const reader = new RecordReader(finished.receiveKey);
  const writer = new RecordWriter(finished.sendKey);
  const plain = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (let at = 0; at < chunk.length; at += maxPlaintextLength) {
        const part = chunk.subarray(at, at + maxPlaintextLength);
        socket.write(writer.seal([part], part.length) ?? Buffer.alloc(0));
      }
      done();
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  const take = (chunk: Buffer): void => {
    reader.push(chunk, (part) => plain.push(Buffer.from(part)));
  };
  take(bytes.subarray(responseLength));
  socket.on("data", take);
  socket.on("error", () => socket.destroy());
  const session: ClientHttp2Session = http2Connect("http://unused", { createConnection: () => plain });
  context.after(() => session.destroy());
  return session;
}

test("Node's own HTTP/2 client finds our end of the protocol to its liking", async (context) => {
  const rig = await edgeRig(context);
  rig.answer = (request) =>
    rig.link.reply(request.id, {
      ...textReply(200, request.method + request.path + "y".repeat(request.body.length)),
      known: true,
    });
  const session = await nodeHttp2(context, rig);
  await once(session.request({ ":path": "/machine/first" }).resume(), "end");
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const stream = session.request(
        { ":method": index % 2 === 0 ? "POST" : "GET", ":path": `/machine/${index}` },
        { endStream: false },
      );
      stream.end(Buffer.alloc(index * 3000));
      const parts: Buffer[] = [];
      for await (const part of stream) {
        parts.push(part as Buffer);
      }
      return Buffer.concat(parts).toString();
    }),
  );
  answers.forEach((text, index) => {
    assert.ok(text === `${index % 2 === 0 ? "POST" : "GET"}/machine/${index}${"y".repeat(index * 3000)}`, `${index}`);
  });
});

test("browsers speak the same over a WebSocket", async (context) => {
  const rig = await edgeRig(context);
  const started = startHandshake({
    version: 142,
    machineKey: generatePrivateKey(),
    serverPublic: rig.noiseKey.publicRaw,
  });
  assert.ok(started.ok);
  const query = encodeURIComponent(Buffer.from(started.initiation).toString("base64"));
  const open = (text: string, protocols: string[]) =>
    new WebSocket(`ws://127.0.0.1:${rig.port}/ts2021?X-Tailscale-Handshake=${text}`, protocols, {
      origin: "https://anywhere.example",
    });
  const client = open(query, ["tailscale-control-protocol"]);
  const stream = createWebSocketStream(client);
  const [first] = (await once(stream, "data")) as [Buffer];
  assert.ok(started.finish(first.subarray(0, responseLength)).ok);
  assert.equal(client.protocol, "tailscale-control-protocol");
  assert.equal(client.extensions, "", "nothing is compressed");
  client.terminate();
  const broken = open("AAAA", ["tailscale-control-protocol"]);
  const [code] = (await once(broken, "close")) as [number];
  assert.equal(code, 1008);
});

test("a body over a megabyte is refused, and the connection serves on", async (context) => {
  const rig = await edgeRig(context);
  const client = await rig.connect();
  const refused = await client.request("POST", "/machine/map", Buffer.alloc(1024 * 1024 + 1));
  assert.equal(refused.status, 413);
  assert.equal((await client.request("POST", "/machine/map", Buffer.alloc(1024 * 1024))).status, 200);
  assert.equal(rig.requests.length, 1, "what is too large never reaches the core");
});

test("unfinished bodies take no more memory than their budget, and give it back", async (context) => {
  const rig = await edgeRig(context, { bodies: 600_000 });
  const client = await rig.connect();
  for (let round = 0; round < 3; round++) {
    assert.equal((await client.request("POST", "/machine/map", Buffer.alloc(400_000))).status, 503);
    assert.equal((await client.request("POST", "/machine/map", Buffer.alloc(200_000))).status, 200);
  }
});

test("a body that does not end is given up, and its memory with it", async (context) => {
  const rig = await edgeRig(context, { bodies: 400_000 });
  const session = await nodeHttp2(context, rig);
  const stalled = session.request({ ":method": "POST", ":path": "/machine/map" }, { endStream: false });
  stalled.on("error", () => undefined);
  stalled.write(Buffer.alloc(150_000));
  const other = await rig.connect();
  // The stalled one holds most of the room, for which its source alone pays.
  while ((await other.request("POST", "/machine/map", Buffer.alloc(150_000))).status === 200) {
    await turn();
  }
  rig.clock.advance(20_000);
  const [head] = (await once(stalled, "response")) as [{ ":status": number }];
  assert.equal(head[":status"], 408);
  assert.equal((await other.request("POST", "/machine/map", Buffer.alloc(150_000))).status, 200);
});

test("a stranger has few requests under way at once, a node many", async (context) => {
  const rig = await edgeRig(context);
  rig.answer = () => {};
  const stranger = await rig.connect();
  const requests = Array.from({ length: 20 }, () => stranger.request("POST", "/machine/register", "{}"));
  requests.forEach((request) => request.catch(() => undefined));
  const refused = await Promise.all(requests.slice(16));
  assert.deepEqual(
    refused.map((answer) => answer.status),
    [503, 503, 503, 503],
  );
  assert.equal(rig.requests.length, 16);

  rig.answer = (request) => rig.link.reply(request.id, { ...textReply(200, "node"), known: true });
  const node = await rig.connect();
  await node.request("POST", "/machine/map", "{}");
  const many = await Promise.all(Array.from({ length: 60 }, () => node.request("POST", "/machine/map", "{}")));
  assert.ok(many.every((answer) => answer.status === 200));
});

test("a stranger that asks without end loses its connection, and a node may ask as often as it likes", async (context) => {
  const rig = await edgeRig(context);
  let known = false;
  rig.answer = (request) => rig.link.reply(request.id, { ...textReply(200, "x"), known });
  const patient = await rig.connect();
  for (let round = 0; round < 3; round++) {
    for (let count = 0; count < mostAsked.requests; count++) {
      assert.equal((await patient.request("GET", "/machine/x")).status, 200);
    }
    rig.clock.advance(mostAsked.withinMs);
  }
  const flood = await rig.connect();
  const asked = async (client: NoiseClient): Promise<number> => {
    for (let count = 0; count < 1000; count++) {
      const answer = await client.request("GET", "/machine/x").catch(() => undefined);
      if (answer === undefined) {
        return count;
      }
    }
    return 1000;
  };
  assert.equal(await asked(flood), mostAsked.requests);
  known = true;
  assert.equal(await asked(await rig.connect()), 1000);
});

for (const who of ["stranger", "node"] as const) {
  test(`a ${who} that asks on and on and reads no answer is cut, and one that reads is not`, async (context) => {
    const rig = await edgeRig(context);
    const body = Buffer.alloc(16_384);
    rig.answer = (request) =>
      rig.link.reply(request.id, { status: 200, contentType: "text/plain", body, known: who === "node" });
    const reading = await rig.connect();
    for (let count = 0; count < 200; count++) {
      assert.equal((await reading.request("GET", "/machine/x")).status, 200);
    }
    const deaf = await rig.connect();
    await deaf.request("GET", "/machine/x");
    deaf.socket.pause();
    let asked = 0;
    while (rig.counters.streamsCut === 0 && asked < 20_000) {
      for (let count = 0; count < 10; count++, asked++) {
        deaf.request("GET", "/machine/x").catch(() => undefined);
      }
      await turn();
      // Slowly enough for a stranger, and soon enough not to be cut for its silence.
      rig.clock.advance(400);
    }
    assert.equal(rig.counters.streamsCut, 1);
    deaf.socket.resume();
    await deaf.closed;
    assert.equal((await reading.request("GET", "/machine/x")).status, 200);
  });
}

for (const seam of seams) {
  test(`a request that the client takes back is cancelled, and so are those of a lost connection (${seam})`, async (context) => {
    const rig = await edgeRig(context, { seam });
    rig.answer = () => {};
    const client = await rig.connect();
    const leaving = new AbortController();
    const first = client.request("POST", "/machine/register", "{}", leaving.signal);
    const second = client.request("POST", "/machine/register", "{}");
    await until(() => rig.requests.length === 2);
    leaving.abort();
    await assert.rejects(first);
    await until(() => rig.seen.length === 1);
    client.close();
    await assert.rejects(second);
    await until(() => rig.seen.length === 2);
    assert.deepEqual(rig.seen, ["cancelled 1", "cancelled 2"]);
    rig.link.reply(1, textReply(200, "too late"));
  });
}

for (const seam of seams) {
  test(`map messages reach the session in order, and its end follows the last one (${seam})`, async (context) => {
    const rig = await edgeRig(context, { seam });
    rig.answer = (request) => rig.link.openStream(request.id, 64);
    const client = await rig.connect();
    const stream = await client.map({});
    const shared = message({ n: 1, text: "z".repeat(100_000) });
    rig.link.deliver(shared, [64, 128]);
    rig.link.deliver(message({ n: 2 }), [64]);
    rig.link.end(64);
    rig.link.deliver(message({ n: 3 }), [64]);
    assert.equal(((await stream.next()) as { n: number }).n, 1);
    assert.deepEqual(await stream.next(), { n: 2 });
    assert.equal(await stream.next(), undefined);
    await until(() => rig.seen.includes("closed 64"));
    assert.equal(rig.counters.messagesDelivered, 2);
  });
}

for (const seam of seams) {
  test(`the time from a change to its bytes is counted once for each session that is told (${seam})`, async (context) => {
    const rig = await edgeRig(context, { seam });
    let session = 0;
    rig.answer = (request) => {
      session += 64;
      rig.link.openStream(request.id, session);
    };
    const streams = [];
    for (let count = 0; count < 3; count++) {
      streams.push(await (await rig.connect()).map({}));
    }
    const acceptedAt = rig.clock.now();
    rig.link.deliver(message({ full: "map" }), [64, 128, 192]);
    rig.clock.advance(30);
    rig.link.deliver(message({ n: 1 }), [64, 128, 192, 256], acceptedAt);
    for (const stream of streams) {
      await stream.next();
      assert.deepEqual(await stream.next(), { n: 1 });
    }
    const { counts, sum } = rig.counters.propagation;
    const bucket = latencyBounds.indexOf(0.03);
    assert.deepEqual(
      counts,
      counts.map((_, index) => (index === bucket ? 3 : 0)),
      "full maps are no news, sessions that are over are not told",
    );
    assert.ok(Math.abs(sum - 0.09) < 1e-9);
  });
}

for (const seam of seams) {
  test(`a client that leaves its stream closes the session once (${seam})`, async (context) => {
    const rig = await edgeRig(context, { seam });
    rig.answer = (request) => rig.link.openStream(request.id, 64);
    const client = await rig.connect();
    const stream = await client.map({});
    stream.cancel();
    await until(() => rig.seen.length > 0);
    client.close();
    await client.closed;
    await turn();
    assert.deepEqual(rig.seen, ["closed 64"]);
  });
}

for (const seam of seams) {
  test(`a session whose client does not read is blocked, drains when it reads, and is cut when it never does (${seam})`, async (context) => {
    const rig = await edgeRig(context, { seam });
    rig.answer = (request) => rig.link.openStream(request.id, request.id * 64);
    const reading = await rig.connect();
    const stream = await reading.map({});
    reading.socket.pause();
    const large = message({ text: "q".repeat(1_000_000) });
    for (let count = 0; count < 20; count++) {
      rig.link.deliver(large, [64]);
    }
    await until(() => rig.seen.length > 0);
    assert.deepEqual(rig.seen, ["blocked 64"]);
    reading.socket.resume();
    for (let count = 0; count < 20; count++) {
      await stream.next();
    }
    await until(() => rig.seen.includes("drained 64"));

    const deaf = await rig.connect();
    await deaf.map({});
    deaf.socket.pause();
    for (let count = 0; count < 20; count++) {
      rig.link.deliver(large, [128]);
    }
    await until(() => rig.seen.includes("blocked 128"));
    rig.clock.advance(100_000);
    await until(() => rig.seen.includes("closed 128"));
    assert.equal(rig.counters.streamsCut, 1);
    assert.ok(!rig.seen.includes("closed 64"), "the one that reads stays");
  });
}

test("one machine has at most so many connections, and loses its own oldest idle one", async (context) => {
  const rig = await edgeRig(context, { perMachine: 3 });
  const machine = generatePrivateKey();
  const other = await rig.connect();
  rig.answer = (request) => rig.link.openStream(request.id, 64);
  const streaming = await rig.connect(machine);
  await streaming.map({});
  const idle = await rig.connect(machine);
  await rig.connect(machine);
  await rig.connect(machine);
  await idle.closed;
  assert.equal(streaming.socket.destroyed, false);
  assert.equal(other.socket.destroyed, false);
});

test("strangers beyond the bound push out their own kind, not known nodes", async (context) => {
  const rig = await edgeRig(context, { strangers: 4 });
  rig.answer = (request) => rig.link.reply(request.id, { ...textReply(200, "node"), known: true });
  const known = await rig.connect();
  await known.request("GET", "/machine/map");
  const strangers: NoiseClient[] = [];
  for (let count = 0; count < 8; count++) {
    strangers.push(await rig.connect());
  }
  await Promise.all(strangers.slice(0, 4).map((stranger) => stranger.closed));
  assert.equal(known.socket.destroyed, false);
  await until(() => rig.counters.connectionsOpen === 5);
});

test("who ends the handshake and says nothing is shown out, who says something idle later", async (context) => {
  const rig = await edgeRig(context);
  const silent = await rig.connect();
  const idle = await rig.connect();
  await idle.request("GET", "/machine/x");
  rig.clock.advance(16_000);
  await silent.closed;
  assert.equal(idle.socket.destroyed, false);
  rig.clock.advance(120_000);
  await idle.closed;
});

test("a client that holds back its header lines is cut off", async (context) => {
  const rig = await edgeRig(context, { headersTimeoutMs: 200 });
  const socket = tcpConnect(rig.port, "127.0.0.1");
  socket.write("POST /ts2021 HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  const drip = setInterval(() => socket.write("a"), 20);
  context.after(() => clearInterval(drip));
  socket.on("error", () => {});
  socket.resume();
  await once(socket, "close");
});

test("header lines over 16 KiB and over a hundred are not taken in", async (context) => {
  const rig = await edgeRig(context);
  const response = await fetch(`http://127.0.0.1:${rig.port}/`, { headers: { "x-large": "a".repeat(20_000) } });
  assert.ok(response.status >= 400 && response.status < 500);
});

test("bytes that are no record, and records that are no HTTP/2, end the connection alone", async (context) => {
  const rig = await edgeRig(context);
  const other = await rig.connect();
  const garbage = await rig.connect();
  garbage.socket.write(Buffer.from("04ffff00", "hex"));
  await garbage.closed;
  assert.equal((await other.request("GET", "/machine/x")).status, 200);
});
