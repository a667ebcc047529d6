import assert from "node:assert/strict";
import { x25519 } from "@noble/curves/ed25519.js";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  challengeKeyText,
  discoKeyText,
  generatePrivateKey,
  machineKeyText,
  nodeKeyText,
  nodeLockKeyText,
  parsePrivateKey,
  privateKeyFromRaw,
  privateKeyText,
  publicOf,
  rawKey,
  sharedSecret,
} from "./keys.ts";
import { parseDiscoKey, parseMachineKey, parseNodeKey, parseNodeLockKey } from "./ids.ts";

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

test("agreement and public keys are those of an independent X25519", () => {
  fc.assert(
    fc.property(bytes32, bytes32, (a, b) => {
      const [alice, bob] = [privateKeyFromRaw(a), privateKeyFromRaw(b)];
      assert.deepEqual(Buffer.from(publicOf(alice)), Buffer.from(x25519.getPublicKey(a)));
      const secret = sharedSecret(alice, publicOf(bob));
      assert.ok(secret !== undefined);
      assert.deepEqual(Buffer.from(secret), Buffer.from(x25519.getSharedSecret(a, publicOf(bob))));
      assert.deepEqual(sharedSecret(bob, publicOf(alice)), secret);
    }),
    { numRuns: 15 },
  );
});

test("private keys are clamped, and survive their text form", () => {
  fc.assert(
    fc.property(bytes32, (raw) => {
      const key = privateKeyFromRaw(raw);
      assert.equal((key.raw[0] ?? 255) & 7, 0);
      assert.equal((key.raw[31] ?? 0) & 0xc0, 0x40);
      const text = privateKeyText(key);
      assert.match(text, /^privkey:[0-9a-f]{64}$/);
      const back = parsePrivateKey(` ${text.toUpperCase().replace("PRIVKEY", "privkey")}\n`);
      assert.deepEqual(back?.raw, key.raw);
      assert.deepEqual(back?.publicRaw, key.publicRaw);
    }),
    { numRuns: 15 },
  );
});

test("a text that is no private key is not read", () => {
  for (const text of [
    "",
    "privkey:",
    `privkey:${"0".repeat(63)}`,
    `mkey:${"0".repeat(64)}`,
    `privkey:${"g".repeat(64)}`,
  ]) {
    assert.equal(parsePrivateKey(text), undefined);
  }
});

test("every public key text parses back to its bytes", () => {
  fc.assert(
    fc.property(bytes32, (raw) => {
      for (const [text, parse] of [
        [machineKeyText, parseMachineKey],
        [nodeKeyText, parseNodeKey],
        [discoKeyText, parseDiscoKey],
        [nodeLockKeyText, parseNodeLockKey],
      ] as const) {
        const parsed = parse(text(raw));
        assert.ok(parsed !== undefined);
        assert.deepEqual(Buffer.from(rawKey(parsed)), Buffer.from(raw));
      }
      assert.deepEqual(Buffer.from(rawKey(challengeKeyText(raw))), Buffer.from(raw));
    }),
  );
});

test("a seeded source of randomness gives the same key again", () => {
  const source = (count: number): Uint8Array => new Uint8Array(count).fill(7);
  assert.deepEqual(generatePrivateKey(source).publicRaw, generatePrivateKey(source).publicRaw);
  assert.notDeepEqual(generatePrivateKey().raw, generatePrivateKey().raw);
});

test("keys of another length are a mistake of the caller", () => {
  assert.throws(() => privateKeyFromRaw(new Uint8Array(31)), RangeError);
  assert.throws(() => machineKeyText(new Uint8Array(33)), RangeError);
  assert.equal(sharedSecret(generatePrivateKey(), new Uint8Array(31)), undefined);
});
