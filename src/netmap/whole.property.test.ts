// The same promise as in netmap.property.test.ts, over the real tailnet and the compiled policy: whatever people and
// machines do, every session arrives at what a plain computation says.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { admin, makeKey, makeUser, prefix, registration, rig, type Rig } from "../../test/tailnet-rig.ts";
import { compilePolicy, createAllowAll } from "../policy/index.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { Node } from "../tailnet/model.ts";
import type { PolicyWorld } from "../tailnet/options.ts";
import type { DiscoKey, UserId } from "../wire/ids.ts";
import { hexOf, startOfTime } from "./tailnet.test-data.ts";
import { type TestSession, World } from "./world.test-data.ts";

const tagOwners = { "tag:web": ["ada@"], "tag:router": ["ada@"] };
const policies = [
  { acls: [{ action: "accept", src: ["*"], dst: ["*:*"] }] },
  { acls: [] },
  { acls: [{ action: "accept", src: ["autogroup:member"], dst: ["autogroup:self:*", "tag:web:443"] }] },
  {
    acls: [
      { action: "accept", src: ["ada@"], dst: ["tag:router:*", "10.1.0.0/16:*", "autogroup:internet:*"] },
      { action: "accept", src: ["tag:web"], dst: ["tag:web:*", "bob@:22"] },
    ],
    autoApprovers: { routes: { "10.0.0.0/8": ["tag:router"] }, exitNode: ["tag:router"] },
    nodeAttrs: [{ target: ["ada@"], attr: ["magicdns-aaaa"] }],
  },
  {
    grants: [
      { src: ["ada@"], dst: ["10.1.0.0/16"], ip: ["*"], via: ["tag:router"] },
      { src: ["*"], dst: ["tag:web"], ip: ["tcp:80"], app: { "example.com/cap/x": [{ a: 1 }] } },
    ],
    ssh: [{ action: "accept", src: ["autogroup:member"], dst: ["autogroup:self"], users: ["root"] }],
    nodeAttrs: [{ target: ["tag:web"], attr: ["disable-ipv4"] }],
  },
].map((policy) => JSON.stringify({ ...policy, tagOwners }));

const routes = ["10.1.0.0/16", "10.2.0.0/16", "0.0.0.0/0", "::/0"];

interface Step {
  readonly do: keyof typeof deeds;
  readonly at: number;
  readonly pick: number;
}

interface Play {
  readonly rig: Rig;
  readonly tailnet: Tailnet;
  readonly world: World<Tailnet>;
  readonly users: readonly UserId[];
  machines: number;
}

type Deed = (play: Play, node: Node, pick: number) => Promise<unknown> | void;
const deeds = {
  register: async (play: Play, _: Node, pick: number) => {
    play.machines++;
    const user = play.users[pick % play.users.length] ?? null;
    const tags = pick > 4 ? ["tag:web"] : [];
    const key = await makeKey(play.tailnet, { user: tags.length > 0 ? null : user, tags });
    await play.tailnet.register(admin, registration(play.machines, play.machines), key);
  },
  rotate: async (play: Play, node: Node, pick: number) => {
    const key = await makeKey(play.tailnet, { user: play.users[0] ?? null });
    const machine = registration(1, 500 + play.machines * 10 + pick);
    await play.tailnet.register(admin, { ...machine, machineKey: node.machineKey, oldNodeKey: node.nodeKey }, key);
  },
  delete: (play: Play, node: Node) => play.tailnet.deleteNode(admin, node.id),
  rename: (play: Play, node: Node, pick: number) => play.tailnet.renameNode(admin, node.id, `name-${node.id}-${pick}`),
  tag: (play: Play, node: Node, pick: number) =>
    play.tailnet.setTags(admin, node.id, [["tag:web"], ["tag:router"]][pick % 2] ?? []),
  move: (play: Play, node: Node, pick: number) =>
    play.tailnet.moveNode(admin, node.id, play.users[pick % play.users.length] ?? node.userId ?? (1 as UserId)),
  expire: (play: Play, node: Node, pick: number) =>
    play.tailnet.expireNode(admin, node.id, pick === 0 ? null : play.world.now + (pick - 3) * 5000),
  approve: (play: Play, node: Node, pick: number) =>
    play.tailnet.setApprovedRoutes(admin, node.id, routes.slice(pick % 3).map(prefix)),
  policy: (play: Play, _: Node, pick: number) => play.tailnet.setPolicy(admin, policies[pick % policies.length] ?? ""),
  user: (play: Play, _: Node, pick: number) =>
    play.tailnet.renameUser(admin, play.users[1] ?? (1 as UserId), ["bob", "bobby", "robert"][pick % 3] ?? "bob"),
  presence: (play: Play, node: Node, pick: number) => {
    play.tailnet.updatePresence(node.id, {
      endpoints: pick === 0 ? [] : [`192.0.2.${pick}:41641`],
      discoKey: `discokey:${hexOf(node.id * 50 + pick)}` as DiscoKey,
      capVersion: 130 + pick,
    });
  },
  hostinfo: (play: Play, node: Node, pick: number) => {
    play.tailnet.updatePresence(node.id, {
      hostinfo: {
        OS: "linux",
        OSVersion: String(pick),
        Hostname: `host-${node.id}${pick === 3 ? "-moved" : ""}`,
        RoutableIPs: routes.slice(0, pick),
        NetInfo: { PreferredDERP: 900 + (pick % 2) },
      },
    });
  },
  time: (play: Play, _: Node, pick: number) => {
    play.world.run([1, 20, 200, 1000, 3000, 6000, 12_000][pick] ?? 1);
    play.rig.now = play.world.now;
    play.tailnet.tick();
    play.world.netmap.tick();
  },
  open: (play: Play, node: Node) => {
    play.tailnet.sessionOpened(node.id);
    play.world.open(node.id);
  },
  close: (play: Play, _: Node, pick: number) => {
    const session = chosen([...play.world.sessions.values()], pick);
    if (session !== undefined) {
      play.world.close(session);
      play.tailnet.sessionClosed(session.node);
    }
  },
  block: (play: Play, _: Node, pick: number) => {
    const session = chosen([...play.world.sessions.values()], pick);
    if (session !== undefined) {
      play.world.block(session);
    }
  },
  drain: (play: Play, _: Node, pick: number) => {
    const session = chosen([...play.world.sessions.values()], pick);
    if (session !== undefined) {
      play.world.drain(session);
    }
  },
} satisfies Record<string, Deed>;

