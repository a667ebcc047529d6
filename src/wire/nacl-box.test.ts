import assert from "node:assert/strict";
import { test } from "node:test";
import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { x25519 } from "@noble/curves/ed25519.js";
import * as fc from "fast-check";
import { generatePrivateKey } from "./keys.ts";
import { boxOverhead, boxReady, openBox, sealBox, sharedBoxKey } from "./nacl-box.ts";

const nonces = fc.uint8Array({ minLength: 24, maxLength: 24 });
const messages = fc.uint8Array({ maxLength: 600 });

function shared(theirs: Uint8Array, ours: ReturnType<typeof generatePrivateKey>): Uint8Array {
  const key = sharedBoxKey(theirs, ours);
  assert.ok(key !== undefined);
  return key;
}

/** The same key by the definition: HSalsa20 over the X25519 secret. */
function nobleKey(theirs: Uint8Array, ours: Uint8Array): Uint8Array {
  const words = (bytes: Uint8Array): Uint32Array =>
    new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const out = new Uint32Array(8);
  const sigma = words(Buffer.from("expand 32-byte k", "ascii"));
  hsalsa(sigma, words(x25519.getSharedSecret(ours, theirs)), new Uint32Array(4), out);
  return new Uint8Array(out.buffer);
}

test("a box is what another implementation makes and opens", async () => {
  await boxReady;
  const [a, b] = [generatePrivateKey(), generatePrivateKey()];
  const key = shared(b.publicRaw, a);
  assert.deepEqual(key, shared(a.publicRaw, b));
  assert.deepEqual(Buffer.from(key), Buffer.from(nobleKey(b.publicRaw, a.raw)));
  fc.assert(
    fc.property(nonces, messages, (nonce, message) => {
      const box = sealBox(message, nonce, key);
      assert.equal(box.length, message.length + boxOverhead);
      assert.deepEqual(Buffer.from(box), Buffer.from(xsalsa20poly1305(key, nonce).encrypt(message)));
      assert.deepEqual(openBox(box, nonce, key), new Uint8Array(message));
    }),
    { numRuns: 100 },
  );
});

test("a box that was changed, cut or made with another key or nonce does not open", async () => {
  await boxReady;
  const [a, b] = [generatePrivateKey(), generatePrivateKey()];
  const key = shared(b.publicRaw, a);
  fc.assert(
    fc.property(nonces, messages, fc.nat(), fc.integer({ min: 1, max: 255 }), (nonce, message, place, flip) => {
      const box = sealBox(message, nonce, key);
      const at = place % box.length;
      const changed = Uint8Array.from(box, (byte, i) => (i === at ? byte ^ flip : byte));
      assert.equal(openBox(changed, nonce, key), undefined);
      assert.equal(openBox(box.subarray(0, at), nonce, key), undefined);
      assert.equal(
        openBox(
          box,
          Uint8Array.from(nonce, (byte, i) => (i === 0 ? byte ^ flip : byte)),
          key,
        ),
        undefined,
      );
      assert.equal(openBox(box, nonce, shared(a.publicRaw, a)), undefined);
    }),
    { numRuns: 100 },
  );
});

test("a public key of low order, which everybody shares, gives no key", async () => {
  await boxReady;
  const ours = generatePrivateKey();
  const order8 = Buffer.from("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "hex");
  for (const low of [Buffer.alloc(32), Buffer.from([1, ...Array(31).fill(0)]), order8, Buffer.alloc(31)]) {
    assert.equal(sharedBoxKey(low, ours), undefined);
  }
});
