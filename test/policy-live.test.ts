// The compiled policy over the real tailnet: what nodes tell of themselves, and who is there, decides at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPrefix } from "../src/ip/index.ts";
import { compilePolicy, formatProblems } from "../src/policy/index.ts";
import type { Node } from "../src/tailnet/model.ts";
import type { PolicyWorld } from "../src/tailnet/options.ts";
import type { NodeId } from "../src/wire/ids.ts";
import type { Hostinfo } from "../src/wire/tailcfg.ts";
import { admin, defined, makeKey, makeUser, must, prefix, registration, rig, type Rig } from "./tailnet-rig.ts";

const settings = { serverUrl: "https://control.example" };

function compiled(text: string, { users, nodes }: PolicyWorld) {
  const outcome = compilePolicy(text, { users, nodes, settings });
  return outcome.ok ? outcome : { ok: false as const, error: formatProblems(outcome.errors) };
}

async function worldWith(policy: Readonly<Record<string, unknown>>): Promise<Rig> {
  const world = await rig({ compilePolicy: compiled });
  await makeUser(world.tailnet, "ada");
  const tagOwners = { "tag:db": ["ada@"], "tag:east": ["ada@"], "tag:west": ["ada@"] };
  must(await world.tailnet.setPolicy(admin, JSON.stringify({ tagOwners, ...policy })));
  return world;
}

let machines = 0;

async function join(
  { tailnet }: Rig,
  { tags = [], host = {} }: { readonly tags?: readonly string[]; readonly host?: Hostinfo },
): Promise<Node> {
  machines++;
  const user = tags.length > 0 ? null : defined(tailnet.usersByName("ada")[0]).id;
  const key = await makeKey(tailnet, { user, tags });
  return must(await tailnet.register(admin, registration(machines, machines, { host }), key));
}

test("a grant opens and closes as the client behind it is updated and goes back", async () => {
  const world = await worldWith({
    postures: { "posture:fresh": ["node:tsVersion >= '1.80'", "node:os IN ['linux', 'macos']"] },
    grants: [{ src: ["ada@"], dst: ["tag:db"], ip: ["tcp:5432"], srcPosture: ["posture:fresh"] }],
  });
  const { tailnet } = world;
  const laptop = await join(world, { host: { OS: "linux", IPNVersion: "1.78.1-tdeadbeef-gcafe" } });
  const db = await join(world, { tags: ["tag:db"] });
  const sources = (): readonly string[] => tailnet.policy.filterOf(db.id).flatMap(({ SrcIPs }) => SrcIPs);
  const sees = (): boolean => tailnet.policy.viewOf(laptop.id).sees(db.id);
  const report = (version: string, os = "linux"): readonly NodeId[] => {
    const named: NodeId[] = [];
    const stop = tailnet.subscribe(({ effect }) => named.push(...effect.nodes));
    tailnet.updatePresence(laptop.id, { hostinfo: { ...laptop.hostinfo, OS: os, IPNVersion: version } });
    stop();
    return named;
  };

  assert.deepEqual([sources(), sees()], [[], false]);
  assert.ok(report("1.80.0-t1-g2").includes(db.id), "the database is told a new filter");
  assert.deepEqual([sources().length, sees()], [2, true]);
  assert.ok(report("1.9.3").includes(db.id));
  assert.deepEqual([sources(), sees()], [[], false], "1.9 is older than 1.80");
  report("1.99.1");
  assert.equal(sees(), true);
  report("1.99.1", "windows");
  assert.deepEqual([sources(), sees()], [[], false]);
});

const lan = "192.168.7.0/24";

async function router(world: Rig, tag: string): Promise<NodeId> {
  const { id } = await join(world, { tags: [tag], host: { RoutableIPs: [lan] } });
  must(await world.tailnet.setApprovedRoutes(admin, id, [prefix(lan)]));
  return id;
}

function carriers({ tailnet }: Rig, viewer: NodeId, routers: readonly NodeId[]): readonly NodeId[] {
  const view = tailnet.policy.viewOf(viewer);
  return routers.filter((id) => view.sees(id) && view.routesOf(id).always.some((route) => formatPrefix(route) === lan));
}

test("a steered route moves to a router that is there, and does not move back", async () => {
  const world = await worldWith({
    grants: [{ src: ["ada@"], dst: [lan], ip: ["*"], via: ["tag:east"] }],
  });
  const { tailnet } = world;
  const laptop = await join(world, {});
  const first = await router(world, "tag:east");
  const second = await router(world, "tag:east");
  const other = await router(world, "tag:west");
  const serving = (): readonly NodeId[] => carriers(world, laptop.id, [first, second, other]);

  assert.deepEqual(serving(), [first], "nobody is there: the lowest id");
  tailnet.sessionOpened(other);
  tailnet.sessionOpened(second);
  assert.deepEqual(serving(), [second]);
  tailnet.sessionOpened(first);
  assert.deepEqual(serving(), [second], "who came later waits");

  const told = new Set<NodeId>();
  const stop = tailnet.subscribe(({ effect }) => effect.peers.forEach((id) => told.add(id)));
  tailnet.sessionClosed(second);
  world.now += 10_000;
  tailnet.tick();
  stop();
  assert.deepEqual(serving(), [first]);
  assert.ok(told.has(first) && told.has(second), "both are told again");
  tailnet.sessionOpened(second);
  assert.deepEqual(serving(), [first]);
});

test("a steered route leaves a router that is found to serve nothing, also after the policy was set anew", async () => {
  const grant = { src: ["ada@"], dst: [lan], ip: ["*"], via: ["tag:east"] };
  const world = await worldWith({ grants: [grant] });
  const { tailnet } = world;
  const laptop = await join(world, {});
  const routers = [await router(world, "tag:east"), await router(world, "tag:east"), await router(world, "tag:west")];
  routers.forEach((id) => tailnet.sessionOpened(id));
  const [first, second] = routers;
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual(carriers(world, laptop.id, routers), [first]);
  tailnet.setRouteHealth(first, false);
  assert.deepEqual(carriers(world, laptop.id, routers), [second]);
  const tagOwners = { "tag:east": ["ada@"], "tag:west": ["ada@"] };
  must(await tailnet.setPolicy(admin, JSON.stringify({ tagOwners, grants: [grant], hosts: { x: "10.0.0.1" } })));
  assert.deepEqual(carriers(world, laptop.id, routers), [second], "a new engine knows who is there");
  tailnet.sessionClosed(second);
  world.now += 10_000;
  tailnet.tick();
  assert.deepEqual(carriers(world, laptop.id, routers), [first], "better than one that is not there");
});
