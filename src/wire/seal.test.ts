import assert from "node:assert/strict";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { before, test } from "node:test";
import * as fc from "fast-check";
import { nodeAead, tagLength, type Aead } from "./aead.ts";
import { wasmAead, wasmReady } from "./aead-wasm.ts";
import { aeadFor, DirectionKey } from "./seal.ts";

const key = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 3));

/** Every implementation must pass every case; an independent one is the oracle. */
const implementations: Readonly<Record<string, () => Aead>> = {
  "node:crypto": () => nodeAead,
  libsodium() {
    const wasm = wasmAead();
    assert.ok(wasm !== undefined);
    return wasm;
  },
};

before(() => wasmReady);

function nonceOf(counter: bigint): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(counter, 4);
  return nonce;
}

const text = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 1000, maxLength: 4077 }));
const counters = fc.bigInt({ min: 0n, max: 2n ** 64n - 2n });

/** The text somewhere inside a larger buffer, whose other bytes must stay as they are. */
function placed(content: Uint8Array, at: number): Buffer {
  const buffer = Buffer.alloc(at + content.length + tagLength + 5, 0xee);
  buffer.set(content, at);
  return buffer;
}

for (const [name, implementation] of Object.entries(implementations)) {
  test(`${name} seals as the oracle does, in place`, () => {
    fc.assert(
      fc.property(text, counters, fc.nat(50), (plain, counter, at) => {
        const buffer = placed(plain, at);
        new DirectionKey(key, counter, implementation()).seal(buffer, at, plain.length);
        const expected = Buffer.from(chacha20poly1305(key, nonceOf(counter)).encrypt(plain));
        assert.ok(buffer.subarray(at, at + expected.length).equals(expected));
        assert.ok(buffer.subarray(0, at).every((byte) => byte === 0xee));
        assert.ok(buffer.subarray(at + expected.length).every((byte) => byte === 0xee));
      }),
      { numRuns: 40 },
    );
  });

  test(`${name} opens what the oracle sealed, in place`, () => {
    fc.assert(
      fc.property(text, counters, fc.nat(50), (plain, counter, at) => {
        const sealed = chacha20poly1305(key, nonceOf(counter)).encrypt(plain);
        const buffer = Buffer.concat([Buffer.alloc(at), sealed]);
        const direction = new DirectionKey(key, counter, implementation());
        assert.equal(direction.open(buffer, at, plain.length), "ok");
        assert.ok(buffer.subarray(at, at + plain.length).equals(plain));
      }),
      { numRuns: 40 },
    );
  });

  test(`${name} refuses any changed byte, and leaves the buffer alone`, () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.integer({ min: 1, max: 255 }), (plain, where, change) => {
        const buffer = Buffer.from(chacha20poly1305(key, nonceOf(0n)).encrypt(plain));
        const index = where % buffer.length;
        buffer[index] = (buffer[index] ?? 0) ^ change;
        const forged = Buffer.from(buffer);
        assert.equal(new DirectionKey(key, 0n, implementation()).open(buffer, 0, plain.length), "forged");
        assert.ok(buffer.equals(forged));
      }),
      { numRuns: 40 },
    );
  });

  test(`${name} counts big-endian, across the bytes' borders`, () => {
    for (const start of [0n, 254n, 65_534n, 2n ** 32n - 2n, 2n ** 64n - 5n]) {
      const direction = new DirectionKey(key, start, implementation());
      for (let step = 0n; step < 4n; step++) {
        const buffer = Buffer.alloc(4 + tagLength);
        assert.equal(direction.seal(buffer, 0, 4), "ok");
        const expected = chacha20poly1305(key, nonceOf(start + step)).encrypt(new Uint8Array(4));
        assert.ok(buffer.equals(expected), `${start} + ${step}`);
      }
    }
  });

  test(`${name} seals what many are told as the oracle does, whatever it sealed in between`, () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 900 }), { maxLength: 4 });
    const told = fc.record({ head: fc.uint8Array({ maxLength: 9 }), chunks: parts });
    fc.assert(
      fc.property(
        fc.array(told, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(5), { maxLength: 12 }),
        (all, order) => {
          const directions = [0, 1].map((at) => new DirectionKey(Buffer.alloc(32, at), 0n, implementation()));
          order.forEach((choice, step) => {
            const { head, chunks } = all[choice % all.length] ?? { head: key, chunks: [] };
            const plain = Buffer.concat([head, ...chunks]);
            const out = placed(new Uint8Array(plain.length), 3);
            directions.forEach((direction, at) => {
              // Something else goes through the same memory.
              const other = choice === 5 ? direction.seal(Buffer.alloc(100 + tagLength), 0, 100) : undefined;
              assert.ok(other === undefined || other === "ok");
              assert.equal(direction.sealShared(head, chunks, plain.length, out, 3), "ok");
              const used = order.slice(0, step + 1).filter((earlier) => earlier === 5).length + step;
              const expected = chacha20poly1305(Buffer.alloc(32, at), nonceOf(BigInt(used))).encrypt(plain);
              assert.ok(out.subarray(3, 3 + expected.length).equals(expected));
              assert.ok(out.subarray(3 + expected.length).every((byte) => byte === 0xee));
            });
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  test(`${name} seals for many no more than fits a record, and as much as was promised`, () => {
    const direction = new DirectionKey(key, 0n, implementation());
    const out = Buffer.alloc(6000);
    assert.throws(() => direction.sealShared(key, [Buffer.alloc(4096)], 4128, out, 0), RangeError);
    assert.throws(() => direction.sealShared(key, [Buffer.alloc(10)], 41, out, 0), RangeError);
    assert.equal(direction.sealShared(key, [Buffer.alloc(10)], 42, out, 0), "ok");
  });

  test(`${name} never uses the last counter`, () => {
    const buffer = Buffer.alloc(4 + tagLength);
    const direction = new DirectionKey(key, 2n ** 64n - 2n, implementation());
    assert.equal(direction.seal(buffer, 0, 4), "ok");
    assert.equal(direction.seal(buffer, 0, 4), "exhausted");
    assert.equal(direction.seal(buffer, 0, 4), "exhausted");
    assert.equal(direction.sealShared(Buffer.alloc(1), [], 1, buffer, 0), "exhausted");
    assert.equal(new DirectionKey(key, 2n ** 64n - 1n, implementation()).open(buffer, 0, 4), "exhausted");
  });
}

test("records of every size go to WASM once it is there, what is longer to node:crypto", () => {
  assert.equal(aeadFor(300).name, "libsodium");
  assert.equal(aeadFor(4077).name, "libsodium");
  assert.equal(aeadFor(5000).name, "node:crypto");
});

test("implementations may be mixed within one direction", () => {
  const mixed = new DirectionKey(key);
  for (const length of [10, 3000, 20, 4077]) {
    const buffer = Buffer.alloc(length + tagLength);
    assert.equal(mixed.seal(buffer, 0, length), "ok");
  }
  const last = Buffer.alloc(6 + tagLength);
  mixed.seal(last, 0, 6);
  assert.ok(last.equals(chacha20poly1305(key, nonceOf(4n)).encrypt(new Uint8Array(6))));
});
