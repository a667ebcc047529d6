// The end of a batch: elections are held, what was touched becomes typed changes, policy learns of them, and the
// tailnet moves to its next version.
import type { PolicyChange, PolicyEffect, PolicyEngine, PolicyNode, PolicyUser } from "../policy/engine.ts";
import type { NodeId } from "../wire/ids.ts";
import { sameHostinfoForPeers, sameTexts } from "./adopt.ts";
import type { ChangeListener } from "./contract.ts";
import {
  keptIfSame,
  policyNodeOf,
  policyUserOf,
  samePolicyNode,
  samePrefixes,
  sortedPrefixes,
  withPartsOf,
} from "./derive.ts";
import type { Candidates } from "./elections.ts";
import type { Change, Node, NodeField } from "./model.ts";
import { Precedences } from "./precedences.ts";
import type { TailnetState, Touched } from "./state.ts";

export class Settler {
  readonly #state: TailnetState;
  readonly #now: () => number;
  readonly #listeners = new Set<ChangeListener>();
  /** What policy was last told of each node. */
  readonly #told = new Map<NodeId, PolicyNode>();
  /** Engines compiled for a command that is not durable yet: told the same as the one in force. */
  readonly #candidates = new Set<PolicyEngine>();
  readonly unhealthy = new Set<NodeId>();
  readonly #precedences = new Precedences();
  readonly #warn: (text: string) => void;
  #settling = false;

  constructor(state: TailnetState, now: () => number, warn: (text: string) => void) {
    this.#state = state;
    this.#now = now;
    this.#warn = warn;
  }

  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The picture of all nodes for a new engine. */
  policyNodes(): PolicyNode[] {
    return [...this.#state.nodes.values()].map((node) => this.#told.get(node.id) ?? policyNodeOf(node));
  }

  policyUsers(): PolicyUser[] {
    return [...this.#state.users.values()].map(policyUserOf);
  }

  /** An engine made from the present picture that may come into force: it is kept up to date until it does or is dropped. */
  keepUpToDate(engine: PolicyEngine): void {
    this.#candidates.add(engine);
  }
  drop(engine: PolicyEngine): void {
    this.#candidates.delete(engine);
  }

  /** Inside a batch: the engine that was kept up to date decides from here on. */
  putInForce(engine: PolicyEngine): void {
    this.#state.policy = engine;
    this.#state.touched.policyReplaced = true;
  }

  /** After loading: everything is known to policy, primaries are elected, nobody is told. */
  begin(): void {
    this.#elect();
    for (const node of this.#state.nodes.values()) {
      this.#told.set(node.id, this.#pictureOf(node));
    }
    this.#state.takeTouched();
  }

  /** Ends the batch: does nothing when nothing was touched. What a listener changes is the next batch. */
  settle(): void {
    if (this.#settling) {
      return;
    }
    this.#settling = true;
    try {
      while (this.#settleOnce()) {
        // A listener may have touched more.
      }
    } finally {
      this.#settling = false;
    }
  }

  #settleOnce(): boolean {
    const reordered = this.#elect();
    const touched = this.#state.takeTouched();
    const changes = this.#changesOf(touched, reordered);
    if (changes.length === 0) {
      return false;
    }
    const effect = this.#tellPolicy(changes, touched.policyReplaced, reordered);
    this.#state.version++;
    const batch = { version: this.#state.version, changes, effect };
    for (const listener of this.#listeners) {
      try {
        listener(batch);
      } catch (error) {
        // One listener's bug stops neither the others nor the queue.
        this.#warn(`a listener failed at version ${batch.version}: ${messageOf(error)}`);
      }
    }
    return true;
  }

  /** Returns the routers that steered rules prefer more or less than before. */
  #elect(): ReadonlySet<NodeId> {
    const { nodes, elections } = this.#state;
    const now = this.#now();
    const candidates: Candidates = {
      reachable: (id) => {
        const node = nodes.get(id);
        return node !== undefined && node.online && !isExpired(node, now);
      },
      healthy: (id) => !this.unhealthy.has(id),
    };
    const { moved, stood } = elections.hold(candidates);
    for (const id of moved) {
      const node = nodes.get(id);
      if (node !== undefined) {
        const primaryRoutes = keptIfSame(node.primaryRoutes, sortedPrefixes(elections.wonBy(id)));
        this.#state.replaceNode({ ...node, primaryRoutes });
      }
    }
    return this.#precedences.review(stood, candidates);
  }

  #pictureOf(node: Node): PolicyNode {
    const precedence = this.#precedences.of(node.id);
    const picture = policyNodeOf(node);
    return withPartsOf(this.#told.get(node.id), precedence === undefined ? picture : { ...picture, precedence });
  }

  #changesOf(touched: Touched, reordered: ReadonlySet<NodeId>): Change[] {
    const changes: Change[] = [];
    for (const [id, before] of touched.users) {
      const after = this.#state.users.get(id);
      if (after !== undefined) {
        changes.push({ kind: "user-changed", id });
      } else if (before !== undefined) {
        changes.push({ kind: "user-removed", id });
      }
    }
    for (const [id, before] of touched.nodes) {
      const change = nodeChange(id, before, this.#state.nodes.get(id), touched.passed.has(id));
      if (change !== undefined) {
        changes.push(change);
      }
    }
    for (const id of touched.passed) {
      const node = this.#state.nodes.get(id);
      if (node !== undefined && !touched.nodes.has(id)) {
        changes.push({ kind: "node-changed", id, before: node, fields: new Set(["expiry"]) });
      }
    }
    for (const id of reordered) {
      const node = this.#state.nodes.get(id);
      if (node !== undefined && !touched.nodes.has(id) && !touched.passed.has(id)) {
        changes.push({ kind: "node-changed", id, before: node, fields: new Set(["primary"]) });
      }
    }
    if (touched.policyReplaced) {
      changes.push({ kind: "policy-replaced" });
    }
    return changes;
  }

  #tellPolicy(changes: readonly Change[], replaced: boolean, reordered: ReadonlySet<NodeId>): PolicyEffect {
    const news = changes.flatMap((change) => this.#newsOf(change, reordered) ?? []);
    for (const candidate of this.#candidates) {
      if (candidate !== this.#state.policy) {
        candidate.apply(news);
      }
    }
    const effect = news.length === 0 ? noEffect : this.#state.policy.apply(news);
    return replaced ? { everything: true, nodes: [], peers: [] } : effect;
  }

  #newsOf(change: Change, reordered: ReadonlySet<NodeId>): PolicyChange | undefined {
    switch (change.kind) {
      case "node-added":
      case "node-changed": {
        const node = this.#state.nodes.get(change.id);
        const concerns = change.kind === "node-added" || concernsPolicy(change.fields) || reordered.has(change.id);
        if (node === undefined || !concerns) {
          return undefined;
        }
        const picture = this.#pictureOf(node);
        const told = this.#told.get(change.id);
        if (told !== undefined && samePolicyNode(told, picture)) {
          return undefined;
        }
        this.#told.set(change.id, picture);
        return { kind: "node", node: picture };
      }
      case "node-removed":
        this.#told.delete(change.id);
        this.#precedences.forget(change.id);
        return { kind: "node-removed", id: change.id };
      case "user-changed": {
        const user = this.#state.users.get(change.id);
        return user === undefined ? undefined : { kind: "user", user: policyUserOf(user) };
      }
      case "user-removed":
        return { kind: "user-removed", id: change.id };
      case "policy-replaced":
      case "dns-changed":
      case "derp-changed":
        return undefined;
    }
  }
}

