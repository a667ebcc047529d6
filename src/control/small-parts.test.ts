// The pieces that need no server: addresses behind proxies, rate limits, what nodes answer.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createManualClock } from "../identity/manual-clock.test-data.ts";
import { parsePrefix, type Prefix } from "../ip/index.ts";
import { clientAddress, sourceOf } from "./client-address.ts";
import { releaseOf } from "./client-version.ts";
import { createEdgeHub } from "./edge-hub.ts";
import type { MachineKey } from "../wire/ids.ts";
import type { EdgeLink } from "./edge-link.ts";
import { createPortLink, type Down, type Up } from "./edge-port.ts";
import { parseNodeResponse } from "./node-response.ts";
import { escapeHtml } from "./page.ts";
import { createRateLimit } from "./rate-limit.ts";
import { addLatency, createLatency, observeLatency } from "./latency.ts";

function prefixes(...texts: string[]): Prefix[] {
  return texts.map((text) => {
    const prefix = parsePrefix(text);
    assert.ok(prefix);
    return prefix;
  });
}

test("only a trusted proxy may speak for others, and what it wrote itself counts", () => {
  const proxies = prefixes("10.0.0.0/8", "fd00::/8");
  const all = { "true-client-ip": "192.0.2.1", "x-real-ip": "192.0.2.2", "x-forwarded-for": "192.0.2.3" };
  const { "x-forwarded-for": _chain, ...named } = all;
  const forwarded = (chain: string) => ({ "x-forwarded-for": chain });
  const cases: [peer: string, headers: Record<string, string>, expected: string][] = [
    ["198.51.100.7", all, "198.51.100.7"],
    ["10.1.2.3", all, "192.0.2.3"],
    ["::ffff:10.1.2.3", all, "192.0.2.3"],
    ["fd00::1", all, "192.0.2.3"],
    ["10.1.2.3", named, "192.0.2.2"],
    ["10.1.2.3", { "true-client-ip": "192.0.2.1" }, "192.0.2.1"],
    ["10.1.2.3", { ...named, ...forwarded("garbage") }, "10.1.2.3"],
    ["10.1.2.3", { ...named, ...forwarded("10.9.9.9") }, "10.1.2.3"],
    ["10.1.2.3", forwarded("1.1.1.1, 192.0.2.3, 10.9.9.9"), "192.0.2.3"],
    ["10.1.2.3", forwarded("192.0.2.3"), "192.0.2.3"],
    ["10.1.2.3", forwarded("192.0.2.3, garbage"), "10.1.2.3"],
    ["10.1.2.3", forwarded("10.9.9.9"), "10.1.2.3"],
    ["10.1.2.3", { "x-real-ip": "garbage", "true-client-ip": "2001:db8::1" }, "2001:db8::1"],
    ["10.1.2.3", {}, "10.1.2.3"],
    ["fe80::1%eth0", {}, "fe80::1"],
  ];
  for (const [peer, headers, expected] of cases) {
    assert.equal(clientAddress(peer, headers, proxies), expected, JSON.stringify([peer, headers]));
  }
  assert.equal(clientAddress("10.1.2.3", all, []), "10.1.2.3", "without trusted proxies nobody is believed");
  assert.equal(clientAddress(undefined, all, proxies), "");
});

