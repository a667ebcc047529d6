// What other rooms may ask of the tailnet. Commands are asynchronous and resolve when durable; presence is synchronous
// and written behind. Expected refusals come back as a CommandError; anything thrown is a bug.
import type { Addr, Prefix } from "../ip/index.ts";
import type { PolicyEffect, PolicyEngine, UserRole } from "../policy/engine.ts";
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
import type { AuditChain, AuditQuery, StoredAuditEntry } from "./store.ts";
import type { ApiKey, Change, Node, PreAuthKey, RegisterMethod, User } from "./model.ts";

/** A refusal that a person caused and can mend. `text` is what headscale's users know where headscale has such a text. */
export interface CommandError {
  readonly code: "not-found" | "invalid" | "conflict" | "denied" | "exhausted" | "unavailable";
  readonly text: string;
}
export type Result<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: CommandError };

/** Who acts, for the audit log. */
export interface Actor {
  readonly kind: "cli" | "api-key" | "user" | "node" | "server";
  /** API key prefix, user name, node id … */
  readonly id: string;
  /** Remote address, or "" where there is none. */
  readonly from: string;
}

/** What a credential allows a registering machine to become. */
export type Credential =
  | { readonly kind: "auth-key"; readonly secret: string }
  /** Approved by an admin or a login: the node belongs to `user` (or becomes tagged when it requested permitted tags). */
  | {
      readonly kind: "approved";
      readonly user: UserId;
      readonly method: RegisterMethod;
      readonly expiry?: number | null;
    };

export interface Registration {
  readonly machineKey: MachineKey;
  readonly nodeKey: NodeKey;
  readonly oldNodeKey?: NodeKey;
  readonly nodeLockKey?: NodeLockKey;
  readonly hostinfo: Hostinfo;
  readonly capVersion: number;
  /** The client asks to be ephemeral. */
  readonly ephemeral: boolean;
  /** Requested key expiry (only to shorten), ms. */
  readonly expiry?: number;
}

/** Where a machine that presents a key it may already own stands (protocol §3.4–3.5); decided without a credential. */
export type Standing =
  | { readonly kind: "valid"; readonly node: Node }
  | { readonly kind: "expired"; readonly node: Node }
  | { readonly kind: "unknown" }
  /** The node key belongs to another machine. */
  | { readonly kind: "foreign" };

export interface PresencePatch {
  /** Replaces; NetInfo and a home region of 0 keep the previous (§4.1). */
  readonly hostinfo?: Hostinfo;
  readonly discoKey?: DiscoKey;
  readonly endpoints?: readonly AddrPortText[];
  readonly capVersion?: number;
}

export interface PolicyVersion {
  readonly id: number;
  readonly text: string;
  readonly setAt: number;
  readonly setBy: string;
}

/** Called after each batch, synchronously, with the tailnet already at `version`. */
export type ChangeListener = (batch: {
  readonly version: number;
  readonly changes: readonly Change[];
  readonly effect: PolicyEffect;
}) => void;

export interface TailnetReader {
  readonly version: number;
  readonly policy: PolicyEngine;
  /** The policy in force; null when none was ever set. */
  readonly policyVersion: PolicyVersion | null;
  /** Why the stored policy could not be used at start and an older one or none is in force; undefined when all is well. */
  readonly policyProblem: string | undefined;
  node(id: NodeId): Node | undefined;
  nodeByKey(key: NodeKey): Node | undefined;
  nodesByMachine(key: MachineKey): readonly Node[];
  /** Ascending by id. */
  nodes(): readonly Node[];
  user(id: UserId): User | undefined;
  usersByName(name: string): readonly User[];
  /** Ascending by id. */
  users(): readonly User[];
  preAuthKeys(): readonly PreAuthKey[];
  apiKeys(): readonly ApiKey[];
  /** Prefix → elected router, over all non-exit routes. */
  primaries(): ReadonlyMap<string, NodeId>;
  /** Routers that the prober found dead; ascending. */
  unhealthyRouters(): readonly NodeId[];
  subscribe(listener: ChangeListener): () => void;
}

export interface TailnetCommands {
  createUser(
    actor: Actor,
    user: {
      name: string;
      displayName?: string;
      email?: string;
      profilePicUrl?: string;
      providerId?: string;
      provider?: string;
      role?: UserRole;
    },
  ): Promise<Result<User>>;
  renameUser(actor: Actor, id: UserId, name: string): Promise<Result<User>>;
  /** What an identity provider says anew at each login; absent fields stay. */
  updateUser(
    actor: Actor,
    id: UserId,
    patch: {
      name?: string;
      displayName?: string;
      email?: string;
      profilePicUrl?: string;
      groups?: readonly string[];
    },
  ): Promise<Result<User>>;
  setUserRole(actor: Actor, id: UserId, role: UserRole): Promise<Result<User>>;
  /** Refused while the user owns nodes; removes the user's pre-auth keys. */
  deleteUser(actor: Actor, id: UserId): Promise<Result<void>>;

