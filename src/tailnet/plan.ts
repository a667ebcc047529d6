// One command's view of the tailnet while it is planned. It reads what is durable and writes down what it would change;
// names, addresses and ids are set aside at once. Reading something that an earlier command of the same batch is about
// to change spoils the plan: it is dropped and made again when that batch is durable. So commands never see half-truths,
// and commands that have nothing to do with each other share one commit.
import type { Addr, Prefix } from "../ip/index.ts";
import type { PolicyEngine } from "../policy/engine.ts";
import type { ApiKeyId, MachineKey, NodeId, NodeKey, PreAuthKeyId, UserId } from "../wire/ids.ts";
import type { Actor } from "./contract.ts";
import { policyNodeOf } from "./derive.ts";
import type { Node, NodeRecord, Presence, User } from "./model.ts";
import type { HeldApiKey, HeldPreAuthKey, TailnetState } from "./state.ts";
import type { StoredSecret, Write } from "./store.ts";
import type { ApiKey, PreAuthKey } from "./model.ts";
import type { PolicyVersion } from "./contract.ts";

/** Something that one command may change while another reads it. */
type Subject = string;

export class Plan {
  readonly now: number;
  readonly writes: Write[] = [];
  /** Run inside the batch, after the writes are applied. */
  readonly afterwards: (() => void)[] = [];
  /** Run when the plan comes to nothing. */
  readonly #undo: (() => void)[] = [];
  readonly #state: TailnetState;
  readonly #pending: ReadonlySet<Subject>;
  readonly #changed: Subject[] = [];
  #spoiled = false;

  constructor(state: TailnetState, pending: ReadonlySet<Subject>, now: number) {
    this.#state = state;
    this.#pending = pending;
    this.now = now;
  }

  /** True when it read what is about to change. */
  get spoiled(): boolean {
    return this.#spoiled;
  }

  /** What it changes, for the plans after it. */
  get changed(): readonly Subject[] {
    return this.#changed;
  }

  abandon(): void {
    for (const undo of this.#undo) {
      undo();
    }
  }

  onAbandon(undo: () => void): void {
    this.#undo.push(undo);
  }

