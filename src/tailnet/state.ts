// All that is in memory of one tailnet, with the indexes to find it. Changed only by `apply` (what a commit made durable)
// and by `replaceNode` (presence); both note what was there before, for the batch that is being gathered.
import type { PolicyEngine } from "../policy/engine.ts";
import type { ApiKeyId, MachineKey, NodeId, NodeKey, PreAuthKeyId, UserId } from "../wire/ids.ts";
import { AddressTable } from "./addresses.ts";
import type { PolicyVersion } from "./contract.ts";
import { makeNode, nothingSaidYet, presenceOf } from "./derive.ts";
import { Elections } from "./elections.ts";
import type { ApiKey, Node, NodeRecord, PreAuthKey, Presence, User } from "./model.ts";
import { NameTable } from "./names.ts";
import type { TailnetOptions } from "./options.ts";
import type { Snapshot, StoredSecret, Write } from "./store.ts";

export interface HeldPreAuthKey {
  readonly key: PreAuthKey;
  readonly secret: StoredSecret;
}
export interface HeldApiKey {
  readonly key: ApiKey;
  readonly secret: StoredSecret;
}

/** What a batch has touched so far: the value before the first touch, undefined for what was not there. */
export interface Touched {
  readonly nodes: Map<NodeId, Node | undefined>;
  readonly users: Map<UserId, User | undefined>;
  /** Nodes whose reachability or expiry state moved with the clock while their record stayed. */
  readonly passed: Set<NodeId>;
  policyReplaced: boolean;
}

export class TailnetState {
  readonly users = new Map<UserId, User>();
  readonly nodes = new Map<NodeId, Node>();
  readonly preAuthKeys = new Map<PreAuthKeyId, HeldPreAuthKey>();
  readonly apiKeys = new Map<ApiKeyId, HeldApiKey>();

  readonly nodeByKey = new Map<NodeKey, NodeId>();
  readonly nodesByMachine = new Index<MachineKey, NodeId>();
  readonly nodesByUser = new Index<UserId, NodeId>();
  readonly nodesByAuthKey = new Index<PreAuthKeyId, NodeId>();
  readonly usersByName = new Index<string, UserId>();
  readonly userByProviderId = new Map<string, UserId>();
  readonly preAuthKeyByPrefix = new Map<string, PreAuthKeyId>();
  /** Keys imported from plaintext have no prefix; the hash of the whole finds them. */
  readonly preAuthKeyByHash = new Map<string, PreAuthKeyId>();
  readonly preAuthKeysByUser = new Index<UserId, PreAuthKeyId>();
  readonly apiKeyByPrefix = new Map<string, ApiKeyId>();

  readonly names = new NameTable();
  readonly addresses: AddressTable;
  readonly elections = new Elections();
  readonly settings = new Map<string, string>();

  /** Highest ids given out. */
  readonly highest = { user: 0, node: 0, preAuthKey: 0, apiKey: 0, policy: 0 };
  policyVersion: PolicyVersion | null = null;
  policy: PolicyEngine;
  version = 1;
  touched: Touched = noneTouched();
  /** Moves whenever a record in the map is replaced; for lists that are kept. */
  nodesRevision = 0;
  usersRevision = 0;

  constructor(options: TailnetOptions, policy: PolicyEngine) {
    this.addresses = new AddressTable(options.allocation, (count) => options.secrets.randomBytes(count));
    this.policy = policy;
  }

  /** Fills an empty state; nothing counts as touched. */
  load(snapshot: Snapshot): void {
    Object.assign(this.highest, snapshot.highest);
    for (const user of [...snapshot.users].sort((left, right) => left.id - right.id)) {
      this.#putUser(user);
    }
    for (const { key, secret } of snapshot.preAuthKeys) {
      this.#putPreAuthKey(key, secret);
    }
    for (const { key, secret } of snapshot.apiKeys) {
      this.#putApiKey(key, secret);
    }
    for (const { record, presence } of [...snapshot.nodes].sort((left, right) => left.record.id - right.record.id)) {
      this.#putNode(record, presence);
    }
    for (const [key, value] of Object.entries(snapshot.settings)) {
      this.settings.set(key, value);
    }
    this.policyVersion = snapshot.policy;
    this.touched = noneTouched();
  }

