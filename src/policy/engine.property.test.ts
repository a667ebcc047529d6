import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatPrefix, parseRange, prefixFirst, prefixLast, type Addr, type Prefix } from "../ip/index.ts";
import { compareAddr } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { FilterRule, SSHRule } from "../wire/tailcfg.ts";
import type { PolicyChange, PolicyEngine, PolicyNode, PolicyUser, PolicyView } from "./engine.ts";
import { explainLogin, partyOf } from "./explain.ts";
import { explainPacket } from "./explain-packet.ts";
import { CompiledEngine, compilePolicy, formatProblems } from "./index.ts";
import { allows, isPublic, mayLogin, mayReach, ownAddresses, type Packet } from "./naive.test-data.ts";
import { addr, arbitraryChange, arbitraryWorld, type ArbitraryWorld } from "./worlds.test-data.ts";

const settings = { serverUrl: "https://control.example", providerGroups: ["group:idp"] };

function compile({ users, nodes, policy }: ArbitraryWorld): PolicyEngine {
  const compiled = compilePolicy(JSON.stringify(policy), { users, nodes, settings });
  assert.ok(compiled.ok, compiled.ok ? "" : formatProblems(compiled.errors));
  return compiled.engine;
}

function inText(text: string, value: Addr): boolean {
  if (text === "*") {
    return true;
  }
  const range = parseRange(text);
  assert.ok(range !== undefined, `filter text ${text}`);
  return range.from.family === value.family && compareAddr(range.from, value) <= 0 && compareAddr(value, range.to) <= 0;
}

/** What a client does with a packet filter (protocol §4.9). */
function filterAllows(filter: readonly FilterRule[], packet: Packet): boolean {
  return filter.some(
    (rule) =>
      (rule.IPProto ?? [1, 6, 17, 58]).includes(packet.protocol) &&
      rule.SrcIPs.some((text) => inText(text, packet.src)) &&
      (rule.DstPorts ?? []).some(
        ({ IP, Ports }) => inText(IP, packet.dst) && Ports.First <= packet.port && packet.port <= Ports.Last,
      ),
  );
}

/** Addresses worth asking about: nodes', inside, outside and at the edges of routes, public and unknown ones. */
const strangers = [
  "10.1.2.3",
  "10.1.200.1",
  "10.2.0.1",
  "10.9.9.9",
  "fd00:1::9",
  "8.8.8.8",
  "9.9.9.9",
  "2606::1",
  "100.64.0.99",
  "192.168.7.7",
].map(addr);

function arrivesAt(node: PolicyNode, dst: Addr): boolean {
  return (
    ownAddresses(node).some((own) => compareAddr(own, dst) === 0) ||
    node.routes.some(
      (route) =>
        (route.bits > 0 || isPublic(dst)) &&
        route.addr.family === dst.family &&
        compareAddr(prefixFirst(route), dst) <= 0 &&
        compareAddr(dst, prefixLast(route)) <= 0,
    )
  );
}

test("the filter a node is given lets a packet through exactly when the policy's definition does", () => {
  fc.assert(
    fc.property(arbitraryWorld, (world) => {
      const engine = compile(world);
      const addresses = [...world.nodes.flatMap(ownAddresses), ...strangers];
      for (const node of world.nodes) {
        const filter = engine.filterOf(node.id);
        for (const dst of addresses.filter((each) => arrivesAt(node, each))) {
          for (const src of addresses) {
            for (const [protocol, port] of [
              [6, 22],
              [6, 8050],
              [17, 53],
              [1, 0],
              [132, 443],
            ] as const) {
              const packet = { src, dst, protocol, port };
              assert.equal(
                filterAllows(filter, packet),
                allows(world, node, packet),
                JSON.stringify({ node: node.id, packet }),
              );
            }
          }
        }
      }
    }),
    { numRuns: 30 },
  );
});

test("nodes see each other exactly when either may reach the other", () => {
  fc.assert(
    fc.property(arbitraryWorld, (world) => {
      const engine = compile(world);
      for (const viewer of world.nodes) {
        const view = engine.viewOf(viewer.id);
        const wanted = world.nodes
          .filter((peer) => peer !== viewer && (mayReach(world, viewer, peer) || mayReach(world, peer, viewer)))
          .map(({ id }) => id)
          .sort((x, y) => x - y);
        assert.deepEqual(
          view.peers().filter((id) => id !== viewer.id),
          wanted,
          `viewer ${viewer.id}`,
        );
        for (const peer of world.nodes) {
          assert.equal(view.sees(peer.id), view.peers().includes(peer.id));
        }
      }
    }),
    { numRuns: 100 },
  );
});

test("an explanation says allowed exactly when the filter lets the packet through, and gives a reason when not", () => {
  fc.assert(
    fc.property(arbitraryWorld, (world) => {
      const engine = compile(world);
      assert.ok(engine instanceof CompiledEngine);
      const addresses = [...world.nodes.flatMap(ownAddresses), ...strangers];
      for (const at of engine.entries()) {
        const filter = engine.filterOf(at.node.id);
        for (const dst of addresses.filter((each) => arrivesAt(at.node, each))) {
          const own = ownAddresses(at.node).some((each) => compareAddr(each, dst) === 0);
          for (const src of addresses.filter(({ family }) => family === dst.family)) {
            const query = { src: partyOf(engine, src), dst, at, port: 443, protocol: 6 };
            const { allowed, by, misses, reasons } = explainPacket(engine, query, own);
            assert.equal(allowed, filterAllows(filter, { src, dst, protocol: 6, port: 443 }));
            assert.equal(allowed, by.length > 0);
            assert.ok(allowed || misses.length > 0 || reasons.length > 0);
          }
        }
      }
      for (const from of engine.entries()) {
        for (const to of engine.entries()) {
          const { allowed } = explainLogin(engine, from, to, "root");
          assert.equal(allowed, sshAllows(engine.sshOf(to.node.id), from.node, "root"));
        }
      }
    }),
    { numRuns: 30 },
  );
});

