import assert from "node:assert/strict";
import { createHash, hkdfSync } from "node:crypto";
import { test } from "node:test";
import { assert as check, property, uint8Array, type Arbitrary } from "fast-check";
import { digestLength, hashTwo, hkdfTwo, textLimit } from "./blake2s.ts";

const bytes = (maxLength: number): Arbitrary<Uint8Array> => uint8Array({ maxLength });

function hexOf(data: Uint8Array): string {
  return Buffer.from(data).toString("hex");
}

test("the digest of RFC 7693, appendix B", () => {
  const out = new Uint8Array(digestLength);
  hashTwo(Buffer.from("a"), Buffer.from("bc"), out);
  assert.equal(hexOf(out), "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
});

test("every digest is OpenSSL's, whatever the length and wherever it is cut in two", () => {
  check(
    property(bytes(textLimit / 2), bytes(textLimit / 2), (first, second) => {
      const out = new Uint8Array(digestLength);
      hashTwo(first, second, out);
      assert.equal(hexOf(out), createHash("blake2s256").update(first).update(second).digest("hex"));
    }),
    { numRuns: 500 },
  );
});

test("lengths around a block's are digested as OpenSSL does", () => {
  const out = new Uint8Array(digestLength);
  for (let length = 0; length <= 260; length++) {
    const text = Buffer.alloc(length, length);
    hashTwo(text, new Uint8Array(0), out);
    assert.equal(hexOf(out), createHash("blake2s256").update(text).digest("hex"), `${length} bytes`);
  }
});

test("HKDF gives what OpenSSL's gives, with and without a secret", () => {
  check(
    property(
      uint8Array({ minLength: digestLength, maxLength: digestLength }),
      bytes(digestLength * 3),
      (salt, secret) => {
        const [first, second] = [new Uint8Array(digestLength), new Uint8Array(digestLength)];
        hkdfTwo(salt, secret, first, second);
        const expected = Buffer.from(hkdfSync("blake2s256", secret, salt, "", 64)).toString("hex");
        assert.equal(hexOf(first) + hexOf(second), expected);
      },
    ),
    { numRuns: 500 },
  );
});

test("what is derived may replace the salt and the hash its own input", () => {
  const salt = Buffer.alloc(digestLength, 7);
  const second = new Uint8Array(digestLength);
  const expected = Buffer.from(hkdfSync("blake2s256", "secret", salt, "", 64));
  hkdfTwo(salt, Buffer.from("secret"), salt, second);
  assert.deepEqual([hexOf(salt), hexOf(second)], [expected.toString("hex", 0, 32), expected.toString("hex", 32)]);
  const running = Uint8Array.from(salt);
  hashTwo(running, second, running);
  assert.equal(hexOf(running), createHash("blake2s256").update(salt).update(second).digest("hex"));
});

test("a text that is too long and a salt of another length are refused", () => {
  const out = new Uint8Array(digestLength);
  assert.throws(() => hashTwo(new Uint8Array(textLimit), new Uint8Array(1), out), RangeError);
  assert.throws(() => hkdfTwo(new Uint8Array(31), new Uint8Array(1), out, out), RangeError);
});
