import assert from "node:assert/strict";
import test from "node:test";
import { operations } from "./operations.ts";
import { createRouter } from "./router.ts";

const route = createRouter(operations);

function found(method: string, path: string): readonly [string, Record<string, string>] {
  const answer = route(method, path);
  assert.equal(answer.kind, "found", `${method} ${path}`);
  return answer.kind === "found" ? [answer.operation.call.name, Object.fromEntries(answer.params)] : ["", {}];
}

test("fields in the path are decoded", () => {
  assert.deepEqual(found("POST", "/api/v1/user/3/rename/b%20b%2Fc"), [
    "RenameUser",
    { old_id: "3", new_name: "b b/c" },
  ]);
});

test("a fixed word wins over a field", () => {
  assert.deepEqual(found("POST", "/api/v1/node/register"), ["RegisterNode", {}]);
  assert.deepEqual(found("GET", "/api/v1/node/7"), ["GetNode", { node_id: "7" }]);
});

test("a field may be empty, and words may be escaped", () => {
  assert.deepEqual(found("GET", "/api/v1/node/"), ["GetNode", { node_id: "" }]);
  assert.deepEqual(found("GET", "/api/v1/%75ser"), ["ListUsers", {}]);
});

test("another method on a known path is told apart from an unknown path", () => {
  assert.equal(route("PATCH", "/api/v1/node/7").kind, "wrong-method");
  assert.equal(route("POST", "/api/v1/nodes").kind, "unknown");
  assert.equal(route("GET", "/api/v1/node/%zz").kind, "unknown");
});

test("every call has its own method and path", () => {
  const seen = operations.map(({ call }) => `${call.method} ${call.path.replaceAll(/\{[^}]*\}/g, "{}")}`);
  assert.equal(new Set(seen).size, seen.length);
});

test("every field in a path is a field of the request", () => {
  for (const { call } of operations) {
    for (const [, name] of call.path.matchAll(/\{([^}]+)\}/g)) {
      assert.ok(
        call.request.fields.some((field) => field.snake === name),
        `${call.name}: ${name}`,
      );
    }
  }
});

test("headscale's 29 calls are all there", () => {
  const names = operations.filter(({ call }) => call.inHeadscale).map(({ call }) => call.name);
  const expected =
    "CreateUser RenameUser DeleteUser ListUsers CreatePreAuthKey ExpirePreAuthKey DeletePreAuthKey ListPreAuthKeys " +
    "DebugCreateNode GetNode SetTags SetApprovedRoutes RegisterNode DeleteNode ExpireNode RenameNode ListNodes " +
    "BackfillNodeIPs AuthRegister AuthApprove AuthReject CreateApiKey ExpireApiKey ListApiKeys DeleteApiKey GetPolicy " +
    "SetPolicy CheckPolicy Health";
  assert.deepEqual(names.sort(), expected.split(" ").sort());
});