/** What a client does with SSH rules: the first whose principal and user match decides. */
function sshAllows(rules: readonly SSHRule[], from: PolicyNode, login: string): boolean {
  const sources = new Set(ownAddresses(from).map((each) => formatPrefix({ addr: each, bits: 0 }).split("/")[0]));
  return rules.some((rule) => {
    const local = rule.sshUsers[login] ?? rule.sshUsers["*"] ?? "";
    return local !== "" && rule.principals.some(({ nodeIP }) => nodeIP !== undefined && sources.has(nodeIP));
  });
}

test("the SSH rules a node is given let a login through exactly when the policy's definition does", () => {
  fc.assert(
    fc.property(arbitraryWorld, (world) => {
      const engine = compile(world);
      for (const to of world.nodes) {
        const rules = engine.sshOf(to.id);
        for (const from of world.nodes) {
          for (const login of ["root", "ubuntu", "ann"]) {
            assert.equal(
              sshAllows(rules, from, login),
              mayLogin(world, from, to, login),
              `${from.id} -> ${to.id} as ${login}`,
            );
          }
        }
      }
    }),
    { numRuns: 30 },
  );
});

interface Told {
  readonly filter: readonly FilterRule[];
  readonly ssh: readonly SSHRule[];
  readonly self: unknown;
  readonly view: unknown;
}

function shown(view: PolicyView, peer: NodeId, engine: PolicyEngine): unknown {
  if (!view.sees(peer)) {
    return undefined;
  }
  const { ifPrimary, always, withoutIPv4 } = view.routesOf(peer);
  const texts = (routes: readonly Prefix[]): readonly string[] => routes.map(formatPrefix);
  return { ifPrimary: texts(ifPrimary), always: texts(always), withoutIPv4, caps: engine.peerCaps(peer) };
}

function toldTo(engine: PolicyEngine, node: NodeId, all: readonly NodeId[]): Told {
  const view = engine.viewOf(node);
  return {
    filter: engine.filterOf(node),
    ssh: engine.sshOf(node),
    self: engine.selfCaps(node),
    view: { peers: view.peers(), told: all.map((peer) => shown(view, peer, engine)) },
  };
}

class Model {
  readonly users = new Map<UserId, PolicyUser>();
  readonly nodes = new Map<NodeId, PolicyNode>();

  constructor(world: ArbitraryWorld) {
    world.users.forEach((user) => this.users.set(user.id, user));
    world.nodes.forEach((node) => this.nodes.set(node.id, node));
  }

  apply(change: PolicyChange): void {
    switch (change.kind) {
      case "node":
        this.nodes.set(change.node.id, change.node);
        return;
      case "node-removed":
        this.nodes.delete(change.id);
        return;
      case "user":
        this.users.set(change.user.id, change.user);
        return;
      case "user-removed":
        this.users.delete(change.id);
        return;
    }
  }
}

const batches = fc.array(fc.array(arbitraryChange, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 });

test("after any changes the engine answers as one made afresh, and has named every node that is told something else", () => {
  fc.assert(
    fc.property(arbitraryWorld, batches, (world, changes) => {
      const engine = compile(world);
      const model = new Model(world);
      const ids = [1, 2, 3, 4, 5, 6, 7].map((id) => id as NodeId);
      for (const batch of changes) {
        const before = new Map([...model.nodes.keys()].map((id) => [id, toldTo(engine, id, ids)]));
        const views = new Map([...model.nodes.keys()].map((id) => [id, engine.viewOf(id)]));
        const seen = new Map([...views].map(([id, view]) => [id, ids.map((peer) => shown(view, peer, engine))]));
        const effect = engine.apply(batch);
        batch.forEach((change) => model.apply(change));
        const fresh = compile({
          users: [...model.users.values()],
          nodes: [...model.nodes.values()],
          policy: world.policy,
        });
        for (const id of model.nodes.keys()) {
          assert.deepEqual(toldTo(engine, id, ids), toldTo(fresh, id, ids), `node ${id}`);
        }
        checkEffect(engine, { before, views, seen, ids, effect, present: model.nodes });
      }
    }),
    { numRuns: 80 },
  );
});

interface Step {
  readonly before: ReadonlyMap<NodeId, Told>;
  readonly views: ReadonlyMap<NodeId, PolicyView>;
  readonly seen: ReadonlyMap<NodeId, readonly unknown[]>;
  readonly ids: readonly NodeId[];
  readonly effect: ReturnType<PolicyEngine["apply"]>;
  readonly present: ReadonlyMap<NodeId, PolicyNode>;
}

function checkEffect(engine: PolicyEngine, { before, views, seen, ids, effect, present }: Step): void {
  const named = new Set(effect.nodes);
  const peers = new Set(effect.peers);
  for (const id of present.keys()) {
    const was = before.get(id);
    if (!named.has(id)) {
      assert.equal(engine.filterOf(id), was?.filter, `filter of ${id} changed unsaid`);
      assert.equal(engine.sshOf(id), was?.ssh, `ssh of ${id} changed unsaid`);
      assert.deepEqual(engine.selfCaps(id), was?.self);
      assert.equal(engine.viewOf(id).id, views.get(id)?.id, `view of ${id} changed unsaid`);
    }
  }
  for (const [id, view] of views) {
    ids.forEach((peer, index) => {
      if (!peers.has(peer)) {
        assert.deepEqual(
          shown(view, peer, engine),
          seen.get(id)?.[index],
          `view of ${id}: peer ${peer} changed unsaid`,
        );
      }
    });
  }
}