const noEffect: PolicyEffect = { everything: false, nodes: [], peers: [] };

export function isExpired(node: { readonly expiry: number | null }, now: number): boolean {
  return node.expiry !== null && node.expiry <= now;
}

/** What an error says, with where it happened if it knows. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function nodeChange(
  id: NodeId,
  before: Node | undefined,
  after: Node | undefined,
  expiryPassed: boolean,
): Change | undefined {
  if (after === undefined) {
    return before === undefined ? undefined : { kind: "node-removed", id, last: before };
  }
  if (before === undefined) {
    return { kind: "node-added", id };
  }
  const fields = changedFields(before, after);
  if (expiryPassed) {
    fields.add("expiry");
  }
  return fields.size === 0 ? undefined : { kind: "node-changed", id, before, fields };
}

function changedFields(before: Node, after: Node): Set<NodeField> {
  const fields = new Set<NodeField>();
  const note = (field: NodeField, same: boolean): void => {
    if (!same) {
      fields.add(field);
    }
  };
  note("key", before.nodeKey === after.nodeKey && before.nodeLockKey === after.nodeLockKey);
  note("disco", before.discoKey === after.discoKey);
  note("endpoints", sameTexts(before.endpoints, after.endpoints));
  note("derp", before.homeDerp === after.homeDerp);
  note("online", before.online === after.online);
  note("expiry", before.expiry === after.expiry);
  note("name", before.givenName === after.givenName);
  note("addresses", before.ipv4 === after.ipv4 && before.ipv6 === after.ipv6);
  note("owner", before.userId === after.userId);
  note("tags", sameTexts(before.tags, after.tags));
  note("routes", before.routes === after.routes && samePrefixes(before.advertised, after.advertised));
  note("primary", before.primaryRoutes === after.primaryRoutes);
  note("hostinfo", sameHostinfoForPeers(before.hostinfo, after.hostinfo));
  note("capver", before.capVersion === after.capVersion);
  return fields;
}

function concernsPolicy(fields: ReadonlySet<NodeField>): boolean {
  return (
    fields.has("name") ||
    fields.has("owner") ||
    fields.has("tags") ||
    fields.has("addresses") ||
    fields.has("routes") ||
    fields.has("hostinfo")
  );
}