  /** Takes over what is durable. */
  apply(write: Write): void {
    switch (write.kind) {
      case "put-user":
        return this.#putUser(write.user);
      case "delete-user":
        return this.#deleteUser(write.id);
      case "put-node":
        return this.#putNode(write.node, write.presence);
      case "delete-node":
        return this.#deleteNode(write.id);
      case "put-pre-auth-key":
        return this.#putPreAuthKey(write.key, write.secret);
      case "use-pre-auth-key": {
        const held = this.preAuthKeys.get(write.id);
        return held === undefined ? undefined : this.#putPreAuthKey({ ...held.key, used: true }, held.secret);
      }
      case "delete-pre-auth-key":
        return this.#deletePreAuthKey(write.id);
      case "put-api-key":
        return this.#putApiKey(write.key, write.secret);
      case "delete-api-key":
        return this.#deleteApiKey(write.id);
      case "put-policy":
        this.policyVersion = write.policy;
        this.highest.policy = Math.max(this.highest.policy, write.policy.id);
        return undefined;
      case "reserve-ids":
        for (const table of ["user", "node", "preAuthKey", "apiKey", "policy"] as const) {
          this.highest[table] = Math.max(this.highest[table], write.highest[table]);
        }
        return undefined;
      case "put-setting":
        this.settings.set(write.key, write.value);
        return undefined;
      case "audit":
      case "prune-audit":
      case "restore-audit":
        return undefined;
    }
  }

  /** Puts a node with new presence or derived fields in the place of the one with its id. */
  replaceNode(next: Node): void {
    const before = this.nodes.get(next.id);
    this.#touchNode(next.id, before);
    this.nodes.set(next.id, next);
    if (before !== undefined) {
      this.elections.offer(next.id, before.routes, next.routes);
    }
  }

  takeTouched(): Touched {
    const { touched } = this;
    this.touched = noneTouched();
    return touched;
  }

