import assert from "node:assert/strict";
import test from "node:test";
import type { ApiKey } from "../tailnet/model.ts";
import type { ApiKeyId } from "../wire/ids.ts";
import { createAuthenticator } from "./authenticate.ts";
import type { Authenticator } from "./authenticate.ts";

const key: ApiKey = {
  id: 1 as ApiKeyId,
  prefix: "abcdefghijkl",
  expiration: null,
  createdAt: 0,
  lastSeen: null,
  description: "",
  scopes: ["nodes:read"],
};

function setUp(): { authenticator: Authenticator; clock: { ms: number }; asked: () => number } {
  const clock = { ms: 1_000_000 };
  let asked = 0;
  const verifyApiKey = (secret: string): ApiKey | undefined => {
    asked += 1;
    return secret === "good" ? key : undefined;
  };
  const authenticator = createAuthenticator({ verifyApiKey }, { now: () => clock.ms });
  return { authenticator, clock, asked: () => asked };
}

test("a good key gives its prefix as the actor, and its scopes", () => {
  const { authenticator } = setUp();
  assert.deepEqual(authenticator.check("Bearer good", "192.0.2.1"), {
    kind: "caller",
    caller: { actor: { kind: "api-key", id: "abcdefghijkl", from: "192.0.2.1" }, scopes: ["nodes:read"] },
  });
});

test("no key, another scheme and a wrong key are refused with headscale's reasons", () => {
  const { authenticator } = setUp();
  const reason = (header: string | undefined): string => {
    const answer = authenticator.check(header, "192.0.2.1");
    return answer.kind === "refused" ? answer.reason : answer.kind;
  };
  assert.equal(reason(undefined), "authorization token not supplied");
  assert.equal(reason("Basic good"), 'missing "Bearer " prefix in "Authorization" header');
  assert.equal(reason("Bearer bad"), "invalid token");
});

test("after thirty wrong keys an address waits, and its guesses cost no look-up", () => {
  const { authenticator, clock, asked } = setUp();
  for (let guess = 0; guess < 30; guess += 1) {
    assert.equal(authenticator.check(`Bearer ${guess}`, "192.0.2.1").kind, "refused");
  }
  assert.deepEqual(authenticator.check("Bearer more", "192.0.2.1"), { kind: "too-many", retryAfterSeconds: 60 });
  assert.equal(asked(), 30);
  assert.equal(authenticator.check("Bearer more", "192.0.2.2").kind, "refused");
  clock.ms += 60_000;
  assert.equal(authenticator.check("Bearer good", "192.0.2.1").kind, "caller");
});

test("a key that was good a moment ago is not locked out by others' guesses", () => {
  const { authenticator } = setUp();
  assert.equal(authenticator.check("Bearer good", "192.0.2.1").kind, "caller");
  for (let guess = 0; guess < 40; guess += 1) {
    authenticator.check(`Bearer ${guess}`, "192.0.2.1");
  }
  assert.equal(authenticator.check("Bearer good", "192.0.2.1").kind, "caller");
});

test("an absurdly long key is refused without a look-up", () => {
  const { authenticator, asked } = setUp();
  assert.equal(authenticator.check(`Bearer ${"x".repeat(10_000)}`, "192.0.2.1").kind, "refused");
  assert.equal(asked(), 0);
});