  /** Returns the full key, shown this once. */
  createPreAuthKey(
    actor: Actor,
    key: {
      user: UserId | null;
      reusable: boolean;
      ephemeral: boolean;
      tags: readonly string[];
      expiration: number | null;
    },
  ): Promise<Result<{ key: PreAuthKey; secret: string }>>;
  expirePreAuthKey(actor: Actor, id: PreAuthKeyId): Promise<Result<void>>;
  deletePreAuthKey(actor: Actor, id: PreAuthKeyId): Promise<Result<void>>;
  createApiKey(
    actor: Actor,
    key: { expiration: number | null; description?: string; scopes?: readonly string[] },
  ): Promise<Result<{ key: ApiKey; secret: string }>>;
  expireApiKey(actor: Actor, id: ApiKeyId): Promise<Result<void>>;
  deleteApiKey(actor: Actor, id: ApiKeyId): Promise<Result<void>>;
  /** The live key that this secret opens, compared in constant time; undefined when there is none or it expired. */
  verifyApiKey(secret: string): ApiKey | undefined;

  standing(machineKey: MachineKey, nodeKey: NodeKey): Standing;
  /** Creates, updates or rotates the node this registration means (§3.4); checks the credential only where it is needed. */
  register(actor: Actor, registration: Registration, credential: Credential): Promise<Result<Node>>;
  /** Key expiry := now; an ephemeral node is deleted. The machine must own the key; `from` is its address. */
  logout(machineKey: MachineKey, nodeKey: NodeKey, from?: string): Promise<Result<void>>;
  /** Shortens the expiry on the node's own request; extending is refused. */
  shortenExpiry(machineKey: MachineKey, nodeKey: NodeKey, expiry: number, from?: string): Promise<Result<Node>>;

  renameNode(actor: Actor, id: NodeId, name: string): Promise<Result<Node>>;
  setTags(actor: Actor, id: NodeId, tags: readonly string[]): Promise<Result<Node>>;
  setApprovedRoutes(actor: Actor, id: NodeId, routes: readonly Prefix[]): Promise<Result<Node>>;
  /** expiry: a time, now, or null for never. */
  expireNode(actor: Actor, id: NodeId, expiry: number | null): Promise<Result<Node>>;
  moveNode(actor: Actor, id: NodeId, user: UserId): Promise<Result<Node>>;
  deleteNode(actor: Actor, id: NodeId): Promise<Result<void>>;
  /** Gives a node other addresses, free ones inside the configured prefixes (or its policy's pools); a family left out stays. */
  setAddresses(actor: Actor, id: NodeId, wanted: { ipv4?: Addr; ipv6?: Addr }): Promise<Result<Node>>;
  /** Gives nodes the addresses that the configured prefixes call for; the lines say what was done, as headscale words them. */
  backfillAddresses(actor: Actor): Promise<Result<readonly string[]>>;

  setPolicy(actor: Actor, text: string): Promise<Result<PolicyVersion>>;
  /** Newest first. */
  policyHistory(): Promise<readonly PolicyVersion[]>;
  /** Who did what: newest first, or oldest first where `after` is given; at most 1000 entries. */
  auditLog(query: AuditQuery): Promise<readonly StoredAuditEntry[]>;
  auditChain(): Promise<AuditChain>;
  /** Takes entries from before this time, oldest first, and says so in the log. */
  pruneAudit(olderThan: number): Promise<Result<void>>;
}

export interface TailnetPresence {
  /** Applied at once, written behind; ignored for an unknown node. Re-runs auto-approval when advertised routes changed. */
  updatePresence(id: NodeId, patch: PresencePatch): void;
  /** Counted; the node is online while at least one is open. */
  sessionOpened(id: NodeId): void;
  /** After the last one closes the node goes offline when the grace has passed without another (tick). */
  sessionClosed(id: NodeId): void;
  /** The route prober's verdict; an unhealthy router loses its primaries to a healthy one. */
  setRouteHealth(id: NodeId, healthy: boolean): void;
  /** Ephemeral clean-up, offline grace, expiry passing: everything that happens by the clock. Call about once a second. */
  tick(): void;
}

export interface Tailnet extends TailnetReader, TailnetCommands, TailnetPresence {
  /** Writes what is pending and stops accepting commands. */
  close(): Promise<void>;
}
