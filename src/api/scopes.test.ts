import assert from "node:assert/strict";
import test from "node:test";
import { operations } from "./operations.ts";
import { isScope, mayCall, mayGrant } from "./scopes.ts";

/** Which calls a key with these scopes may make. */
function allowed(...scopes: string[]): string[] {
  return operations.filter(({ call }) => mayCall(scopes, call.scope)).map(({ call }) => call.name);
}

test("a key without scopes may make every call", () => {
  assert.equal(allowed().length, operations.length);
});

test("read allows the calls that change nothing, and only those", () => {
  const reading = operations.filter(({ call }) => call.scope.endsWith(":read")).map(({ call }) => call.name);
  assert.deepEqual(allowed("read"), reading);
  assert.ok(
    reading.every((name) => /^(List|Get|Health|Check|Explain|Preview|Test|Format|Verify)/.test(name)),
    reading.join(" "),
  );
});

test("write allows everything", () => {
  assert.equal(allowed("write").length, operations.length);
});

test("an area's scope stays in its area, and its write includes its read", () => {
  assert.deepEqual(allowed("users:read"), ["ListUsers"]);
  assert.deepEqual(allowed("users:write").slice(0, 4), ["CreateUser", "ListUsers", "RenameUser", "DeleteUser"]);
  assert.ok(allowed("users:write").every((name) => name.includes("User")));
});

test("a key grants no more than it has", () => {
  assert.ok(mayGrant([], []));
  assert.ok(!mayGrant(["write"], []));
  assert.ok(mayGrant(["write"], ["nodes:read", "read"]));
  assert.ok(mayGrant(["nodes:write"], ["nodes:read"]));
  assert.ok(!mayGrant(["nodes:read"], ["nodes:write"]));
  assert.ok(!mayGrant(["read"], ["write"]));
});

test("scopes are spelled exactly", () => {
  assert.ok(isScope("nodes:read"));
  assert.ok(!isScope("node:read"));
  assert.ok(!isScope("nodes:delete"));
});
