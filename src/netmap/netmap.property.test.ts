// Whatever happens to a tailnet, and however badly sessions read: once everything was delivered, every client's netmap
// is what a plain computation from the tailnet says.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Node } from "../tailnet/model.ts";
import type { DiscoKey, NodeId, NodeKey, UserId } from "../wire/ids.ts";
import { hexOf, openRules, prefix, type Rules, sampleNode, TestTailnet } from "./tailnet.test-data.ts";
import { World } from "./world.test-data.ts";

const routes = ["10.1.0.0/16", "10.2.0.0/16", "fd00:7::/64"].map(prefix);
const exits = ["0.0.0.0/0", "::/0"].map(prefix);
const tags = ["tag:web", "tag:db"];

/** What happens to one node. `pick` chooses among few possibilities. */
type Deed = (node: Node, pick: number, world: World<TestTailnet>) => Partial<Node>;
const deeds: Readonly<Record<string, Deed>> = {
  online: (node, _, world) => (node.online ? { online: false, lastSeen: world.now } : { online: true, lastSeen: null }),
  endpoints: (_, pick) => ({ endpoints: pick === 0 ? [] : [`192.0.2.${pick}:41641`, `10.0.0.${pick}:41641`] }),
  derp: (_, pick) => ({ homeDerp: 900 + (pick % 3) }),
  disco: (node, pick) => ({ discoKey: `discokey:${hexOf(node.id * 100 + pick)}` as DiscoKey }),
  key: (node, pick) => ({ nodeKey: `nodekey:${hexOf(node.id * 1000 + pick)}` as NodeKey }),
  capver: (_, pick) => ({ capVersion: 113 + pick }),
  expiry: (_, pick, world) => ({ expiry: pick === 0 ? null : world.now + (pick - 3) * 3_600_000 }),
  name: (node, pick) => ({ givenName: `name-${node.id}-${pick}` }),
  owner: (_, pick) => ({ userId: (1 + (pick % 4)) as UserId, tags: [] }),
  tags: (_, pick) => ({ userId: null, tags: [tags[pick % 2] ?? ""] }),
  routes: (node, pick) => {
    const offered = [...routes.slice(0, pick % 4), ...(pick > 3 ? exits : [])];
    return { routes: offered, primaryRoutes: node.primaryRoutes.filter((route) => offered.includes(route)) };
  },
  primary: (node, pick) => ({ primaryRoutes: node.routes.filter((route, i) => routes.includes(route) && i !== pick) }),
  hostinfo: (node, pick) => ({ hostinfo: { ...node.hostinfo, OSVersion: String(pick), AppConnector: pick === 2 } }),
  addresses: (node, pick) => ({ ipv4: pick === 0 ? null : sampleNode(node.id + 256 * pick).ipv4 }),
};

function rulesFrom(bits: number): Rules {
  const classes = ["user:1", "user:2", "user:3", "user:4", ...tags];
  const bitOf = (a: string, b: string) => {
    const [low, high] = [classes.indexOf(a), classes.indexOf(b)].sort((x, y) => x - y);
    return ((low ?? 0) * 5 + (high ?? 0) * 3) % 16;
  };
  return {
    sees: (viewer, peer) => ((bits >> bitOf(viewer, peer)) & 1) === 1 || viewer === peer,
    share: (viewer, peer) => {
      const kinds = ["all", "all", "exit-only", "no-ipv4"] as const;
      return kinds[(bits + bitOf(viewer, peer)) % kinds.length] ?? "all";
    },
    mark: bits % 3 === 0 ? "*" : `mark-${bits % 5}`,
    caps: (node): Record<string, null> => (bits % 4 === 0 ? { [`cap-${node % 3}`]: null } : {}),
    suggest: bits % 2 === 0,
  };
}

type Step =
  | { readonly do: "node"; readonly deed: string; readonly at: number; readonly pick: number }
  | { readonly do: "join" | "leave" | "user" | "rules" | "time"; readonly at: number }
  | { readonly do: "open" | "close" | "block" | "drain" | "stumble" | "break" | "turn"; readonly at: number };

const at = fc.nat(1 << 16);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("node" as const),
      deed: fc.constantFrom(...Object.keys(deeds)),
      at,
      pick: fc.nat(6),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("join" as const, "leave" as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("user" as const, "rules" as const), at }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom("time" as const, "turn" as const), at }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("open" as const, "close" as const, "block" as const, "drain" as const, "stumble" as const),
      at,
    }),
  },
);

