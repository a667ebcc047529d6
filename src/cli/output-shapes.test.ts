import assert from "node:assert/strict";
import test from "node:test";
import { HealthResponse, Node, PreAuthKey, User } from "../api/messages.ts";
import { many, one, plain, renderJson as jsonPieces, renderYaml } from "./output-shapes.ts";
import type { Shape } from "./output-shapes.ts";

function renderJson(shape: Shape, indent: string | undefined): string {
  return [...jsonPieces(shape, indent)].join("");
}

const made = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

test("JSON leaves empty fields out, and gives ids as numbers and times as seconds and nanos", () => {
  const user = { ...User.unset, id: 1, name: "infra", createdAt: made };
  assert.equal(
    renderJson(one(User, user), "\t"),
    '{\n\t"id": 1,\n\t"name": "infra",\n\t"created_at": {\n\t\t"seconds": 1767323045,\n\t\t"nanos": 678000000\n\t}\n}',
  );
  const whole = { ...user, createdAt: made - 678 };
  assert.equal(renderJson(one(User, whole), undefined), '{"id":1,"name":"infra","created_at":{"seconds":1767323045}}');
});

test("a time before 1970 has positive nanos", () => {
  assert.equal(
    renderJson(one(User, { ...User.unset, createdAt: -1500 }), undefined),
    '{"created_at":{"seconds":-2,"nanos":500000000}}',
  );
});

test("an empty list is null, an empty message an empty object", () => {
  assert.equal(renderJson(many(User, []), undefined), "null");
  assert.equal(renderJson(one(User, User.unset), undefined), "{}");
  assert.equal(
    renderJson(one(HealthResponse, { databaseConnectivity: true }), undefined),
    '{"database_connectivity":true}',
  );
});

test("enums are numbers, nested messages and lists keep their form", () => {
  const node = {
    ...Node.unset,
    id: 3,
    registerMethod: "REGISTER_METHOD_OIDC",
    user: { ...User.unset, id: 1 },
    tags: ["tag:a"],
  };
  assert.equal(renderJson(one(Node, node), undefined), '{"id":3,"user":{"id":1},"register_method":3,"tags":["tag:a"]}');
});

test("characters that Go escapes are escaped", () => {
  assert.equal(
    renderJson(plain({ error: "<a> & b\u2028" }), undefined),
    String.raw`{"error":"\u003ca\u003e \u0026 b\u2028"}`,
  );
});

test("YAML has every field under its lower-cased Go name", () => {
  const key = {
    ...PreAuthKey.unset,
    id: 2,
    key: "hskey-auth-abcdefghijkl-***",
    reusable: true,
    user: { ...User.unset, id: 1, name: "infra", createdAt: made },
    aclTags: ["tag:a", "tag:b"],
  };
  assert.equal(
    renderYaml(one(PreAuthKey, key)),
    `user:
    id: 1
    name: infra
    createdat:
        seconds: 1767323045
        nanos: 678000000
    displayname: ""
    email: ""
    providerid: ""
    provider: ""
    profilepicurl: ""
id: 2
key: hskey-auth-abcdefghijkl-***
reusable: true
ephemeral: false
used: false
expiration: null
createdat: null
acltags:
    - tag:a
    - tag:b
`,
  );
});

test("YAML lists keep the first key beside the dash", () => {
  const shape = many(PreAuthKey, [{ ...PreAuthKey.unset, id: 1, user: { ...User.unset, name: "a" } }]);
  const lines = renderYaml(shape).split("\n");
  assert.deepEqual(lines.slice(0, 4), ["- user:", "    id: 0", "    name: a", "    createdat: null"]);
  assert.ok(lines.includes("  id: 1"));
  assert.ok(lines.includes("  acltags: []"));
  assert.equal(renderYaml(many(User, [])), "[]\n");
});

test("a long list comes in pieces, and indented it is the same as in one line", () => {
  const nodes = Array.from({ length: 1000 }, (_, index) => ({
    ...Node.unset,
    id: index + 1,
    name: index % 3 === 0 ? "<&>\u2028é" : 'plain "quoted"',
    tags: index % 2 === 0 ? [] : ["tag:a", "tag:b"],
    user: index % 5 === 0 ? null : { ...User.unset, id: 7, createdAt: index % 7 === 0 ? 0 : made },
    createdAt: made + index,
  }));
  const pieces = [...jsonPieces(many(Node, nodes), "\t")];
  assert.ok(pieces.length > 10);
  const line = renderJson(many(Node, nodes), undefined);
  const parsed: unknown = JSON.parse(line);
  const goEscapes = (text: string): string =>
    text.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  assert.equal(pieces.join(""), goEscapes(JSON.stringify(parsed, undefined, "\t")));
  assert.equal(line, goEscapes(JSON.stringify(parsed)));
});
