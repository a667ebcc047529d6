// What the rest of the house sees of the policy: a small picture of users and nodes goes in, what each node may be
// told comes out. Pure; runs in a browser too. Implementations: allow-all.ts (no policy) and the compiled language.
import type { Addr, Prefix } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { CapMap, FilterRule, Json, SSHRule } from "../wire/tailcfg.ts";

export type UserRole = "owner" | "admin" | "it-admin" | "network-admin" | "billing-admin" | "auditor" | "member";

export interface PolicyUser {
  readonly id: UserId;
  readonly name: string;
  readonly email: string;
  /** `iss/sub` of the identity provider, or "". */
  readonly providerId: string;
  readonly role: UserRole;
  /** Groups an identity provider put the user in, as policy group names (`group:x`). */
  readonly groups: readonly string[];
}

/** All that policy knows of a node. Replaced whole when one field changes. */
export interface PolicyNode {
  readonly id: NodeId;
  /** Shown in explanations and previews; never decides anything. */
  readonly name: string;
  /** Null exactly when the node is tagged. */
  readonly user: UserId | null;
  readonly tags: readonly string[];
  readonly ipv4: Addr | null;
  readonly ipv6: Addr | null;
  /** Effective routes: advertised and approved, exit routes (0.0.0.0/0, ::/0) included. Sorted by prefix. */
  readonly routes: readonly Prefix[];
  /** Posture attributes (`node:os`, `node:tsVersion`, `custom:…`). */
  readonly posture: Readonly<Record<string, string | number | boolean>>;
  /**
   * Whom steered rules prefer among routers of one prefix: the lowest number, then the lowest id. Who is not there has
   * none and comes last. Given by the owner of the nodes, which knows that; it lets nobody in or out.
   */
  readonly precedence?: number;
}

export type PolicyChange =
  | { readonly kind: "node"; readonly node: PolicyNode }
  | { readonly kind: "node-removed"; readonly id: NodeId }
  | { readonly kind: "user"; readonly user: PolicyUser }
  | { readonly kind: "user-removed"; readonly id: UserId };

/** Interned: two nodes with the same ViewId are told the same of every peer (apart from themselves). Never reused. */
export type ViewId = number & { readonly __view?: never };

/** Which of a peer's routes a viewer is told. Interned: the same object for the same answer. */
export interface RouteShare {
  /** Distinguishes shares of one peer; 0 is the commonest (all its routes, primary-elected ones as elected). Stable while the peer's PolicyNode is unchanged. */
  readonly id: number;
  /** Subnet routes told if the peer is the elected primary for them. */
  readonly ifPrimary: readonly Prefix[];
  /** Routes told regardless of election (approved exit routes; via-steered subnet routes). */
  readonly always: readonly Prefix[];
  /** The viewer is told this peer without its IPv4 address (viewer or peer has disable-ipv4). */
  readonly withoutIPv4: boolean;
}

/**
 * Live: it answers for the state the engine is in, also after no node has it any more. What it answers for one peer
 * changes only when that peer is named in `PolicyEffect.peers` (or `everything` is set).
 */
export interface PolicyView {
  readonly id: ViewId;
  /** Node ids visible in this view in ascending order; contains the viewer itself when its class sees itself (the caller leaves it out). */
  peers(): readonly NodeId[];
  sees(peer: NodeId): boolean;
  /** Only for a peer that is seen. */
  routesOf(peer: NodeId): RouteShare;
}

/** What a batch of changes did to what nodes are told; conservative (may name a node too many, never one too few). */
export interface PolicyEffect {
  /** Every node may be told something else (policy replaced, wildcard sources with routes, …). */
  readonly everything: boolean;
  /** Nodes whose filter, ssh rules, caps or view may have changed. */
  readonly nodes: readonly NodeId[];
  /**
   * Nodes that other nodes may be told of differently: seen by more or fewer views, with other routes or capabilities.
   * All that `sees` and `routesOf` answer for any other peer is as it was, in every view.
   */
  readonly peers: readonly NodeId[];
}

export interface PolicyEngine {
  /** What the policy says of the DERP map, as it is written there: Tailscale's `Regions` and `OmitDefaultRegions`. */
  readonly derpMap?: Json | undefined;
  /** Applies changes of nodes and users, incrementally. The result equals a recomputation from scratch. */
  apply(changes: readonly PolicyChange[]): PolicyEffect;
  viewOf(node: NodeId): PolicyView;
  /** The packet filter of a node; the same array object as long as it is unchanged, shared where nodes' filters are equal. `[]` denies all. */
  filterOf(node: NodeId): readonly FilterRule[];
  /** SSH rules with the node as destination; same sharing. holdAndDelegate URLs start with `checkBase` (config). */
  sshOf(node: NodeId): readonly SSHRule[];
  /** Node attributes from the policy (not the server's own defaults). */
  selfCaps(node: NodeId): CapMap;
  /** Capabilities of a peer that its viewers are told (suggest-exit-node). Same for all viewers. */
  peerCaps(peer: NodeId): CapMap | undefined;
  /** Advertised prefixes that autoApprovers grant to a node like this. */
  autoApproved(node: PolicyNode, advertised: readonly Prefix[]): readonly Prefix[];
  /** May this owner (user, or node by its tags and user) apply the tag? */
  mayTag(owner: { readonly user: UserId | null; readonly tags: readonly string[] }, tag: string): boolean;
  /** Is the tag declared (tagOwners)? The allow-all engine accepts every well-formed tag. */
  tagExists(tag: string): boolean;
  /** IPv4 pools a node must draw its address from, by nodeAttrs ipPool; empty: the default prefix. */
  ipPools(node: PolicyNode): readonly Prefix[];
  /** Grants between these two nodes are decided by `sshOf`; the check period of the first check rule that matches, in ms (0: always ask), or undefined when none does. */
  sshCheckPeriod(src: NodeId, dst: NodeId, localUser: string): number | undefined;
}
