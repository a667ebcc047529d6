import assert from "node:assert/strict";
import { before, test } from "node:test";
import * as fc from "fast-check";
import { wasmReady } from "./aead-wasm.ts";
import { maxFrameLength, maxPlaintextLength, RecordReader, RecordWriter, sealedLength } from "./record.ts";
import { DirectionKey } from "./seal.ts";

const key = Buffer.alloc(32, 9);

before(() => wasmReady);

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const borders = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return borders.slice(1).map((end, index) => Buffer.from(bytes.subarray(borders[index], end)));
}

function readAll(pieces: readonly Buffer[]): { text: Buffer; fault: string | undefined } {
  const reader = new RecordReader(key);
  const parts: Buffer[] = [];
  let fault: string | undefined;
  for (const piece of pieces) {
    fault = reader.push(piece, (text) => parts.push(Buffer.from(text)));
  }
  return { text: Buffer.concat(parts), fault };
}

const pieces = fc.array(fc.uint8Array({ maxLength: 6000 }), { maxLength: 6 });
const cuts = fc.array(fc.nat(30_000), { maxLength: 12 });

test("what is sealed from any chunks is read back from any pieces", () => {
  fc.assert(
    fc.property(pieces, cuts, (chunks, places) => {
      const plain = Buffer.concat(chunks);
      const sealed = new RecordWriter(key).seal(chunks, plain.length);
      assert.ok(sealed !== undefined);
      assert.equal(sealed.length, sealedLength(plain.length));
      const { text, fault } = readAll(cut(sealed, places));
      assert.equal(fault, undefined);
      assert.ok(text.equals(plain));
    }),
    { numRuns: 60 },
  );
});

test("many small pieces leave in one record, and a long one in full records", () => {
  const small = Array.from({ length: 100 }, () => Buffer.alloc(40, 1));
  const one = new RecordWriter(key).seal(small, 4000);
  assert.equal(one?.readUInt16BE(1), 4000 + 16);
  assert.equal(one.length, 3 + 4000 + 16);
  const long = new RecordWriter(key).seal([Buffer.alloc(maxPlaintextLength * 2 + 1)], maxPlaintextLength * 2 + 1);
  assert.equal(long?.length, 2 * maxFrameLength + 3 + 1 + 16);
  assert.equal(long.readUInt16BE(1), 4093);
});

test("chunks are only read, and a given buffer is filled from the given place", () => {
  const chunk = Buffer.from("shared by all sessions");
  const out = Buffer.alloc(7 + sealedLength(chunk.length) + 3, 0xcc);
  const end = new RecordWriter(key).sealInto([chunk], chunk.length, out, 7);
  assert.equal(chunk.toString(), "shared by all sessions");
  assert.equal(end, 7 + sealedLength(chunk.length));
  assert.ok(out.subarray(0, 7).every((byte) => byte === 0xcc));
  assert.ok(out.subarray(end).every((byte) => byte === 0xcc));
  assert.equal(readAll([out.subarray(7, end)]).text.toString(), "shared by all sessions");
});

test("an empty record is legal and says nothing", () => {
  const header = Buffer.of(4, 0, 16, ...Buffer.alloc(16));
  new DirectionKey(key).seal(header, 3, 0);
  const { text, fault } = readAll([header]);
  assert.equal(fault, undefined);
  assert.equal(text.length, 0);
});

test("faults are typed and final", () => {
  const good = new RecordWriter(key).seal([Buffer.from("abc")], 3);
  assert.ok(good !== undefined);
  const cases: readonly (readonly [string, Buffer])[] = [
    ["bad-type", Buffer.of(3)],
    ["bad-type", Buffer.of(0x50, 0, 20)],
    ["bad-length", Buffer.of(4, 0, 15)],
    ["bad-length", Buffer.of(4, 0x0f, 0xfe)],
    ["bad-length", Buffer.of(4, 0xff, 0xff)],
    ["forged", Buffer.concat([Buffer.of(4, 0, 20), Buffer.alloc(20)])],
  ];
  for (const [expected, bytes] of cases) {
    for (const split of [bytes.length, 1]) {
      const reader = new RecordReader(key);
      const seen: string[] = [];
      const sink = (text: Uint8Array): void => void seen.push(Buffer.from(text).toString());
      assert.equal(reader.push(Buffer.from(good), sink), undefined);
      let fault: string | undefined;
      for (let at = 0; at < bytes.length; at += split) {
        fault = reader.push(Buffer.from(bytes.subarray(at, at + split)), sink);
      }
      assert.equal(fault, expected);
      assert.equal(reader.push(Buffer.from(good), sink), expected);
      assert.deepEqual(seen, ["abc"]);
    }
  }
});

test("a used-up key ends writing and reading", () => {
  const last = 2n ** 64n - 2n;
  const writer = new RecordWriter(new DirectionKey(key, last));
  const sealed = writer.seal([Buffer.from("x")], 1);
  assert.ok(sealed !== undefined);
  assert.equal(writer.seal([Buffer.from("x")], 1), undefined);
  const reader = new RecordReader(new DirectionKey(key, last));
  assert.equal(
    reader.push(Buffer.from(sealed), () => {}),
    undefined,
  );
  assert.equal(
    reader.push(Buffer.from(sealed), () => {}),
    "exhausted",
  );
});

test("random and changed streams end in a fault or in silence, and hold at most one frame", () => {
  fc.assert(
    fc.property(
      pieces,
      cuts,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      (chunks, places, changes) => {
        const sealed = new RecordWriter(key).seal(chunks, Buffer.concat(chunks).length) ?? Buffer.alloc(0);
        for (const [at, value] of sealed.length === 0 ? [] : changes) {
          sealed[at % sealed.length] = value;
        }
        const reader = new RecordReader(key);
        let handedOut = 0;
        for (const piece of cut(sealed, places)) {
          reader.push(piece, (text) => (handedOut += text.length));
          assert.ok(reader.pending <= maxFrameLength);
        }
        assert.ok(handedOut <= sealed.length);
      },
    ),
    { numRuns: 60 },
  );
});
