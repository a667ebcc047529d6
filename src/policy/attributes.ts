// Node attributes, address pools and approvals: what follows for a node from nodeAttrs, autoApprovers and tagOwners.
import { isExitRoute, prefixContains, prefixCovers, type Prefix } from "../ip/index.ts";
import type { CapMap, Json } from "../wire/tailcfg.ts";
import type { UserId } from "../wire/ids.ts";
import type { Directory } from "./directory.ts";
import type { PolicyNode } from "./engine.ts";
import { addressesOf } from "./entries.ts";
import { forSetsOf } from "./identities.ts";
import type { NodeAttr, Policy } from "./policy.ts";
import { nodeSetKey, type NodeSet, type Selector } from "./selectors.ts";
import { maySetAnyTag } from "./tag-names.ts";

const suggestExitNode = "suggest-exit-node";
const disableIPv4 = "disable-ipv4";
const exitNodeCaps: CapMap = { [suggestExitNode]: null };

/** Names of the node sets a node belongs to. */
type SetKeys = ReadonlySet<string>;

export class Attributes {
  readonly #policy: Policy;
  readonly #directory: Directory;
  readonly #randomize: boolean;
  /** Some entry says which exit nodes to suggest; otherwise all are. */
  readonly #namesSuggestions: boolean;
  readonly #capMaps = new Map<string, CapMap>();

  constructor(policy: Policy, directory: Directory, randomizeByDefault: boolean) {
    this.#policy = policy;
    this.#directory = directory;
    this.#randomize = policy.randomizeClientPort || randomizeByDefault;
    this.#namesSuggestions = policy.nodeAttrs.some(({ attrs }) => attrs.includes(suggestExitNode));
  }

  /** No node gets anything from the policy. */
  get isEmpty(): boolean {
    const { nodeAttrs, disableIPv4, oneCGNATRoute } = this.#policy;
    return nodeAttrs.length === 0 && !disableIPv4 && oneCGNATRoute === "" && !this.#randomize;
  }

  /** Some entry is for nodes with certain addresses, so that nodes of one owner may differ. */
  get namesAddresses(): boolean {
    return this.#policy.nodeAttrs.some(({ targets }) => targets.some(({ kind }) => kind === "addresses"));
  }

  #setKeys(user: UserId | null, tags: readonly string[]): SetKeys {
    const keys = new Set<string>();
    const known = user === null ? undefined : this.#directory.user(user);
    forSetsOf(this.#directory, tags.length > 0 ? undefined : known, tags, (set) => keys.add(nodeSetKey(set)));
    return keys;
  }

  #entriesFor(node: PolicyNode): readonly NodeAttr[] {
    const { nodeAttrs } = this.#policy;
    if (nodeAttrs.length === 0) {
      return nodeAttrs;
    }
    const keys = this.#setKeys(node.user, node.tags);
    return nodeAttrs.filter(({ targets }) => targets.some((target) => selects(target, node, keys)));
  }

  selfCaps(node: PolicyNode): CapMap {
    const entries = this.#entriesFor(node);
    const mac = String(node.posture["node:os"] ?? "").toLowerCase() === "macos";
    const key = `${entries.map(({ at }) => at).join()}|${mac}`;
    let caps = this.#capMaps.get(key);
    if (caps === undefined) {
      caps = this.#merge(entries, mac);
      this.#capMaps.set(key, caps);
    }
    return caps;
  }

  #merge(entries: readonly NodeAttr[], mac: boolean): CapMap {
    const flags = new Set(entries.flatMap(({ attrs }) => attrs));
    if (this.#randomize) {
      flags.add("randomize-client-port");
    }
    if (this.#policy.disableIPv4) {
      flags.add(disableIPv4);
    }
    if (mac && this.#policy.oneCGNATRoute !== "") {
      flags.add(this.#policy.oneCGNATRoute === "mac-always" ? "one-cgnat?v=true" : "one-cgnat?v=false");
    }
    const apps = new Map<string, readonly Json[]>();
    for (const { name, values } of entries.flatMap((entry) => entry.apps)) {
      apps.set(name, [...(apps.get(name) ?? []), ...values]);
    }
    return Object.fromEntries([...[...flags].map((flag) => [flag, null] as const), ...apps]);
  }

  withoutIPv4(node: PolicyNode): boolean {
    return (
      this.#policy.disableIPv4 ||
      (this.#policy.nodeAttrs.length > 0 && this.#entriesFor(node).some(({ attrs }) => attrs.includes(disableIPv4)))
    );
  }

  /** Exit nodes are suggested to their peers; when the policy says which, only those. */
  peerCaps(node: PolicyNode): CapMap | undefined {
    if (!node.routes.some(isExitRoute)) {
      return undefined;
    }
    return !this.#namesSuggestions || this.#entriesFor(node).some(({ attrs }) => attrs.includes(suggestExitNode))
      ? exitNodeCaps
      : undefined;
  }

  ipPools(node: PolicyNode): readonly Prefix[] {
    return this.#entriesFor(node).flatMap((entry) => entry.ipPools);
  }

  autoApproved(node: PolicyNode, advertised: readonly Prefix[]): readonly Prefix[] {
    const keys = this.#setKeys(node.user, node.tags);
    const { exitNodeApprovers, routeApprovers } = this.#policy;
    return advertised.filter((route) =>
      isExitRoute(route)
        ? holdsAny(exitNodeApprovers, keys)
        : routeApprovers.some(({ prefix, approvers }) => prefixCovers(prefix, route) && holdsAny(approvers, keys)),
    );
  }

  /** Is a node like this allowed to host the service without being asked? */
  serviceApproved(node: PolicyNode, service: string): boolean {
    const keys = this.#setKeys(node.user, node.tags);
    return this.#policy.serviceApprovers.some(
      ({ name, owners }) => (name === service || node.tags.includes(name)) && holdsAny(owners, keys),
    );
  }

  mayTag(owner: { readonly user: UserId | null; readonly tags: readonly string[] }, tag: string): boolean {
    const owners = this.#policy.tagOwners.get(tag)?.owners;
    if (owners === undefined) {
      return false;
    }
    const user = owner.user === null ? undefined : this.#directory.user(owner.user);
    return (
      maySetAnyTag(user?.role) ||
      holdsAny(owners, this.#setKeys(owner.user, owner.tags)) ||
      (owner.tags.length > 0 && owner.user !== null && holdsAny(owners, this.#setKeys(owner.user, [])))
    );
  }

  tagExists(tag: string): boolean {
    return this.#policy.tagOwners.has(tag);
  }
}

function holdsAny(sets: readonly NodeSet[], keys: SetKeys): boolean {
  return sets.some((set) => keys.has(nodeSetKey(set)));
}

function selects(target: Selector, node: PolicyNode, keys: SetKeys): boolean {
  switch (target.kind) {
    case "any":
      return true;
    case "nodes":
      return keys.has(nodeSetKey(target.set));
    case "addresses":
      return addressesOf(node).some((addr) => target.prefixes.some((prefix) => prefixContains(prefix, addr)));
    case "danger-all":
    case "internet":
    case "self":
      return false;
  }
}