  #touchNode(id: NodeId, before: Node | undefined): void {
    this.nodesRevision++;
    if (!this.touched.nodes.has(id)) {
      this.touched.nodes.set(id, before);
    }
  }

  #putNode(record: NodeRecord, presence: Presence | undefined): void {
    const before = this.nodes.get(record.id);
    // What a node told of itself since the command was planned is newer than what the command carries.
    const next = makeNode(record, before === undefined ? (presence ?? nothingSaidYet) : presenceOf(before), before);
    this.#touchNode(record.id, before);
    if (before !== undefined) {
      this.#unindexNode(before, next);
    }
    this.nodes.set(next.id, next);
    this.#indexNode(next);
    this.elections.offer(next.id, before?.routes ?? [], next.routes);
    if (before !== undefined && before.expiry !== next.expiry) {
      this.elections.reconsider(next.routes);
    }
    this.highest.node = Math.max(this.highest.node, next.id);
  }

  #deleteNode(id: NodeId): void {
    const before = this.nodes.get(id);
    if (before === undefined) {
      return;
    }
    this.#touchNode(id, before);
    this.#unindexNode(before, undefined);
    this.nodes.delete(id);
    this.elections.offer(id, before.routes, []);
  }

  #indexNode(node: Node): void {
    this.nodeByKey.set(node.nodeKey, node.id);
    this.nodesByMachine.add(node.machineKey, node.id);
    if (node.userId !== null) {
      this.nodesByUser.add(node.userId, node.id);
    }
    if (node.authKeyId !== null) {
      this.nodesByAuthKey.add(node.authKeyId, node.id);
    }
    this.names.take(node.givenName);
    for (const addr of [node.ipv4, node.ipv6]) {
      if (addr !== null) {
        this.addresses.take(addr);
      }
    }
  }

  #unindexNode(before: Node, next: Node | undefined): void {
    if (this.nodeByKey.get(before.nodeKey) === before.id) {
      this.nodeByKey.delete(before.nodeKey);
    }
    this.nodesByMachine.remove(before.machineKey, before.id);
    if (before.userId !== null) {
      this.nodesByUser.remove(before.userId, before.id);
    }
    if (before.authKeyId !== null) {
      this.nodesByAuthKey.remove(before.authKeyId, before.id);
    }
    if (before.givenName !== next?.givenName) {
      this.names.free(before.givenName);
    }
    if (before.ipv4 !== null && before.ipv4 !== next?.ipv4) {
      this.addresses.free(before.ipv4);
    }
    if (before.ipv6 !== null && before.ipv6 !== next?.ipv6) {
      this.addresses.free(before.ipv6);
    }
  }

  #putUser(user: User): void {
    const before = this.users.get(user.id);
    this.#touchUser(user.id, before);
    if (before !== undefined) {
      this.#unindexUser(before);
    }
    this.users.set(user.id, user);
    this.usersByName.add(user.name, user.id);
    if (user.providerId !== "") {
      this.userByProviderId.set(user.providerId, user.id);
    }
    this.highest.user = Math.max(this.highest.user, user.id);
  }

  #deleteUser(id: UserId): void {
    const before = this.users.get(id);
    if (before !== undefined) {
      this.#touchUser(id, before);
      this.#unindexUser(before);
      this.users.delete(id);
    }
  }

  #touchUser(id: UserId, before: User | undefined): void {
    this.usersRevision++;
    if (!this.touched.users.has(id)) {
      this.touched.users.set(id, before);
    }
  }

  #unindexUser(user: User): void {
    this.usersByName.remove(user.name, user.id);
    if (this.userByProviderId.get(user.providerId) === user.id) {
      this.userByProviderId.delete(user.providerId);
    }
  }

  #putPreAuthKey(key: PreAuthKey, secret: StoredSecret | undefined): void {
    const before = this.preAuthKeys.get(key.id);
    const kept = secret ?? before?.secret;
    if (kept === undefined) {
      throw new Error(`pre-auth key ${key.id} without a secret`);
    }
    if (before !== undefined) {
      this.#unindexPreAuthKey(before);
    }
    this.preAuthKeys.set(key.id, { key, secret: kept });
    if (key.prefix === "") {
      this.preAuthKeyByHash.set(kept.hash, key.id);
    } else {
      this.preAuthKeyByPrefix.set(key.prefix, key.id);
    }
    if (key.userId !== null) {
      this.preAuthKeysByUser.add(key.userId, key.id);
    }
    this.highest.preAuthKey = Math.max(this.highest.preAuthKey, key.id);
  }

  #unindexPreAuthKey({ key, secret }: HeldPreAuthKey): void {
    this.preAuthKeyByPrefix.delete(key.prefix);
    this.preAuthKeyByHash.delete(secret.hash);
    if (key.userId !== null) {
      this.preAuthKeysByUser.remove(key.userId, key.id);
    }
  }

  #deletePreAuthKey(id: PreAuthKeyId): void {
    const held = this.preAuthKeys.get(id);
    if (held === undefined) {
      return;
    }
    this.#unindexPreAuthKey(held);
    this.preAuthKeys.delete(id);
    for (const nodeId of this.nodesByAuthKey.get(id)) {
      const node = this.nodes.get(nodeId);
      this.nodesByAuthKey.remove(id, nodeId);
      if (node !== undefined) {
        this.replaceNode({ ...node, authKeyId: null });
      }
    }
  }

  #putApiKey(key: ApiKey, secret: StoredSecret | undefined): void {
    const kept = secret ?? this.apiKeys.get(key.id)?.secret;
    if (kept === undefined) {
      throw new Error(`API key ${key.id} without a secret`);
    }
    this.apiKeys.set(key.id, { key, secret: kept });
    this.apiKeyByPrefix.set(key.prefix, key.id);
    this.highest.apiKey = Math.max(this.highest.apiKey, key.id);
  }

  #deleteApiKey(id: ApiKeyId): void {
    const held = this.apiKeys.get(id);
    if (held !== undefined) {
      this.apiKeyByPrefix.delete(held.key.prefix);
      this.apiKeys.delete(id);
    }
  }
}

function noneTouched(): Touched {
  return { nodes: new Map(), users: new Map(), passed: new Set(), policyReplaced: false };
}

/** One key to several values. */
export class Index<Key, Value> {
  readonly #sets = new Map<Key, Set<Value>>();
  readonly #none: ReadonlySet<Value> = new Set();

  get(key: Key): ReadonlySet<Value> {
    return this.#sets.get(key) ?? this.#none;
  }

  add(key: Key, value: Value): void {
    const set = this.#sets.get(key);
    if (set === undefined) {
      this.#sets.set(key, new Set([value]));
    } else {
      set.add(value);
    }
  }

  remove(key: Key, value: Value): void {
    const set = this.#sets.get(key);
    if (set?.delete(value) === true && set.size === 0) {
      this.#sets.delete(key);
    }
  }
}
