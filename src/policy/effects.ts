// What a batch of changes touched, and from that, conservatively, which nodes may be told something else.
import type { NodeId, UserId } from "../wire/ids.ts";
import { emptyBits, intersects, setBit } from "./bits.ts";
import type { NodeClass } from "./classes.ts";
import type { PolicyEffect } from "./engine.ts";
import type { Entry } from "./entries.ts";
import type { Program } from "./program.ts";
import { nodeSetKey } from "./selectors.ts";
import type { SourceBook } from "./sources.ts";

/** Collected while changes are put in place. */
export class Effects {
  /** Nodes whose own state changed. */
  readonly nodes = new Set<NodeId>();
  readonly peers = new Set<NodeId>();
  /** Sources whose text may read otherwise now. */
  readonly sources = new Set<number>();
  /** Users whose set of devices, as autogroup:self sees it, changed. */
  readonly users = new Set<UserId>();
}

export interface EffectWorld {
  readonly program: Program;
  readonly sources: SourceBook;
  classes(): Iterable<NodeClass>;
  entry(id: NodeId): Entry | undefined;
  ids(): readonly NodeId[];
  exits(): Iterable<NodeId>;
  entriesOfUser(id: UserId): Iterable<Entry>;
  entriesIn(sets: readonly number[]): Iterable<Entry>;
}

/** Everybody whose filter or SSH rules name a source that changed, besides those that changed themselves. */
export function effectOf(effects: Effects, world: EffectWorld): PolicyEffect {
  addFilterNodes(effects, world);
  addSshNodes(effects, world);
  for (const user of effects.users) {
    for (const entry of world.entriesOfUser(user)) {
      effects.nodes.add(entry.node.id);
    }
  }
  const all = world.ids();
  const nodes =
    effects.nodes.size >= all.length ? all : [...effects.nodes].filter((id) => world.entry(id) !== undefined);
  return { everything: false, nodes, peers: [...effects.peers] };
}

function addFilterNodes({ sources, nodes }: Effects, world: EffectWorld): void {
  const { program } = world;
  const asSource = emptyBits(program.reaches.length);
  const asDestination = emptyBits(program.reaches.length);
  for (const emit of program.emits) {
    if (emit.kind === "companion") {
      if (sources.has(emit.destinations.id)) {
        setBit(asSource, emit.reach.id);
      }
    } else if (sources.has(emit.reach.source.id)) {
      setBit(asDestination, emit.reach.id);
    }
  }
  for (const cls of world.classes()) {
    if (intersects(cls.dst, asDestination) || intersects(cls.src, asSource)) {
      cls.nodes.forEach((id) => nodes.add(id));
    }
  }
  if (intersects(asDestination, program.publicReaches)) {
    for (const id of world.exits()) {
      nodes.add(id);
    }
  }
}

function addSshNodes({ sources, nodes }: Effects, world: EffectWorld): void {
  const { program } = world;
  for (const rule of program.policy.ssh) {
    const source = program.sshSources[rule.index];
    const recorders = program.recorderSources[rule.index];
    const stale =
      (source !== undefined && sources.has(source.id)) || (recorders !== undefined && sources.has(recorders.id));
    if (!stale) {
      continue;
    }
    const sets = rule.dst.flatMap((selector) => {
      const id = selector.kind === "nodes" ? program.nodeSetIds.get(nodeSetKey(selector.set)) : undefined;
      return id === undefined ? [] : [id];
    });
    for (const entry of world.entriesIn(sets)) {
      nodes.add(entry.node.id);
    }
    // Rules among a person's own devices have their sources as destinations.
    if ((rule.self || rule.localparts.length > 0) && source !== undefined) {
      world.sources.membersOf(source).forEach((entry) => nodes.add(entry.node.id));
    }
  }
}
