import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { DERPMap } from "../wire/tailcfg.ts";
import { createManualClock } from "./clock.ts";
import { createRelayCounters } from "./counters.ts";
import { until } from "./rig.test-data.ts";
import { createRelayHttp, type RelayHttpOptions } from "./http.ts";

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

type Ask = (path: string, init?: RequestInit) => Promise<Reply>;

async function serving(options: Partial<RelayHttpOptions>, use: (ask: Ask) => Promise<void>): Promise<void> {
  const handle = createRelayHttp({ derpMap: () => ({ Regions: {} }), ...options });
  const server = createServer((req, res) => {
    if (!handle(req, res)) {
      res.writeHead(404).end("somebody else's");
    }
  });
  server.listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await use(async (path, init) => {
      const response = await fetch(base + path, init);
      return { status: response.status, headers: response.headers, body: await response.text() };
    });
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

const nodeKey = `nodekey:${"0a".repeat(32)}`;

function verify(body: string): [string, RequestInit] {
  return ["/verify", { method: "POST", body }];
}

test("probes answer GET and HEAD to everybody", async () => {
  await serving({}, async (ask) => {
    for (const path of ["/derp/probe", "/derp/latency-check?x=1"]) {
      const reply = await ask(path);
      assert.deepEqual([reply.status, reply.headers.get("access-control-allow-origin")], [200, "*"]);
      assert.equal((await ask(path, { method: "HEAD" })).status, 200);
      assert.equal((await ask(path, { method: "POST" })).status, 405);
    }
    assert.equal((await ask("/derp")).status, 426);
    assert.equal((await ask("/else")).status, 404);
    assert.equal((await ask("/verify", { method: "POST" })).status, 404, "no admission, no /verify");
  });
});

test("the portal check echoes a well-formed challenge and nothing else", async () => {
  await serving({}, async (ask) => {
    const echo = async (challenge: string) => {
      const reply = await ask("/generate_204", { headers: { "X-Tailscale-Challenge": challenge } });
      assert.equal(reply.status, 204);
      return reply.headers.get("x-tailscale-response");
    };
    assert.equal(await echo("ts_relay.example"), "response ts_relay.example");
    assert.equal(await echo("a".repeat(65)), null);
    assert.equal(await echo("<script>"), null);
    assert.equal((await ask("/generate_204")).headers.get("x-tailscale-response"), null);
  });
});

test("/bootstrap-dns knows all relays and looks each name up once", async () => {
  const node = (HostName: string, more = {}) => ({ Name: "x", RegionID: 1, HostName, ...more });
  const map: DERPMap = {
    Regions: {
      1: {
        RegionID: 1,
        RegionCode: "a",
        RegionName: "A",
        Nodes: [
          node("one.example"),
          node("two.example", { IPv4: "192.0.2.2", IPv6: "2001:db8::2" }),
          node("three.example", { IPv4: "none" }),
          node("192.0.2.4"),
          node("gone.example"),
        ],
      },
    },
  };
  const asked: string[] = [];
  const clock = createManualClock();
  const resolve = (host: string): Promise<readonly string[]> => {
    asked.push(host);
    return host === "gone.example" ? Promise.reject(new Error("ENOTFOUND")) : Promise.resolve(["198.51.100.9"]);
  };
  await serving({ derpMap: () => map, resolve, clock, bootstrapHosts: ["control.example"] }, async (ask) => {
    const replies = await Promise.all([ask("/bootstrap-dns?q=control.example"), ask("/bootstrap-dns")]);
    for (const reply of replies) {
      assert.equal(reply.status, 200);
      assert.deepEqual(JSON.parse(reply.body), {
        "192.0.2.4": ["192.0.2.4"],
        "control.example": ["198.51.100.9"],
        "one.example": ["198.51.100.9"],
        "three.example": ["198.51.100.9"],
        "two.example": ["192.0.2.2", "2001:db8::2"],
      });
    }
    assert.deepEqual(asked.sort(), ["control.example", "gone.example", "one.example", "three.example"]);
    clock.advance(11 * 60_000);
    await ask("/bootstrap-dns");
    assert.equal(asked.length, 8);
  });
});

test("/verify answers yes or no, and doubt is no", async () => {
  const counters = createRelayCounters();
  const seen: string[] = [];
  let admit = (key: string, source: string): boolean | Promise<boolean> => {
    seen.push(`${key} ${source}`);
    return key === nodeKey;
  };
  await serving({ admit: (key, source) => admit(key, source), counters }, async (ask) => {
    const yes = await ask(...verify(JSON.stringify({ NodePublic: nodeKey, Source: "192.0.2.1" })));
    assert.deepEqual([yes.status, yes.body], [200, '{"Allow":true}']);
    const no = await ask(...verify(JSON.stringify({ NodePublic: nodeKey.replace("0a", "0b") })));
    assert.deepEqual([no.status, no.body], [200, '{"Allow":false}']);
    assert.equal(seen[0], `${nodeKey} 192.0.2.1`);
    admit = () => Promise.reject(new Error("the store is away"));
    assert.equal((await ask(...verify(JSON.stringify({ NodePublic: nodeKey })))).body, '{"Allow":false}');
  });
  assert.deepEqual([counters.verifyAllowed, counters.verifyDenied], [1, 2]);
});

test("/verify refuses what is too large, malformed, not POST or too much", async () => {
  const clock = createManualClock();
  await serving({ admit: () => true, clock, verifyLimits: { perSecond: 1, burst: 12 } }, async (ask) => {
    const large = await ask(...verify(JSON.stringify({ NodePublic: nodeKey, Source: "x".repeat(4096) })));
    assert.deepEqual([large.status, large.body], [413, "request body too large"]);
    const fits = JSON.stringify({ NodePublic: nodeKey, Source: "" });
    const exactly = await ask(...verify(fits.padEnd(4096)));
    assert.equal(exactly.status, 200);
    for (const bad of ["", "{", "[]", "null", "7", "{}", '{"NodePublic":7}', '{"NodePublic":"mkey:00"}']) {
      const reply = await ask(...verify(bad));
      assert.deepEqual([reply.status, reply.body], [400, "Bad Request: invalid JSON"], bad);
    }
    assert.equal((await ask("/verify")).status, 405);
    assert.equal((await ask(...verify(fits))).status, 200);
    assert.equal((await ask(...verify(fits))).status, 200);
    assert.equal((await ask(...verify(fits))).status, 429);
    clock.advance(1_000);
    assert.equal((await ask(...verify(fits))).status, 200);
  });
});

test("whoever asks /verify from many addresses of one IPv6 network is one", async () => {
  const clock = createManualClock();
  let host = 0;
  const sourceIp = (): string => `2001:db8:1:2::${(++host).toString(16)}`;
  await serving({ admit: () => true, clock, sourceIp, verifyLimits: { perSecond: 1, burst: 3 } }, async (ask) => {
    const statuses: number[] = [];
    for (let count = 0; count < 4; count++) {
      statuses.push((await ask(...verify(JSON.stringify({ NodePublic: nodeKey })))).status);
    }
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  });
});

test("a body that never ends is cut", async () => {
  const clock = createManualClock();
  const { connect } = await import("node:net");
  const handle = createRelayHttp({ derpMap: () => ({ Regions: {} }), admit: () => true, clock });
  let asked = 0;
  const server = createServer((req, res) => {
    asked++;
    handle(req, res);
  });
  server.listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.write("POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
  await until(() => asked === 1);
  const ended = new Promise((done) => socket.on("close", done));
  socket.on("error", () => undefined).resume();
  clock.advance(5_000);
  await ended;
  await new Promise((done) => server.close(done));
});
