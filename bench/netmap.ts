// What telling sessions of their tailnet costs the netmap room alone: no sockets, no sealing, no tailnet commands.
// Figures beside the marks that the whole server is held to. `node bench/netmap.ts [nodes]`.
import { createAllowAll } from "../src/policy/allow-all.ts";
import type { PolicyEngine, PolicyNode, PolicyView } from "../src/policy/engine.ts";
import { nextViewId } from "../src/policy/view-ids.ts";
import { wholeRoutes } from "../src/policy/whole-routes.ts";
import type { MapMessage, SessionId } from "../src/netmap/contract.ts";
import { createNetmap } from "../src/netmap/netmap.ts";
import type { NetmapTailnet } from "../src/netmap/settings.ts";
import { sampleNode, testSettings } from "../src/netmap/tailnet.test-data.ts";
import type { ChangeListener } from "../src/tailnet/contract.ts";
import type { Change, Node, NodeField } from "../src/tailnet/model.ts";
import type { NodeId } from "../src/wire/ids.ts";

function policyNode(node: Node): PolicyNode {
  const { id, givenName, userId, tags, ipv4, ipv6, routes } = node;
  return { id, name: givenName, user: userId, tags, ipv4, ipv6, routes, posture: {} };
}

/** `classes` groups of nodes that see themselves only; 1 is everybody sees everybody. */
function engineFor(classes: number): PolicyEngine {
  if (classes === 1) {
    return createAllowAll({ users: [], nodes: [] });
  }
  const open = createAllowAll({ users: [], nodes: [] });
  const members = Array.from({ length: classes }, () => new Map<NodeId, PolicyNode>());
  const views = members.map((nodes): PolicyView => ({
    id: nextViewId(),
    peers: () => [...nodes.keys()].sort((a, b) => a - b),
    sees: (id) => nodes.has(id),
    routesOf: (id) => {
      const node = nodes.get(id);
      if (node === undefined) {
        throw new Error("not seen");
      }
      return wholeRoutes(node);
    },
  }));
  return {
    ...open,
    apply(changes) {
      for (const change of changes) {
        if (change.kind === "node") {
          members[change.node.id % classes]?.set(change.node.id, change.node);
        }
      }
      return open.apply(changes);
    },
    viewOf: (id) => views[id % classes] ?? open.viewOf(id),
  };
}

class BenchTailnet implements NetmapTailnet {
  readonly policy: PolicyEngine;
  readonly #nodes = new Map<NodeId, Node>();
  readonly #listeners = new Set<ChangeListener>();

  constructor(classes: number) {
    this.policy = engineFor(classes);
  }

  add(node: Node): void {
    this.#nodes.set(node.id, node);
    this.#emit([{ kind: "node-added", id: node.id }], node, true);
  }

  change(id: number, patch: Partial<Node>, ...fields: readonly NodeField[]): void {
    const before = this.#nodes.get(id as NodeId);
    if (before !== undefined) {
      const node = { ...before, ...patch };
      this.#nodes.set(node.id, node);
      this.#emit([{ kind: "node-changed", id: node.id, before, fields: new Set(fields) }], node, false);
    }
  }

