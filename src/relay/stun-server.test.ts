import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { encodeStunRequest, parseStunResponse } from "../wire/stun.ts";
import { createRelayCounters } from "./counters.ts";
import { createStunServer, parseListen } from "./stun-server.ts";

/** Asks from `family`'s loopback; resolves with the answer and the address it came from. */
async function ask(family: "udp4" | "udp6", host: string, port: number, datagrams: readonly Buffer[]) {
  const socket = createSocket(family);
  const answer = new Promise<{ readonly data: Buffer; readonly from: string }>((done) => {
    socket.on("message", (data, from) => done({ data, from: from.address }));
  });
  await new Promise<void>((done) => socket.bind(0, () => done()));
  for (const datagram of datagrams) {
    socket.send(datagram, port, host);
  }
  const got = await answer;
  const own = socket.address().port;
  socket.close();
  return { ...got, own };
}

test("a client learns its address over IPv4 and IPv6, and noise is not answered", async () => {
  const counters = createRelayCounters();
  const server = await createStunServer({ listen: "[::]:0", counters });
  assert.deepEqual(server.problems, []);
  for (const [family, host, bytes] of [
    ["udp4", "127.0.0.1", Buffer.from([127, 0, 0, 1])],
    ["udp6", "::1", Buffer.from([...Array(15).fill(0), 1])],
  ] as const) {
    const txid = randomBytes(12);
    const noise = [Buffer.alloc(0), randomBytes(40), encodeStunRequest(txid).subarray(0, 39)];
    const answer = await ask(family, host, server.port, [...noise, encodeStunRequest(txid)]);
    assert.deepEqual(parseStunResponse(answer.data, txid), { address: bytes, port: answer.own });
  }
  assert.equal(counters.stunRequests, 2);
  assert.equal(counters.stunOther, 6);
  await server.close();
});

test("the answer comes from the address that was asked", async () => {
  // All of 127.0.0.0/8 is this host; left to itself the system would answer from 127.0.0.1.
  const server = await createStunServer({ listen: "0.0.0.0:0", addresses: () => ["127.0.0.2", "127.0.0.3"] });
  assert.deepEqual(server.addresses(), ["0.0.0.0", "::", "127.0.0.2", "127.0.0.3"]);
  for (const host of ["127.0.0.2", "127.0.0.3"]) {
    const answer = await ask("udp4", host, server.port, [encodeStunRequest(randomBytes(12))]);
    assert.equal(answer.from, host);
  }
  await server.close();
});

test("a port that is taken is a problem to report, not the end", async () => {
  const other = createSocket("udp4");
  await new Promise<void>((done) => other.bind(0, "0.0.0.0", () => done()));
  const { port } = other.address();
  const server = await createStunServer({ listen: `0.0.0.0:${port}`, addresses: () => [] });
  assert.deepEqual(server.addresses(), ["::"], "IPv6 goes on");
  assert.match(server.problems[0] ?? "", /0\.0\.0\.0 port \d+: .*EADDRINUSE/);
  const alone = await createStunServer({ listen: `127.0.0.1:${port}` });
  assert.equal(alone.port, 0);
  await alone.close();
  await server.close();
  other.close();
  assert.equal((await createStunServer({ listen: "everywhere" })).problems.length, 1);
});

test("listen addresses are read", () => {
  assert.deepEqual(parseListen("0.0.0.0:3478"), { host: "0.0.0.0", port: 3478 });
  assert.deepEqual(parseListen("[2001:db8::1]:1"), { host: "2001:db8::1", port: 1 });
  assert.deepEqual(parseListen(":3478"), { host: "", port: 3478 });
  for (const bad of ["", "3478", "::1:3478", "localhost:1", "1.2.3.4:65536", "[1.2.3.4:1"]) {
    assert.equal(parseListen(bad), undefined, bad);
  }
});
