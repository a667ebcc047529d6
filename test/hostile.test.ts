// A live server under random and changed input on every layer: it must neither fall over, nor forget its well-behaved
// nodes, nor take in what it should not. The seed of a failing run is printed by fast-check.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import { ControlConnection } from "../sim/control-connection.ts";
import { newMeter } from "../sim/meter.ts";
import { clientPreface, frameHeader, frames, settingsFrame } from "../src/wire/h2-frames.ts";
import { generatePrivateKey } from "../src/wire/keys.ts";
import { startHandshake } from "../src/wire/noise.ts";
import { controlWorld, type ControlWorld } from "./control-world.ts";
import { until } from "./patience.ts";

/** A node that is served well is the proof that the server lives. */
async function stillServes(world: ControlWorld): Promise<void> {
  const sim = await world.join({ hostname: "witness" });
  assert.ok(sim.netmap.self !== undefined);
  sim.close();
  const { self } = sim.netmap;
  await world.server.tailnet.deleteNode(world.actor, self.ID);
}

/** Sends bytes to a fresh socket, reads what comes, and ends. */
function throwAt(url: URL, bytes: Uint8Array): Promise<void> {
  return new Promise((done) => {
    const socket = connect(Number(url.port), url.hostname);
    socket.on("error", () => {});
    socket.on("close", () => done());
    socket.resume();
    socket.end(bytes);
    setTimeout(() => socket.destroy(), 50);
  });
}

function upgradeRequest(header: string): Buffer {
  return Buffer.from(
    `POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\nX-Tailscale-Handshake: ${header}\r\n\r\n`,
    "latin1",
  );
}

test("bytes thrown at the port, upgrades with broken handshakes, changed initiations", async (context) => {
  const world = await controlWorld(context);
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        fc.string({ maxLength: 200 }).map(upgradeRequest),
        fc.tuple(fc.nat(100), fc.nat(255), fc.uint8Array({ maxLength: 100 })).map(([at, value, behind]) => {
          const start = startHandshake({
            version: 142,
            machineKey: generatePrivateKey(),
            serverPublic: world.serverPublic,
          });
          assert.ok(start.ok);
          const initiation = Buffer.from(start.initiation);
          initiation[at] = value;
          return Buffer.concat([upgradeRequest(initiation.toString("base64")), behind]);
        }),
      ),
      (bytes) => throwAt(world.url, bytes),
    ),
    { numRuns: 60 },
  );
  await stillServes(world);
});

function open(world: ControlWorld): Promise<ControlConnection> {
  return ControlConnection.open({
    url: world.url,
    serverPublic: world.serverPublic,
    machineKey: generatePrivateKey(),
    version: 142,
    meter: newMeter(),
  });
}

test("after the handshake: random bytes as records, random frames in records", async (context) => {
  const world = await controlWorld(context);
  const frame = fc
    .record({
      type: fc.oneof(fc.constantFrom(...Object.values(frames)), fc.nat(255)),
      flags: fc.nat(255),
      stream: fc.nat(9),
      payload: fc.uint8Array({ maxLength: 100 }),
    })
    .map(({ type, flags, stream, payload }) =>
      Buffer.concat([frameHeader(payload.length, type, flags, stream), payload]),
    );
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 20 }),
      fc.uint8Array({ maxLength: 60 }),
      fc.boolean(),
      async (list, raw, asRecords) => {
        const connection = await open(world);
        if (asRecords) {
          connection.writePlaintext(Buffer.concat([clientPreface, settingsFrame([]), ...list]));
        }
        connection.writeRaw(raw);
        await new Promise((done) => setTimeout(done, 5));
        connection.close();
      },
    ),
    { numRuns: 60 },
  );
  await stillServes(world);
});

test("requests with any values in any fields are answered, and change nobody else", async (context) => {
  const world = await controlWorld(context);
  const bystander = await world.join({ hostname: "bystander" });
  const before = world.server.tailnet.nodes().length;
  const value = fc.jsonValue({ maxDepth: 3 });
  const sim = world.client();
  const registerNames = Object.keys(sim.registerBody({ authKey: "x" }));
  const mapNames = [...Object.keys(sim.mapBody({})), "Stream", "OmitPeers", "ReadOnly", "Endpoints", "TKAHead"];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("/machine/register", "/machine/map", "/machine/set-dns", "/machine/tka/sync/offer", "/machine/x"),
      fc.constantFrom("POST", "GET", "PATCH"),
      fc.array(fc.tuple(fc.nat(30), value), { maxLength: 4 }),
      async (path, method, changes) => {
        const isMap = path === "/machine/map";
        const names = isMap ? mapNames : registerNames;
        const fields = Object.fromEntries(changes.map(([index, field]) => [names[index % names.length], field]));
        const base = isMap ? sim.mapBody({ OmitPeers: true }) : sim.registerBody();
        const { status } = await sim.request(method, path, { ...base, ...fields });
        assert.ok(status >= 200 && status < 600, `${path}: ${status}`);
        assert.ok(status !== 500, `${path} ${JSON.stringify(fields).slice(0, 300)}`);
      },
    ),
    { numRuns: 120 },
  );
  assert.equal(world.server.tailnet.nodes().length, before);
  assert.ok((await bystander.request("GET", "/machine/whoami")).status > 0);
  await stillServes(world);
});

test("what one node says of itself cannot break the map of another", async (context) => {
  const world = await controlWorld(context);
  const watcher = await world.join({ hostname: "watcher" });
  const odd = await world.join({ hostname: "odd" });
  const id = odd.netmap.self?.ID ?? 0;
  const hostNames = [
    "OS",
    "Hostname",
    "Services",
    "RoutableIPs",
    "RequestTags",
    "sshHostKeys",
    "Location",
    "NetInfo",
    "App",
  ];
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom<unknown>(
      [{ Proto: "peerapi4", Port: 65_535 }],
      [{ Proto: "tcp", Port: -1 }],
      [{ Proto: 5 }],
      ["10.0.0.0/8", "::/0"],
      ["10.0.0.1/8"],
      "\u2028\ud800",
      { Country: 5 },
      { PreferredDERP: -3 },
      { PreferredDERP: 2 ** 40 },
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...hostNames), value), { maxLength: 3 }),
      fc.array(fc.oneof(fc.string(), fc.constantFrom("1.2.3.4:5", "[::1%lo]:3", "[::1]:70000", "256.1.1.1:1"))),
      async (changes, endpoints) => {
        await odd.request("POST", "/machine/map", {
          ...odd.mapBody({ OmitPeers: true, Endpoints: endpoints }),
          Hostinfo: { ...odd.hostinfo, ...Object.fromEntries(changes) },
        });
      },
    ),
    { numRuns: 80 },
  );
  await odd.update({ endpoints: ["192.0.2.99:1"] });
  await until("the last word arrives", () => watcher.netmap.peers.get(id)?.Endpoints?.[0] === "192.0.2.99:1");
  assert.equal(watcher.meter.streamsLost, 0);
  const fresh = await watcher.openMap();
  const peer = fresh.peers.get(id);
  assert.ok(peer !== undefined);
  for (const endpoint of peer.Endpoints ?? []) {
    assert.match(endpoint, /^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\]):\d+$/);
  }
  for (const service of peer.Hostinfo?.Services ?? []) {
    assert.ok(Number.isInteger(service.Port) && service.Port >= 0 && service.Port <= 65_535);
  }
});