  #reads(subject: Subject): void {
    if (this.#pending.has(subject)) {
      this.#spoiled = true;
    }
  }

  // Reading.

  get policy(): PolicyEngine {
    this.#reads("policy");
    return this.#state.policy;
  }

  get currentPolicyVersion(): PolicyVersion | null {
    this.#reads("policy");
    return this.#state.policyVersion;
  }

  user(id: UserId): User | undefined {
    this.#reads(`user ${id}`);
    return this.#state.users.get(id);
  }

  usersNamed(name: string): readonly User[] {
    this.#reads(`user-name ${name}`);
    return [...this.#state.usersByName.get(name)].flatMap((id) => this.#state.users.get(id) ?? []);
  }

  userOfProvider(providerId: string): User | undefined {
    this.#reads(`provider ${providerId}`);
    const id = this.#state.userByProviderId.get(providerId);
    return id === undefined ? undefined : this.#state.users.get(id);
  }

  /** Every user; spoiled by any command that changes one. */
  allUsers(): Iterable<User> {
    this.#reads("some user");
    return this.#state.users.values();
  }

  ownsNodes(user: UserId): boolean {
    this.#reads(`nodes-of ${user}`);
    return this.#state.nodesByUser.get(user).size > 0;
  }

  node(id: NodeId): Node | undefined {
    this.#reads(`node ${id}`);
    return this.#state.nodes.get(id);
  }

  nodeByKey(key: NodeKey): Node | undefined {
    this.#reads(key);
    const id = this.#state.nodeByKey.get(key);
    return id === undefined ? undefined : this.node(id);
  }

  nodesOfMachine(machine: MachineKey): readonly Node[] {
    this.#reads(machine);
    return [...this.#state.nodesByMachine.get(machine)].flatMap((id) => this.node(id) ?? []);
  }

  /** Every node; spoiled by any command that changes one. */
  allNodes(): Iterable<Node> {
    this.#reads("some node");
    return this.#state.nodes.values();
  }

  preAuthKey(id: PreAuthKeyId): HeldPreAuthKey | undefined {
    this.#reads(`auth-key ${id}`);
    return this.#state.preAuthKeys.get(id);
  }

  preAuthKeysOf(user: UserId): readonly PreAuthKeyId[] {
    this.#reads(`auth-keys-of ${user}`);
    return [...this.#state.preAuthKeysByUser.get(user)];
  }

  apiKey(id: ApiKeyId): HeldApiKey | undefined {
    this.#reads(`api-key ${id}`);
    return this.#state.apiKeys.get(id);
  }

  nameIsTaken(name: string): boolean {
    this.#reads(`name ${name}`);
    return this.#state.names.has(name);
  }

  // Setting aside.

  nextUserId(): UserId {
    return ++this.#state.highest.user as UserId;
  }
  nextNodeId(): NodeId {
    return ++this.#state.highest.node as NodeId;
  }
  nextPreAuthKeyId(): PreAuthKeyId {
    return ++this.#state.highest.preAuthKey as PreAuthKeyId;
  }
  nextApiKeyId(): ApiKeyId {
    return ++this.#state.highest.apiKey as ApiKeyId;
  }
  nextPolicyId(): number {
    return ++this.#state.highest.policy;
  }

  /** Takes the first free of base, base-1, …. */
  takeUniqueName(base: string): string {
    const name = this.#state.names.unique(base);
    this.takeName(name);
    return name;
  }

  takeName(name: string): void {
    this.#state.names.take(name);
    this.#undo.push(() => this.#state.names.free(name));
  }

  /** Takes an address from the first of the pools that has one left. */
  takeAddress(pools: readonly Prefix[]): Addr | undefined {
    for (const pool of pools) {
      const addr = this.#state.addresses.allocate(pool);
      if (addr !== undefined) {
        this.#undo.push(() => this.#state.addresses.free(addr));
        return addr;
      }
    }
    return undefined;
  }

  /** Takes this very address; false when it is in use. */
  takeThisAddress(addr: Addr): boolean {
    if (this.#state.addresses.has(addr)) {
      return false;
    }
    this.#state.addresses.take(addr);
    this.#undo.push(() => this.#state.addresses.free(addr));
    return true;
  }

  // Writing.

  putUser(user: User): void {
    const before = this.#state.users.get(user.id);
    this.#changed.push("some user", `user ${user.id}`, `user-name ${user.name}`, `provider ${user.providerId}`);
    if (before !== undefined) {
      this.#changed.push(`user-name ${before.name}`, `provider ${before.providerId}`);
    }
    this.writes.push({ kind: "put-user", user });
  }

  deleteUser(user: User): void {
    this.#changed.push("some user", `user ${user.id}`, `user-name ${user.name}`, `provider ${user.providerId}`);
    this.writes.push({ kind: "delete-user", id: user.id });
  }

  putNode(record: NodeRecord, presence?: Presence): void {
    this.#noteNode(record);
    this.#noteNode(this.#state.nodes.get(record.id));
    this.writes.push(
      presence === undefined ? { kind: "put-node", node: record } : { kind: "put-node", node: record, presence },
    );
  }

  deleteNode(node: Node): void {
    this.#noteNode(node);
    this.writes.push({ kind: "delete-node", id: node.id });
  }

  #noteNode(record: NodeRecord | undefined): void {
    if (record === undefined) {
      return;
    }
    this.#changed.push(
      `node ${record.id}`,
      "some node",
      record.nodeKey,
      record.machineKey,
      `name ${record.givenName}`,
      `nodes-of ${record.userId ?? 0}`,
      `nodes-by ${record.authKeyId ?? 0}`,
    );
  }

  putPreAuthKey(key: PreAuthKey, secret?: StoredSecret): void {
    this.#changed.push(`auth-key ${key.id}`, `auth-keys-of ${key.userId ?? 0}`);
    this.writes.push(
      secret === undefined ? { kind: "put-pre-auth-key", key } : { kind: "put-pre-auth-key", key, secret },
    );
  }

  usePreAuthKey(key: PreAuthKey): void {
    this.#changed.push(`auth-key ${key.id}`);
    this.writes.push({ kind: "use-pre-auth-key", id: key.id });
  }

  /** Also takes the key from the nodes that it let in. */
  deletePreAuthKey(key: PreAuthKey): void {
    this.#reads(`nodes-by ${key.id}`);
    this.#changed.push(`auth-key ${key.id}`, `auth-keys-of ${key.userId ?? 0}`);
    for (const id of this.#state.nodesByAuthKey.get(key.id)) {
      this.#noteNode(this.node(id));
    }
    this.writes.push({ kind: "delete-pre-auth-key", id: key.id });
  }

  putApiKey(key: ApiKey, secret?: StoredSecret): void {
    this.#changed.push(`api-key ${key.id}`);
    this.writes.push(secret === undefined ? { kind: "put-api-key", key } : { kind: "put-api-key", key, secret });
  }

  deleteApiKey(id: ApiKeyId): void {
    this.#changed.push(`api-key ${id}`);
    this.writes.push({ kind: "delete-api-key", id });
  }

  putPolicy(policy: PolicyVersion): void {
    this.#changed.push("policy");
    this.writes.push({ kind: "put-policy", policy });
  }

  /** One line of the audit log; `before` and `after` are shown as JSON and must hold no secrets. */
  audit(actor: Actor, action: string, target: string, before: unknown, after: unknown): void {
    this.writes.push({
      kind: "audit",
      entry: {
        at: this.now,
        actorKind: actor.kind,
        actorId: actor.id,
        from: actor.from,
        action,
        target,
        before: jsonOf(before),
        after: jsonOf(after),
      },
    });
  }

  /** The policy's picture of a node that does not exist yet or would be different. */
  pictureOf(node: Node): ReturnType<typeof policyNodeOf> {
    return policyNodeOf(node);
  }
}

/** Nothing is the empty text, so that JSON that was read writes the same text again. */
function jsonOf(value: unknown): string {
  return value === undefined || value === null ? "" : JSON.stringify(value);
}