test("limits count a household once: an IPv4 address, or the /64 of an IPv6 address", () => {
  assert.equal(sourceOf("192.0.2.1"), "192.0.2.1");
  assert.equal(sourceOf("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
  assert.equal(sourceOf(""), "");
});

test("a rate limit gives its burst, then its rate, per name", () => {
  const clock = createManualClock();
  const limit = createRateLimit({ clock, burst: 3, perSecond: 2, names: 2 });
  assert.deepEqual([limit.take("a"), limit.take("a"), limit.take("a"), limit.take("a")], [0, 0, 0, 500]);
  assert.equal(limit.take("b"), 0);
  clock.advance(500);
  assert.deepEqual([limit.wait("a"), limit.take("a"), limit.take("a")], [0, 0, 500]);
  limit.take("c");
  assert.equal(limit.take("b"), 0, "the one that was unused for the longest was forgotten");
});

test("a rate limit remembers nobody whose bucket is full again, nor those who only asked", () => {
  const clock = createManualClock();
  const limit = createRateLimit({ clock, burst: 4, perSecond: 2 });
  for (let name = 0; name < 100; name++) {
    limit.take(`machine ${name}`);
    limit.wait(`asked ${name}`);
    clock.advance(100);
  }
  assert.ok(limit.size <= 21, `${limit.size} names for two seconds of ten a second`);
});

test("what a node posts as its HTTP answer is read as such or not at all", () => {
  const parse = (text: string) => parseNodeResponse(Buffer.from(text, "latin1"));
  const body = (text: string) => Buffer.from(parse(text)?.body ?? "no").toString();
  assert.equal(body("HTTP/1.1 200 OK\r\n\r\nrest"), "rest");
  assert.equal(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nrest"), "re");
  assert.equal(body("HTTP/1.0 204\r\n\r\n"), "");
  assert.equal(
    body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"),
    "abc0123456789",
  );
  assert.equal(parse("HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\n\r\n")?.headers.get("a"), "2");
  for (const broken of [
    "",
    "HTTP/1.1 200 OK",
    "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.1 99 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(101)}\r\n`,
  ]) {
    assert.equal(parse(broken), undefined, JSON.stringify(broken));
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const answer = parseNodeResponse(bytes);
      return answer === undefined || (answer.status >= 100 && answer.status < 600);
    }),
  );
});

test("escaped text holds nothing that HTML reads", () => {
  fc.assert(fc.property(fc.string(), (text) => !/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/.test(escapeHtml(text))));
});

test("a capability version is named by the release it came with", () => {
  assert.deepEqual([94, 95, 112, 113, 116, 142, 200].map(releaseOf), [
    "before v1.66",
    "v1.66",
    "v1.78",
    "v1.80",
    "v1.84",
    "v1.102",
    "v1.102",
  ]);
});

test("messages find the edge of their session, once per edge", () => {
  const hub = createEdgeHub();
  const log: string[] = [];
  const link = (name: string): EdgeLink => ({
    deliver: (_message, sessions) => log.push(`${name} ${sessions.join(",")}`),
    end: (session) => log.push(`${name} ends ${session}`),
    reply: () => undefined,
    openStream: () => undefined,
  });
  const [a, b] = [hub.attach(link("a")), hub.attach(link("b"))];
  const [s1, s2, s3] = [hub.newSession(a), hub.newSession(b), hub.newSession(a)];
  hub.deliver({ chunks: [], length: 0 }, [s1, s2, s3]);
  hub.end(s2);
  assert.deepEqual(log, [`a ${s1},${s3}`, `b ${s2}`, `b ends ${s2}`]);
});

test("what was open on a lost edge is over for the core, and a fresh edge is sent everything anew", async () => {
  const log: string[] = [];
  const sent: Down[] = [];
  const note = (name: string) => (value: unknown) => log.push(`${name} ${JSON.stringify(value)}`);
  const link = createPortLink(
    () => ({ postMessage: (message) => sent.push(...(message as { down: Down[] }).down) }),
    () => ({
      request: () => note("request")(""),
      cancelled: note("cancelled"),
      blocked: note("blocked"),
      drained: note("drained"),
      closed: note("closed"),
    }),
  );
  const request = (id: number): Up => ({
    kind: "request",
    request: {
      id,
      machineKey: "mkey:x" as MachineKey,
      capVersion: 142,
      source: "",
      method: "POST",
      path: "/",
      body: new Uint8Array(0),
    },
  });
  link.received([request(1), request(2), request(3)]);
  link.openStream(1, 64);
  link.reply(2, { status: 200, contentType: "", body: new Uint8Array(0), known: true });
  const chunk = new Uint8Array(5000);
  const message = { chunks: [new Uint8Array(4), chunk], length: 5004 };
  link.deliver(message, [64]);
  link.deliver(message, [64]);
  await Promise.resolve();
  const kinds = () => sent.splice(0).map(({ kind }) => kind);
  assert.deepEqual(kinds(), ["open", "reply", "keep", "deliver", "deliver"], "a large chunk crosses once");
  log.length = 0;
  link.lost();
  assert.deepEqual(log, ["cancelled 3", "closed 64"]);
  link.deliver(message, [128]);
  await Promise.resolve();
  assert.deepEqual(kinds(), ["keep", "deliver"]);
});

test("what threads count by themselves adds up, over their restarts too", () => {
  const [sum, first, second] = [createLatency(), createLatency(), createLatency()];
  observeLatency(first, 0.002, 10);
  addLatency(sum, first, undefined);
  const before = structuredClone(first);
  observeLatency(first, 0.002, 5);
  observeLatency(first, 60, 1);
  addLatency(sum, first, before);
  observeLatency(second, -1, 2);
  addLatency(sum, second, undefined);
  assert.deepEqual([sum.counts[0], sum.counts[1], sum.counts.at(-1)], [2, 15, 1]);
  assert.equal(
    sum.counts.reduce((total, count) => total + count),
    18,
  );
  assert.ok(Math.abs(sum.sum - 60.03) < 1e-9);
});
