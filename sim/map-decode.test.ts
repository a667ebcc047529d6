import assert from "node:assert/strict";
import { zstdCompressSync, constants } from "node:zlib";
import { test } from "node:test";
import * as fc from "fast-check";
import { compress, rawFrame } from "../src/wire/zstd.ts";
import { decodePlain, MessageSplitter, sharedDecoder, splitFrames } from "./map-decode.ts";

function framed(body: Uint8Array): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32LE(body.length);
  return Buffer.concat([prefix, body]);
}

test("messages come out whole, however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), fc.integer({ min: 1, max: 20 }), (bodies, step) => {
      const bytes = Buffer.concat(bodies.map(framed));
      const splitter = new MessageSplitter();
      const seen: string[] = [];
      for (let at = 0; at < bytes.length; at += step) {
        splitter.push(bytes.subarray(at, at + step), (body) => seen.push(body.toString("hex")));
      }
      assert.deepEqual(
        seen,
        bodies.map((body) => Buffer.from(body).toString("hex")),
      );
      assert.equal(splitter.pending, 0);
    }),
  );
});

test("frames of all kinds of headers are told apart", () => {
  const bytes = Buffer.alloc(200_000, "some text ");
  const kinds = [
    compress(bytes),
    rawFrame(bytes),
    rawFrame(),
    zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
    zstdCompressSync(bytes, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } }),
    zstdCompressSync(Buffer.alloc(300)),
    zstdCompressSync(Buffer.from("x")),
  ];
  assert.deepEqual(splitFrames(Buffer.concat(kinds)), kinds);
  assert.equal(splitFrames(Buffer.concat([...kinds, Buffer.of(1)])), undefined);
  assert.equal(splitFrames(compress(bytes).subarray(0, -1)), undefined);
});

const peer = fc.record({
  ID: fc.nat(),
  Name: fc.string(),
  Note: fc.constant("x".repeat(120)),
  Tags: fc.array(fc.string()),
});

test("the shared decoder gives what the plain one gives, for messages glued from blocks of peers", () => {
  const decode = sharedDecoder();
  fc.assert(
    fc.property(fc.array(fc.array(peer, { minLength: 1, maxLength: 5 }), { maxLength: 4 }), peer, (blocks, self) => {
      const parts = blocks.map((items, index) =>
        compress(Buffer.from((index === 0 ? "" : ",") + items.map((item) => JSON.stringify(item)).join(","))),
      );
      const body = Buffer.concat([
        rawFrame(Buffer.from(`{"Node":${JSON.stringify(self)},"Peers":[`)),
        ...parts,
        rawFrame(Buffer.from(`],"Domain":"d","UserProfiles":[{"ID":1}]}`)),
      ]);
      assert.deepEqual(decode(body), decodePlain(body));
    }),
    { numRuns: 60 },
  );
});

test("a block that stands outside of every list is read as text", () => {
  const object = JSON.stringify({ a: "y".repeat(300) });
  const body = Buffer.concat([
    rawFrame(Buffer.from(`{"Debug":`)),
    rawFrame(Buffer.from(object)),
    rawFrame(Buffer.from("}")),
  ]);
  assert.deepEqual(sharedDecoder()(body), decodePlain(body));
});

test("the same bytes give the same objects", () => {
  const decode = sharedDecoder();
  const block = compress(Buffer.from(JSON.stringify({ ID: 5, Name: "n".repeat(400) })));
  const maps = ["a", "b"].map((name) =>
    decode(
      Buffer.concat([
        rawFrame(Buffer.from(`{"Node":{"Name":"${name}"},"Peers":[`)),
        block,
        rawFrame(Buffer.from("]}")),
      ]),
    ),
  );
  assert.notEqual(maps[0]?.Node?.Name, maps[1]?.Node?.Name);
  assert.ok(maps[0]?.Peers?.[0] !== undefined && maps[0].Peers[0] === maps[1]?.Peers?.[0]);
  const delta = rawFrame(Buffer.from('{"PeersChangedPatch":[{"NodeID":5,"DERPRegion":2}]}'));
  assert.equal(decode(delta), decode(Buffer.from(delta)));
});

test("what is no message is an error", () => {
  assert.throws(() => sharedDecoder()(Buffer.from("{}")));
  assert.throws(() => decodePlain(Buffer.from("{}")));
});