function chosen<Item>(items: readonly Item[], at: number): Item | undefined {
  return items[at % Math.max(items.length, 1)];
}

async function start(horizon: number, kept: number): Promise<Play> {
  const compile = (text: string, { users, nodes }: PolicyWorld) => {
    const outcome = compilePolicy(text, { users, nodes, settings: { serverUrl: "https://control.example.com" } });
    return outcome.ok ? outcome : { ok: false as const, error: outcome.errors.map(({ message }) => message).join() };
  };
  const held = await rig({
    at: startOfTime,
    compilePolicy: compile,
    defaultPolicy: createAllowAll,
    closedPolicy: createAllowAll,
  });
  const users = [await makeUser(held.tailnet, "ada"), await makeUser(held.tailnet, "bob")].map(({ id }) => id);
  const world = new World(held.tailnet, { horizon, slice: 3, kept });
  const play: Play = { rig: held, tailnet: held.tailnet, world, users, machines: 0 };
  for (const pick of [0, 1, 2, 3, 5]) {
    await deeds.register(play, undefined as never, pick);
  }
  return play;
}

async function arrives(steps: readonly Step[], horizon: number, kept = 1000): Promise<void> {
  const play = await start(horizon, kept);
  const { tailnet, world } = play;
  const streams = new Set<TestSession>();
  for (const step of steps) {
    const node = chosen(tailnet.nodes(), step.at);
    if (node !== undefined || step.do === "register") {
      play.rig.now = world.now;
      await deeds[step.do](play, node as Node, step.pick);
    }
    for (const session of world.sessions.values()) {
      streams.add(session);
    }
    for (const session of streams) {
      if (session.ended) {
        streams.delete(session);
        tailnet.sessionClosed(session.node);
      }
    }
  }
  for (const session of world.sessions.values()) {
    if (session.blocked) {
      world.drain(session);
    }
  }
  // Keys that expire after the clock was last looked at are nobody's news yet.
  deeds.time(play, undefined as never, 4);
  const looked = world.now;
  world.settle();
  assert.deepEqual(world.faults(looked), []);
  await tailnet.close();
}

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...(Object.keys(deeds) as (keyof typeof deeds)[])) },
    { weight: 2, arbitrary: fc.constantFrom("open" as const, "time" as const, "hostinfo" as const, "policy" as const) },
  ),
  at: fc.nat(1000),
  pick: fc.nat(6),
});

test("over the real tailnet and policy, every session arrives at what they say", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50, size: "max" }), (steps) => arrives(steps, 10_000)),
    { numRuns: 60 },
  );
});

test("there, too, while what nobody needs is forgotten at once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50, size: "max" }), (steps) => arrives(steps, 10_000, 0)),
    { numRuns: 30 },
  );
});

test("there, too, behind the horizon", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50, size: "max" }), (steps) => arrives(steps, 8)),
    { numRuns: 30 },
  );
});