  #emit(changes: readonly Change[], node: Node, matters: boolean): void {
    const effect = matters
      ? this.policy.apply([{ kind: "node", node: policyNode(node) }])
      : { everything: false, nodes: [], peers: [] };
    for (const listener of this.#listeners) {
      listener({ version: 0, changes, effect });
    }
  }

  node(id: NodeId): Node | undefined {
    return this.#nodes.get(id);
  }
  user(): undefined {
    return undefined;
  }
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function rig(classes: number) {
  const tailnet = new BenchTailnet(classes);
  const sent = { calls: 0, messages: 0, bytes: 0, chunks: 0, longest: 0 };
  const timed = (run: () => void) => () => {
    const start = process.threadCpuUsage();
    run();
    const used = process.threadCpuUsage(start);
    sent.longest = Math.max(sent.longest, (used.user + used.system) / 1000);
  };
  const edge = {
    deliver(message: MapMessage, sessions: readonly SessionId[]) {
      sent.calls++;
      sent.messages += sessions.length;
      sent.bytes += message.length * sessions.length;
      sent.chunks += message.chunks.length * sessions.length;
    },
    end() {},
  };
  const netmap = createNetmap({
    tailnet,
    edge,
    settings: testSettings,
    clock: { now: () => performance.timeOrigin + performance.now() },
    random: Math.random,
    defer: (run, afterMs) => void (afterMs <= 0 ? setImmediate(timed(run)) : setTimeout(timed(run), afterMs)),
  });
  return { tailnet, netmap, sent };
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

function cpuMs(since: NodeJS.CpuUsage): number {
  const used = process.cpuUsage(since);
  return (used.user + used.system) / 1000;
}

const line = (name: string, figure: string, mark = "") =>
  console.log(`${name.padEnd(58)} ${figure.padStart(14)}${mark === "" ? "" : `   mark ${mark}`}`);

/** Nodes that registered long ago and connect one after the other, each `everyMs`, as after a restart of the server. */
async function storm(count: number, classes: number, everyMs: number): Promise<ReturnType<typeof rig>> {
  const world = rig(classes);
  const { tailnet, netmap, sent } = world;
  for (let id = 1; id <= count; id++) {
    tailnet.add(sampleNode(id, { discoKey: null, endpoints: [], lastSeen: Date.now() }));
  }
  await pause(800);
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const before0 = { ...netmap.counters };
  const cpu = process.cpuUsage();
  let longest = 0;
  const begun = performance.now();
  for (let id = 1; id <= count; id++) {
    const start = process.threadCpuUsage();
    const full = sampleNode(id);
    tailnet.change(id, { online: true, lastSeen: null, discoKey: full.discoKey }, "online", "disco");
    netmap.open(id, { node: id as NodeId, capVersion: 142, compress: "zstd", omitPeers: false });
    tailnet.change(id, { endpoints: full.endpoints }, "endpoints");
    const used = process.threadCpuUsage(start);
    longest = Math.max(longest, (used.user + used.system) / 1000);
    await (begun + id * everyMs > performance.now() ? pause(1) : new Promise((done) => setImmediate(done)));
  }
  await pause(1000);
  const done = netmap.counters;
  const per = classes === 1 ? count : Math.round(count / classes);
  console.log(`\n${count} nodes connect, each sees ${per}; one every ${everyMs} ms`);
  line("CPU, netmap alone", `${cpuMs(cpu).toFixed(0)} ms`, count === 1000 ? "6000 ms, whole server" : "");
  line("longest connect", `${longest.toFixed(1)} ms`);
  line("longest turn of a round", `${sent.longest.toFixed(1)} ms`);
  sent.longest = 0;
  line("messages", String(done.messages - before0.messages), count === 1000 ? "60000" : "");
  line("bytes", `${((done.bytes - before0.bytes) / 1e6).toFixed(1)} MB`);
  line("rounds", String(done.flushes - before0.flushes));
  line("encodes", String(done.encodes - before0.encodes));
  line("compressions", String(done.compressions - before0.compressions));
  line("blocks made", String(done.blocks - before0.blocks));
  line("chunks handed over", String(sent.chunks));
  line(
    "memory grown",
    `${((process.memoryUsage().rss - before) / 1e6).toFixed(0)} MB`,
    count === 1000 ? "140 MB, whole" : "",
  );
  return world;
}

async function measured(world: ReturnType<typeof rig>, name: string, mark: string, act: () => void): Promise<void> {
  await pause(600);
  const before = { ...world.netmap.counters };
  world.sent.longest = 0;
  const cpu = process.cpuUsage();
  act();
  await pause(50);
  const used = cpuMs(cpu);
  await pause(400);
  const { counters } = world.netmap;
  const messages = counters.messages - before.messages;
  line(
    name,
    `${((counters.bytes - before.bytes) / Math.max(1, messages)).toFixed(0)} B`,
    `${mark}; ${messages} messages, ${counters.encodes - before.encodes} encode, ` +
      `${counters.compressions - before.compressions} compression, ${counters.fullMaps - before.fullMaps} full, ` +
      `${used.toFixed(1)} ms, longest turn ${world.sent.longest.toFixed(1)} ms`,
  );
}

const nodes = Number(process.argv[2] ?? 1000);
const classes = nodes > 2000 ? Math.round(nodes / 300) : 1;
const world = await storm(nodes, classes, nodes > 2000 ? 1 : 5);
const { tailnet } = world;
for (const turn of [1, 2]) {
  console.log(`\nsteady, turn ${turn}`);
  await measured(world, "one endpoint changes", "300 B", () =>
    tailnet.change(5, { endpoints: [`203.0.113.${turn}:41641`, "192.168.1.5:41641", "10.0.0.5:41641"] }, "endpoints"),
  );
  await measured(world, "one goes offline", "300 B", () =>
    tailnet.change(6, { online: false, lastSeen: Date.now() }, "online"),
  );
  await measured(world, "one comes online", "300 B", () =>
    tailnet.change(6, { online: true, lastSeen: null }, "online"),
  );
  await measured(world, "one joins, complete within the hold", "450 B", () => {
    const id = nodes + turn;
    tailnet.add(sampleNode(id, { discoKey: null, endpoints: [], homeDerp: 0 }));
    const { discoKey, endpoints, homeDerp } = sampleNode(id);
    tailnet.change(id, { discoKey, endpoints, homeDerp, online: true }, "disco", "endpoints", "derp", "online");
  });
}
process.exit(0);