function chosen<Item>(items: readonly Item[], at: number): Item | undefined {
  return items[at % Math.max(items.length, 1)];
}

interface Bounds {
  readonly horizon: number;
  readonly slice: number;
  readonly kept?: number;
}

class Play {
  readonly tailnet = new TestTailnet(4);
  readonly world: World<TestTailnet>;
  #next = 1;

  constructor(nodes: number, bounds: Bounds) {
    for (let i = 0; i < nodes; i++) {
      this.#join();
    }
    this.world = new World(this.tailnet, bounds);
  }

  #join(): void {
    this.tailnet.add(sampleNode(this.#next++));
  }

  do(step: Step): void {
    const { tailnet, world } = this;
    const node = chosen(tailnet.nodes(), step.at);
    const session = chosen([...world.sessions.values()], step.at);
    switch (step.do) {
      case "node":
        if (node !== undefined) {
          tailnet.change(node.id, deeds[step.deed]?.(node, step.pick, world) ?? {});
        }
        return;
      case "join":
        this.#join();
        return;
      case "leave":
        if (node !== undefined && tailnet.nodes().length > 2) {
          tailnet.remove(node.id);
        }
        return;
      case "user":
        tailnet.changeUser((1 + (step.at % 4)) as UserId, { displayName: `User ${step.at % 10}` });
        return;
      case "rules":
        tailnet.setRules(step.at % 5 === 0 ? openRules : rulesFrom(step.at), step.at % 2 === 0);
        return;
      case "time":
        world.run([0, 1, 40, 1000][step.at % 4] ?? 0);
        return;
      case "turn":
        world.turn();
        return;
      case "stumble":
        if (session !== undefined && !session.blocked) {
          world.stumbling.add(session.id);
        }
        return;
      case "break":
        if (session !== undefined) {
          world.breaking.add(session.id);
        }
        return;
      case "open":
        if (node !== undefined) {
          world.open(node.id, {
            compression: step.at % 7 === 0 ? "" : "zstd",
            capVersion: step.at % 3 === 0 ? 113 : 142,
            omitPeers: step.at % 11 === 0,
          });
        }
        return;
      case "close":
        if (session !== undefined) {
          world.close(session);
        }
        return;
      case "block":
        if (session !== undefined) {
          world.block(session);
        }
        return;
      case "drain":
        if (session !== undefined) {
          world.drain(session);
        }
        return;
    }
  }

  finish(): void {
    this.world.stumbling.clear();
    this.world.breaking.clear();
    for (const session of this.world.sessions.values()) {
      if (session.blocked) {
        this.world.drain(session);
      }
    }
    this.world.settle();
    this.world.settle();
  }
}

function nothingIsLost(nodes: number, bounds: Bounds): fc.IProperty<[Step[]]> {
  return fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
    const play = new Play(nodes, bounds);
    play.world.open(1 as NodeId);
    play.world.open(2 as NodeId);
    for (const each of steps) {
      play.do(each);
    }
    play.finish();
    assert.deepEqual(play.world.faults(), []);
    const [known, open] = play.world.counts();
    assert.equal(known, open);
    for (const session of play.world.sessions.values()) {
      play.world.close(session);
    }
    assert.equal(play.world.netmap.viewCount, 0);
  });
}

test("every session arrives at what the tailnet and its policy say", () => {
  fc.assert(nothingIsLost(6, { horizon: 10_000, slice: 1 }), { numRuns: 250 });
});

test("sessions that fall behind the horizon arrive there too", () => {
  fc.assert(nothingIsLost(6, { horizon: 5, slice: 2 }), { numRuns: 150 });
});

test("nor does anything that somebody still needs get lost while all else is forgotten at once", () => {
  fc.assert(nothingIsLost(6, { horizon: 10_000, slice: 1, kept: 0 }), { numRuns: 250 });
  fc.assert(nothingIsLost(6, { horizon: 5, slice: 2, kept: 0 }), { numRuns: 100 });
});

test("so do those of a tailnet whose peers fill several blocks", () => {
  fc.assert(nothingIsLost(150, { horizon: 10_000, slice: 3 }), { numRuns: 30 });
});
