import assert from "node:assert/strict";
import { zstdDecompressSync } from "node:zlib";
import { test } from "node:test";
import * as fc from "fast-check";
import { compress, decompress, rawFrame, rawFrameLength } from "./zstd.ts";

test("a raw frame has the bytes of the format", () => {
  assert.equal(rawFrame(Buffer.from("hi")).toString("hex"), "28b52ffda0020000001100006869");
});

test("raw frames decode, whatever the chunks and however many blocks they need", () => {
  const filled = (length: number): Buffer => Buffer.alloc(length, "abcdefg");
  for (const lengths of [
    [],
    [0],
    [1],
    [10, 0, 20],
    [131_071],
    [131_072],
    [131_073],
    [100_000, 100_000, 200_000],
    [262_144],
  ]) {
    const chunks = lengths.map(filled);
    const frame = rawFrame(...chunks);
    const content = Buffer.concat(chunks);
    assert.equal(frame.length, rawFrameLength(content.length));
    assert.ok(zstdDecompressSync(frame).equals(content), String(lengths));
  }
});

test("frames of both kinds may follow one another in one message", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.uint8Array({ maxLength: 3000 })), { minLength: 1, maxLength: 6 }),
      (parts) => {
        const frames = parts.map(([isRaw, bytes]) => (isRaw ? rawFrame(bytes) : compress(bytes)));
        const content = Buffer.concat(parts.map(([, bytes]) => bytes));
        assert.ok(decompress(Buffer.concat(frames), 1 << 20)?.equals(content));
      },
    ),
    { numRuns: 40 },
  );
});

test("a long frame holds its own bytes and nothing else, whatever becomes of others", () => {
  const inputs = [5000, 30_000, 45_000, 200_000].map((length) => {
    // Half of it does not get smaller.
    const bytes = Buffer.alloc(length, "abcdefg");
    for (let at = 0, state = length; at < length; at += 2) {
      state = (state * 48_271) % 2_147_483_647;
      bytes[at] = state & 255;
    }
    return bytes;
  });
  const frames = inputs.map((bytes) => compress(bytes));
  frames.forEach((frame, index) => {
    assert.ok(decompress(frame, 1 << 20)?.equals(inputs[index] ?? Buffer.alloc(0)), String(index));
    assert.equal(frame.buffer.byteLength, frame.length, String(index));
  });
});

test("decoding stops at the bound, and at broken frames", () => {
  const frame = compress(Buffer.alloc(1_000_000));
  assert.equal(decompress(frame, 999_999), undefined);
  assert.equal(decompress(frame, 1_000_000)?.length, 1_000_000);
  assert.equal(decompress(Buffer.from("not zstd"), 100), undefined);
  assert.equal(decompress(rawFrame(Buffer.from("cut off")).subarray(0, -1), 100), undefined);
});
