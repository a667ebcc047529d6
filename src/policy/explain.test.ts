import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddr, parsePrefix } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { PolicyNode } from "./engine.ts";
import {
  compilePolicy,
  createAllowAll,
  createDenyAll,
  explain,
  formatProblems,
  type PairExplanation,
} from "./index.ts";

const text = `{
  "groups": {"group:dev": ["ann@"]},
  "tagOwners": {"tag:web": [], "tag:gate": []},
  "postures": {"posture:mac": ["node:os == 'macos'"]},
  "acls": [
    {"action": "accept", "src": ["group:dev"], "dst": ["tag:web:80,443", "office:*"], "proto": "tcp"},
    {"action": "accept", "src": ["bob@"], "dst": ["tag:web:22"], "srcPosture": ["posture:mac"]},
  ],
  "hosts": {"office": "10.1.0.0/16"},
  "ssh": [{"action": "check", "src": ["group:dev"], "dst": ["tag:web"], "users": ["ubuntu"]}],
}`;

const node = (
  id: number,
  name: string,
  owner: number | readonly string[],
  routes: readonly string[] = [],
): PolicyNode => ({
  id: id as NodeId,
  name,
  user: typeof owner === "number" ? (owner as UserId) : null,
  tags: typeof owner === "number" ? [] : owner,
  ipv4: parseAddr(`100.64.0.${id}`) ?? null,
  ipv6: parseAddr(`fd7a:115c:a1e0::${id}`) ?? null,
  routes: routes.flatMap((route) => parsePrefix(route) ?? []),
  posture: { "node:os": "linux" },
});
const users = ["ann", "bob"].map((name, index) => ({
  id: (index + 1) as UserId,
  name,
  email: `${name}@corp.example`,
  providerId: "",
  role: "member" as const,
  groups: [],
}));
const nodes = [
  node(1, "ann-pc", 1),
  node(2, "bob-pc", 2),
  node(3, "web", ["tag:web"]),
  node(4, "gate", ["tag:gate"], ["10.1.0.0/16"]),
];
const compiled = compilePolicy(text, { users, nodes, settings: { serverUrl: "" } });
assert.ok(compiled.ok, compiled.ok ? "" : formatProblems(compiled.errors));
const { engine } = compiled;

function one(query: Parameters<typeof explain>[1]): PairExplanation {
  const result = explain(engine, query);
  assert.ok(result.ok, result.ok ? "" : result.error);
  assert.equal(result.pairs.length, 1);
  const [pair] = result.pairs;
  assert.ok(pair !== undefined);
  return pair;
}

test("what is allowed is explained by rule, line, group and tag", () => {
  const pair = one({ src: "ann-pc", dst: "web:443" });
  assert.equal(pair.allowed, true);
  assert.deepEqual(pair.by, [
    {
      section: "acls",
      index: 0,
      line: 6,
      column: 5,
      source: { selector: "group:dev", through: "ann-pc belongs to ann@corp.example, a member of group:dev" },
      destination: { selector: "tag:web", through: "web has tag:web" },
      ports: "tcp 80, 443",
      posture: undefined,
    },
  ]);
  assert.equal(pair.visible, true);
});

test("a closed port names the ports that are open", () => {
  const pair = one({ src: "100.64.0.1", dst: "100.64.0.3:9999" });
  assert.equal(pair.allowed, false);
  assert.deepEqual(pair.misses[0], {
    section: "acls",
    index: 0,
    line: 6,
    column: 5,
    kind: "port",
    text: "both sides fit, but it opens only tcp 80, 443",
  });
});

test("a protocol that no rule carries is told from a port", () => {
  assert.equal(one({ src: "ann-pc", dst: "web:443", protocol: "udp" }).misses[0]?.kind, "protocol");
});

test("every reason is given: the missing posture, and the rules that name only one side", () => {
  const pair = one({ src: "bob-pc", dst: "web:22" });
  assert.deepEqual(
    pair.misses.map(({ kind, line, text: why }) => [kind, line, why]),
    [
      ["posture", 7, "bob-pc does not meet posture:mac: node:os == 'macos'"],
      ["source", 6, "tag:web fits the destination (web has tag:web), but the source is not among group:dev"],
    ],
  );
});

test("an address behind a router is explained with the router", () => {
  const pair = one({ src: "ann-pc", dst: "10.1.2.3:22" });
  assert.equal(pair.allowed, true);
  assert.deepEqual(pair.through, { name: "gate", route: "10.1.0.0/16" });
  assert.equal(pair.by[0]?.destination.through, "office is 10.1.0.0/16, routed by gate");
});

test("an address that nothing leads to is said to be so", () => {
  assert.deepEqual(one({ src: "ann-pc", dst: "192.168.0.1:22" }).reasons, [
    "no node has this address, and no approved route of any node leads to it",
  ]);
});

test("where no rule names either side, that is the reason", () => {
  assert.deepEqual(one({ src: "web", dst: "ann-pc" }).reasons, [
    "no rule names the source",
    "no rule names the destination",
  ]);
});

test("SSH is explained with its rule, and with whether the packets get there", () => {
  const yes = one({ src: "ann-pc", dst: "web", sshUser: "ubuntu" }).ssh;
  assert.deepEqual(
    { allowed: yes?.allowed, action: yes?.action, line: yes?.by?.line, network: yes?.network },
    { allowed: true, action: "check", line: 10, network: false },
  );
  const no = one({ src: "ann-pc", dst: "web", sshUser: "root" }).ssh;
  assert.deepEqual(
    no?.misses.map((miss) => miss.text),
    ["both nodes fit, but it lets in only as ubuntu"],
  );
});

test("a user or a tag stands for all its nodes", () => {
  const result = explain(engine, { src: "autogroup:member", dst: "tag:web:80" });
  assert.ok(result.ok);
  assert.deepEqual(
    result.pairs.map(({ src, allowed }) => [src.name, allowed]),
    [
      ["ann-pc", true],
      ["bob-pc", false],
    ],
  );
});

test("a name that is nobody's is answered with the nearest", () => {
  const result = explain(engine, { src: "ann-cp", dst: "web" });
  assert.deepEqual(result, {
    ok: false,
    error: '"ann-cp" is no node, address, user, group or tag with nodes in this tailnet',
    hint: 'did you mean "ann-pc"?',
  });
});

test("without a policy the default rule explains everything, and a server that never had a good one nothing", () => {
  const open = explain(createAllowAll({ users, nodes }), { src: "ann-pc", dst: "web" });
  assert.ok(open.ok);
  assert.deepEqual(
    open.pairs.map(({ allowed, by }) => [allowed, by[0]?.section]),
    [[true, "default"]],
  );
  assert.equal(explain(createDenyAll(), { src: "ann-pc", dst: "web" }).ok, false);
});
