// The nouns of the tailnet: users, nodes, keys. Immutable records; a change makes a new one.
// Times are milliseconds since 1970 unless a name says otherwise.
import type { Addr, Prefix } from "../ip/index.ts";
import type { UserRole } from "../policy/engine.ts";
import type {
  ApiKeyId,
  DiscoKey,
  MachineKey,
  NodeId,
  NodeKey,
  NodeLockKey,
  PreAuthKeyId,
  UserId,
} from "../wire/ids.ts";
import type { AddrPortText, Hostinfo } from "../wire/tailcfg.ts";

export interface User {
  readonly id: UserId;
  readonly name: string;
  readonly displayName: string;
  readonly email: string;
  /** `iss/sub` of the identity provider; "" for local users. */
  readonly providerId: string;
  readonly provider: string;
  readonly profilePicUrl: string;
  readonly role: UserRole;
  readonly groups: readonly string[];
  readonly createdAt: number;
}

export type RegisterMethod = "authkey" | "cli" | "oidc";

/** What is durable of a node: changed only by acknowledged commands. */
export interface NodeRecord {
  readonly id: NodeId;
  /** Opaque, never changes; clients store it. */
  readonly stableId: string;
  readonly machineKey: MachineKey;
  readonly nodeKey: NodeKey;
  readonly nodeLockKey: NodeLockKey | null;
  /** Null exactly when tagged. */
  readonly userId: UserId | null;
  /** Sorted, deduplicated. */
  readonly tags: readonly string[];
  /** DNS label, unique in the tailnet. */
  readonly givenName: string;
  /** True when an admin chose the name, so that the client's hostname no longer changes it. */
  readonly nameFixed: boolean;
  readonly ipv4: Addr | null;
  readonly ipv6: Addr | null;
  readonly registerMethod: RegisterMethod;
  readonly authKeyId: PreAuthKeyId | null;
  readonly ephemeral: boolean;
  readonly createdAt: number;
  /** Key expiry; null is never. */
  readonly expiry: number | null;
  /** Approved by an admin or auto-approver, advertised or not. Sorted by prefix. */
  readonly approvedRoutes: readonly Prefix[];
}

/** What a node tells of itself and what we see of it: in memory at once, written behind within seconds. */
export interface Presence {
  readonly hostinfo: Hostinfo;
  readonly discoKey: DiscoKey | null;
  readonly endpoints: readonly AddrPortText[];
  /** Home DERP region; 0 is unknown. */
  readonly homeDerp: number;
  readonly capVersion: number;
  readonly lastSeen: number | null;
}

/** A node as the model holds it. */
export interface Node extends NodeRecord, Presence {
  /** At least one map stream is open (or was until a moment ago). Not stored. */
  readonly online: boolean;
  /** Advertised prefixes, parsed from hostinfo.RoutableIPs, sorted. Derived. */
  readonly advertised: readonly Prefix[];
  /** advertised ∩ approved. Derived. */
  readonly routes: readonly Prefix[];
  /** Routes this node is the elected primary for (never exit routes). Derived. */
  readonly primaryRoutes: readonly Prefix[];
}

export interface PreAuthKey {
  readonly id: PreAuthKeyId;
  /** 12 characters, public; "" for keys imported from plaintext. */
  readonly prefix: string;
  readonly userId: UserId | null;
  readonly reusable: boolean;
  readonly ephemeral: boolean;
  readonly used: boolean;
  readonly tags: readonly string[];
  readonly expiration: number | null;
  readonly createdAt: number;
}

export interface ApiKey {
  readonly id: ApiKeyId;
  readonly prefix: string;
  readonly expiration: number | null;
  readonly createdAt: number;
  readonly lastSeen: number | null;
  readonly description: string;
  /** Empty: everything. */
  readonly scopes: readonly string[];
}

/** Typed changes that a command yields; each batch moves the tailnet to the next version. */
export type Change =
  | { readonly kind: "node-added"; readonly id: NodeId }
  | { readonly kind: "node-removed"; readonly id: NodeId; readonly last: Node }
  | {
      readonly kind: "node-changed";
      readonly id: NodeId;
      readonly before: Node;
      readonly fields: ReadonlySet<NodeField>;
    }
  | { readonly kind: "user-changed"; readonly id: UserId }
  | { readonly kind: "user-removed"; readonly id: UserId }
  | { readonly kind: "policy-replaced" }
  | { readonly kind: "dns-changed" }
  | { readonly kind: "derp-changed" };

/** What of a node changed, as far as others are told. */
export type NodeField =
  | "key"
  | "disco"
  | "endpoints"
  | "derp"
  | "online"
  | "expiry"
  | "name"
  | "addresses"
  | "owner"
  | "tags"
  | "routes"
  | "primary"
  | "hostinfo"
  | "capver";
