// Services: names whose addresses come from outside the text. A rule may name one before anybody offers it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddr, parsePrefix, type Prefix } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { PolicyNode } from "./engine.ts";
import { compilePolicy, describeProblem, explain, formatProblems, preview } from "./index.ts";

const users = [{ id: 1 as UserId, name: "ann", email: "", providerId: "", role: "member" as const, groups: [] }];
const node = (id: number, tags: readonly string[]): PolicyNode => ({
  id: id as NodeId,
  name: tags.length === 0 ? "ann-pc" : "host",
  user: tags.length === 0 ? (1 as UserId) : null,
  tags,
  ipv4: parseAddr(`100.64.0.${id}`) ?? null,
  ipv6: null,
  routes: [],
  posture: {},
});
const pc = node(1, []);
const host: PolicyNode = {
  ...node(2, ["tag:host"]),
  routes: [parsePrefix("100.99.0.5/32")].flatMap((each) => each ?? []),
};
const text = `{
  "tagOwners": {"tag:host": []},
  "acls": [
    {"action": "accept", "src": ["ann@"], "dst": ["svc:shop:443", "tag:host:22"]},
    {"action": "accept", "src": ["svc:shop"], "dst": ["ann@:80"]},
  ],
}`;

function compile(services?: ReadonlyMap<string, readonly Prefix[]>) {
  const input = {
    users,
    nodes: [pc, host],
    settings: { serverUrl: "", ...(services === undefined ? {} : { services }) },
  };
  const compiled = compilePolicy(text, input);
  assert.ok(compiled.ok, compiled.ok ? "" : formatProblems(compiled.errors));
  return { ...compiled, input };
}

const offered = new Map([["svc:shop", ["100.99.0.5/32"].flatMap((address) => parsePrefix(address) ?? [])]]);

test("a rule that names a service without addresses is taken, opens nothing, and says so", () => {
  const { engine, warnings } = compile();
  assert.deepEqual(
    engine.filterOf(host.id).flatMap(({ DstPorts = [] }) => DstPorts.map(({ IP, Ports }) => `${IP}:${Ports.First}`)),
    ["100.64.0.2:22"],
  );
  assert.deepEqual(engine.filterOf(pc.id), []);
  assert.match(describeProblem(warnings[0] ?? { message: "", line: 0, column: 0 }), /svc:shop has no addresses/);
  const explained = explain(engine, { src: "host", dst: "ann-pc:80" });
  assert.ok(explained.ok);
  assert.match(
    explained.pairs[0]?.misses.map(({ text: miss }) => miss).join("\n") ?? "",
    /svc:shop \(which has no addresses\)/,
  );
});

test("once the service has addresses the same text opens it at its host, and a preview of the change says so", () => {
  const before = compile();
  const after = compile(offered);
  assert.deepEqual(
    after.engine
      .filterOf(host.id)
      .flatMap(({ DstPorts = [] }) => DstPorts.map(({ IP, Ports }) => `${IP}:${Ports.First}`)),
    ["100.99.0.5:443", "100.64.0.2:22"],
  );
  assert.deepEqual(after.engine.filterOf(pc.id)[0]?.SrcIPs, ["100.99.0.5"]);
  assert.deepEqual(after.warnings, []);
  const changes = preview(before.engine, text, after.input);
  assert.ok(changes.ok && changes.pairsGaining > 0 && changes.pairsLosing === 0);
});

test("a node that comes to serve a service's address is told its rules, as after a fresh start", () => {
  const bare = { ...host, routes: [] };
  const { engine } = compile(offered);
  engine.apply([{ kind: "node", node: bare }]);
  assert.equal(JSON.stringify(engine.filterOf(host.id)).includes("100.99.0.5"), false);
  engine.apply([{ kind: "node", node: host }]);
  assert.deepEqual(engine.filterOf(host.id), compile(offered).engine.filterOf(host.id));
});
