import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseMachineKey } from "./ids.ts";
import { generatePrivateKey, machineKeyText, privateKeyFromRaw } from "./keys.ts";
import { acceptHandshake, initiationLength, responseLength, startHandshake } from "./noise.ts";
import { RecordReader, RecordWriter } from "./record.ts";

const hex = (text: string): Buffer => Buffer.from(text, "hex");

/** Protocol reference, appendix A.1. */
const vector = {
  clientStatic: privateKeyFromRaw(hex("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1")),
  clientPublic: "6bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a",
  clientEphemeral: privateKeyFromRaw(hex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a")),
  serverStatic: privateKeyFromRaw(hex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893")),
  serverPublic: "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
  serverEphemeral: privateKeyFromRaw(hex("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b")),
  initiation:
    "0071010060ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32e76c28239a7ca4ac8f784de7e44c1adbdde2b4911f67e427214352bdae100b01fb69ad91a1acf57d966d38e08b13d272",
  response: "02003095ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884302f04b6a4de0325718af1639b4c71c76",
  handshakeHash: "ee2b017c86879f7b4f30acb962d4b2db3be9d89c7a3caeebd9bd8df3ab2cad9f",
  clientToServer: "5f098179a66cf7bcf05c827118632c5e8196e9b3180b19a79808f56c9aa21bbe",
  serverToClient: "72b76a299926ffeddd2a4305781399ff17d3eedc9f809287d544d9115041d7d8",
  serverRecords: [
    "040015fd072170a16a399f1b8238da5591b9c4f15c9d19d6",
    "040015e489f308ec855d14fb582caa3ee4a6d2f640004a10",
  ],
  clientRecords: ["0400141a6220f69fedf17d99656d1ee4003e6d52e5aac3", "040014ba2ac7e17e79582df3a41c7dbe600649bb19d2ea"],
} as const;

function accepted(initiation: Uint8Array) {
  const result = acceptHandshake(initiation, vector.serverStatic, vector.serverEphemeral);
  assert.ok(result.ok);
  return result;
}

function started() {
  const result = startHandshake({
    version: 113,
    machineKey: vector.clientStatic,
    serverPublic: hex(vector.serverPublic),
    ephemeral: vector.clientEphemeral,
  });
  assert.ok(result.ok);
  return result;
}

test("the server answers the reference initiation with the reference response and keys", () => {
  const result = accepted(hex(vector.initiation));
  assert.equal(result.version, 113);
  assert.equal(result.machineKey, `mkey:${vector.clientPublic}`);
  assert.equal(Buffer.from(result.response).toString("hex"), vector.response);
  assert.equal(Buffer.from(result.handshakeHash).toString("hex"), vector.handshakeHash);
  assert.equal(Buffer.from(result.receiveKey).toString("hex"), vector.clientToServer);
  assert.equal(Buffer.from(result.sendKey).toString("hex"), vector.serverToClient);
});

test("the client makes the reference initiation and the same keys", () => {
  const client = started();
  assert.equal(Buffer.from(client.initiation).toString("hex"), vector.initiation);
  const result = client.finish(hex(vector.response));
  assert.ok(result.ok);
  assert.equal(Buffer.from(result.sendKey).toString("hex"), vector.clientToServer);
  assert.equal(Buffer.from(result.receiveKey).toString("hex"), vector.serverToClient);
  assert.equal(Buffer.from(result.handshakeHash).toString("hex"), vector.handshakeHash);
});

test("records are sealed and opened as in the reference, with a big-endian counter", () => {
  const directions = [
    { key: vector.serverToClient, texts: ["hello", "world"], records: vector.serverRecords },
    { key: vector.clientToServer, texts: ["ping", "pong"], records: vector.clientRecords },
  ];
  for (const { key, texts, records } of directions) {
    const writer = new RecordWriter(hex(key));
    const sealed = texts.map((text) => writer.seal([Buffer.from(text)], text.length)?.toString("hex"));
    assert.deepEqual(sealed, records);
    const opened: string[] = [];
    const fault = new RecordReader(hex(key)).push(hex(records.join("")), (text) => {
      opened.push(Buffer.from(text).toString());
    });
    assert.equal(fault, undefined);
    assert.deepEqual(opened, texts);
  }
});

test("any two fresh parties agree, and the server learns the client's key and version", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff }), (version) => {
      const server = generatePrivateKey();
      const machineKey = generatePrivateKey();
      const client = startHandshake({ version, machineKey, serverPublic: server.publicRaw });
      assert.ok(client.ok);
      assert.equal(client.initiation.length, initiationLength);
      const accept = acceptHandshake(client.initiation, server);
      assert.ok(accept.ok);
      assert.equal(accept.response.length, responseLength);
      assert.equal(accept.version, version);
      assert.equal(accept.machineKey, machineKeyText(machineKey.publicRaw));
      assert.ok(parseMachineKey(accept.machineKey) !== undefined);
      const finish = client.finish(accept.response);
      assert.ok(finish.ok);
      assert.deepEqual(finish.sendKey, accept.receiveKey);
      assert.deepEqual(finish.receiveKey, accept.sendKey);
      assert.deepEqual(finish.handshakeHash, accept.handshakeHash);
      assert.notDeepEqual(finish.sendKey, finish.receiveKey);
    }),
    { numRuns: 20 },
  );
});

test("every changed byte of an initiation or response is refused", () => {
  const initiation = hex(vector.initiation);
  for (let at = 0; at < initiation.length; at++) {
    const changed = Buffer.from(initiation);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const result = acceptHandshake(changed, vector.serverStatic, vector.serverEphemeral);
    assert.ok(!result.ok, `byte ${at}`);
    assert.equal(result.reason, at >= 2 && at < 5 ? "malformed" : "rejected", `byte ${at}`);
  }
  const response = hex(vector.response);
  for (let at = 0; at < response.length; at++) {
    const changed = Buffer.from(response);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const result = started().finish(changed);
    assert.ok(!result.ok, `byte ${at}`);
    assert.equal(result.reason, at < 3 ? "malformed" : "rejected", `byte ${at}`);
  }
});

test("frames of any other length are malformed", () => {
  const initiation = hex(vector.initiation);
  for (const length of [0, 1, 5, 100, 102, 200]) {
    const frame = Buffer.concat([initiation, Buffer.alloc(100)]).subarray(0, length);
    assert.deepEqual(acceptHandshake(frame, vector.serverStatic), { ok: false, reason: "malformed" });
    assert.deepEqual(started().finish(frame), { ok: false, reason: "malformed" });
  }
});

test("an initiation for another server key is refused", () => {
  assert.deepEqual(acceptHandshake(hex(vector.initiation), generatePrivateKey()), { ok: false, reason: "rejected" });
});

/** The points whose multiples by the cofactor vanish (RFC 7748 §6.1; as little-endian u-coordinates). */
const lowOrderPoints = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

test("points of low order end the handshake on both sides", () => {
  for (const point of lowOrderPoints) {
    const initiation = hex(vector.initiation);
    initiation.set(hex(point), 5);
    assert.deepEqual(acceptHandshake(initiation, vector.serverStatic), { ok: false, reason: "weak-key" }, point);
    const response = hex(vector.response);
    response.set(hex(point), 3);
    assert.deepEqual(started().finish(response), { ok: false, reason: "weak-key" }, point);
    const start = startHandshake({ version: 113, machineKey: vector.clientStatic, serverPublic: hex(point) });
    assert.deepEqual(start, { ok: false, reason: "weak-key" }, point);
  }
});
