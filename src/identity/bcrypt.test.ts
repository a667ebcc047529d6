import assert from "node:assert/strict";
import { test } from "node:test";
import { bcryptMatches } from "./bcrypt.ts";

/** Vectors that come with the C implementations of bcrypt. */
const vectors: readonly (readonly [secret: string, hash: string])[] = [
  ["U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"],
  ["U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"],
  ["U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"],
  ["", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"],
];

test("the reference vectors open, and nothing else does", () => {
  for (const [secret, hash] of vectors) {
    assert.equal(bcryptMatches(secret, hash), true, hash);
    assert.equal(bcryptMatches(`${secret}x`, hash), false);
  }
});

test("what is no hash, or would take for ever, is no match", () => {
  for (const hash of [
    "",
    "$2a$05$short",
    "$1$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
  ]) {
    assert.equal(bcryptMatches("U*U", hash), false);
  }
});
