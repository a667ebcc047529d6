// Registration (protocol §3.4–3.5, headscale §7.1–7.4). The machine key is proven by the Noise session; every node key
// named must be unknown or this machine's own. A valid node that comes back with its key is let in without a look at its
// credential; all else is checked in full: a key that is spent or expired opens nothing new.
import type { Prefix } from "../ip/index.ts";
import { formatAddr, formatPrefix } from "../ip/index.ts";
import { isZeroKey } from "../wire/ids.ts";
import type { PreAuthKeyId, UserId } from "../wire/ids.ts";
import { adoptPatch } from "./adopt.ts";
import type { Planner } from "./commit-queue.ts";
import type { Actor, CommandError, Credential, Registration, Result } from "./contract.ts";
import {
  advertisedBy,
  makeNode,
  nothingSaidYet,
  policyNodeOf,
  presenceOf,
  recordOf,
  samePrefixes,
  sortedPrefixes,
} from "./derive.ts";
import type { Node, NodeRecord, PreAuthKey, Presence, RegisterMethod } from "./model.ts";
import { derivesFrom, sanitizeHostname } from "./names.ts";
import type { TailnetOptions } from "./options.ts";
import type { Plan } from "./plan.ts";
import { isExpired } from "./settle.ts";
import type { TailnetState } from "./state.ts";
import { checkTags, tagsNotPermitted } from "./tags.ts";

/** A credential after its secret was looked up. */
export type Proof =
  | { readonly kind: "auth-key"; readonly id: PreAuthKeyId | undefined }
  | Extract<Credential, { readonly kind: "approved" }>;

/** Who the node will belong to, and what it may be. */
interface Grant {
  readonly owner: { readonly user: UserId } | { readonly tags: readonly string[] };
  readonly method: RegisterMethod;
  readonly authKey: PreAuthKey | undefined;
  readonly ephemeral: boolean;
  /** The login's own word on expiry. */
  readonly expiry: number | null | undefined;
  /** A person is present and asked for what was requested, no tags included. */
  readonly interactive: boolean;
}

const denied = (text: string): CommandError => ({ code: "denied", text });
const invalidKey = denied("invalid pre auth key");
const foreignKey = denied("node key already in use by another machine");
const ambiguous = denied("machine key maps to ambiguous node ownership");

interface Deps {
  readonly state: TailnetState;
  readonly options: TailnetOptions;
  /** Takes over presence inside the batch. */
  adopt(node: Node, registration: Registration): void;
}

export function register(deps: Deps, actor: Actor, registration: Registration, proof: Proof): Planner<Node> {
  return (plan) => {
    const { machineKey, nodeKey } = registration;
    if (isZeroKey(nodeKey) || isZeroKey(machineKey)) {
      return { ok: false, error: { code: "invalid", text: "node key or machine key is zero" } };
    }
    // Read first: registrations of one machine never share a batch.
    const siblings = plan.nodesOfMachine(machineKey);
    const existing = plan.nodeByKey(nodeKey);
    const { oldNodeKey } = registration;
    const old = oldNodeKey === undefined || isZeroKey(oldNodeKey) ? undefined : plan.nodeByKey(oldNodeKey);
    if ([existing, old].some((node) => node !== undefined && node.machineKey !== machineKey)) {
      return { ok: false, error: foreignKey };
    }
    const valid = existing !== undefined && !isExpired(existing, plan.now) ? existing : undefined;
    const grant = grantOf(plan, registration, proof);
    if (valid !== undefined && (!grant.ok || keepsOwner(valid, grant.value))) {
      return restart(deps, plan, valid, registration);
    }
    if (!grant.ok) {
      return grant;
    }
    const target = targetOf(grant.value, existing, old, siblings);
    if (!target.ok) {
      return target;
    }
    return target.value === undefined
      ? create(deps, plan, actor, registration, grant.value)
      : renew(deps, plan, actor, registration, grant.value, target.value);
  };
}

/** A valid node came back with the key it has: nothing is spent, nothing is renewed. */
function restart(deps: Deps, plan: Plan, node: Node, registration: Registration): Result<() => Node> {
  plan.afterwards.push(() => deps.adopt(node, registration));
  return { ok: true, value: () => deps.state.nodes.get(node.id) ?? node };
}

/** Would the credential leave the node with whom it is? Only logging in as somebody else or becoming tagged would not. */
function keepsOwner(node: Node, grant: Grant): boolean {
  if (grant.interactive) {
    return false;
  }
  // A user's key does not take a tagged node back (headscale §7.2), nor another user's node that kept its key.
  return node.userId === null || "user" in grant.owner;
}

function grantOf(plan: Plan, registration: Registration, proof: Proof): Result<Grant> {
  return proof.kind === "auth-key" ? grantByKey(plan, registration, proof.id) : grantByLogin(plan, registration, proof);
}

function grantByKey(plan: Plan, registration: Registration, id: PreAuthKeyId | undefined): Result<Grant> {
  const key = id === undefined ? undefined : plan.preAuthKey(id)?.key;
  if (key === undefined) {
    return { ok: false, error: invalidKey };
  }
  if (key.expiration !== null && key.expiration <= plan.now) {
    return { ok: false, error: denied("authkey expired") };
  }
  if (key.used && !key.reusable) {
    return { ok: false, error: denied("authkey already used") };
  }
  const requested = requestedTags(registration);
  if (!requested.ok) {
    return requested;
  }
  const keyOwner = key.tags.length > 0 ? { user: null, tags: key.tags } : { user: key.userId, tags: [] };
  const refused = requested.value.filter((tag) => !key.tags.includes(tag) && !plan.policy.mayTag(keyOwner, tag));
  if (refused.length > 0) {
    return { ok: false, error: tagsNotPermitted(refused) };
  }
  const shared = {
    method: "authkey" as const,
    authKey: key,
    ephemeral: key.ephemeral || registration.ephemeral,
    expiry: undefined,
    interactive: false,
  };
  const tags = key.tags.length > 0 ? key.tags : requested.value;
  if (tags.length > 0) {
    return { ok: true, value: { ...shared, owner: { tags } } };
  }
  return key.userId === null || plan.user(key.userId) === undefined
    ? { ok: false, error: invalidKey }
    : { ok: true, value: { ...shared, owner: { user: key.userId } } };
}

function grantByLogin(
  plan: Plan,
  registration: Registration,
  proof: Extract<Proof, { readonly kind: "approved" }>,
): Result<Grant> {
  if (plan.user(proof.user) === undefined) {
    return { ok: false, error: { code: "not-found", text: "user not found" } };
  }
  const requested = requestedTags(registration);
  if (!requested.ok) {
    return requested;
  }
  const tags = requested.value;
  const refused = tags.filter((tag) => !plan.policy.mayTag({ user: proof.user, tags: [] }, tag));
  if (refused.length > 0) {
    return { ok: false, error: tagsNotPermitted(refused) };
  }
  return {
    ok: true,
    value: {
      owner: tags.length > 0 ? { tags } : { user: proof.user },
      method: proof.method,
      authKey: undefined,
      // Only keys make ephemeral nodes (protocol §3.1).
      ephemeral: false,
      expiry: proof.expiry,
      interactive: true,
    },
  };
}

function requestedTags(registration: Registration): Result<readonly string[]> {
  const tags = registration.hostinfo.RequestTags ?? [];
  const checked = checkTags(tags);
  return checked.ok ? { ok: true, value: checked.tags } : { ok: false, error: tagsNotPermitted(tags.slice(0, 16)) };
}

/** Which node of this machine the grant renews; undefined when it makes a new one. */
function targetOf(
  grant: Grant,
  existing: Node | undefined,
  old: Node | undefined,
  siblings: readonly Node[],
): Result<Node | undefined> {
  const named = existing ?? old;
  const target: Result<Node | undefined> =
    "user" in grant.owner
      ? { ok: true, value: userTarget(grant, grant.owner.user, named, siblings) }
      : tagTarget(named, siblings);
  if (target.ok && existing !== undefined && target.value?.id !== existing.id) {
    // One node key cannot serve two nodes: the machine must bring a fresh one.
    return { ok: false, error: ambiguous };
  }
  return target;
}

function userTarget(grant: Grant, user: UserId, named: Node | undefined, siblings: readonly Node[]): Node | undefined {
  if (named?.userId === user || (named?.userId === null && !grant.interactive)) {
    return named;
  }
  const own = siblings.find((node) => node.userId === user);
  if (own !== undefined) {
    return own;
  }
  if (named === undefined) {
    // A key for users does not make a second node of a tagged machine: the node stays tagged.
    return grant.interactive ? undefined : siblings.find((node) => node.userId === null);
  }
  // Logging in by hand without asking for tags takes a tagged node back; another user's node is left alone.
  return named.userId === null ? named : undefined;
}

function tagTarget(named: Node | undefined, siblings: readonly Node[]): Result<Node | undefined> {
  const tagged = named?.userId === null ? named : siblings.find((node) => node.userId === null);
  if (tagged !== undefined || named !== undefined) {
    return { ok: true, value: tagged ?? named };
  }
  return siblings.length > 1 ? { ok: false, error: ambiguous } : { ok: true, value: siblings[0] };
}

function create(deps: Deps, plan: Plan, actor: Actor, registration: Registration, grant: Grant): Result<() => Node> {
  const { state, options } = deps;
  const expiry = expiryOf(plan, registration, grant, options);
  if (!expiry.ok) {
    return expiry;
  }
  const presence = { ...adoptPatch(nothingSaidYet, registration), lastSeen: plan.now };
  const bare: NodeRecord = {
    id: plan.nextNodeId(),
    stableId: newStableId(options),
    machineKey: registration.machineKey,
    nodeKey: registration.nodeKey,
    nodeLockKey: registration.nodeLockKey ?? null,
    userId: "user" in grant.owner ? grant.owner.user : null,
    tags: "tags" in grant.owner ? grant.owner.tags : [],
    givenName: plan.takeUniqueName(sanitizeHostname(registration.hostinfo.Hostname ?? "")),
    nameFixed: false,
    ipv4: null,
    ipv6: null,
    registerMethod: grant.method,
    authKeyId: grant.authKey?.id ?? null,
    ephemeral: grant.ephemeral,
    createdAt: plan.now,
    expiry: expiry.value,
    approvedRoutes: [],
  };
  const addressed = withAddresses(plan, options, bare, presence);
  if (!addressed.ok) {
    return addressed;
  }
  const record = withAutoApproval(plan, addressed.value, presence);
  store(plan, record, presence, grant);
  plan.audit(actor, "node.register", `node:${record.id}`, undefined, shown(record));
  return { ok: true, value: () => nodeOrBug(state, record) };
}

/** A new key, owner or expiry for a node that stays the same one: id, stable id, addresses and a fixed name are kept. */
function renew(
  deps: Deps,
  plan: Plan,
  actor: Actor,
  registration: Registration,
  grant: Grant,
  node: Node,
): Result<() => Node> {
  const { state, options } = deps;
  // A tagged node stays tagged for a user's key.
  const stays = node.userId === null && "user" in grant.owner && !grant.interactive;
  const expiry: Result<number | null> = stays
    ? { ok: true, value: null }
    : expiryOf(plan, registration, grant, options);
  if (!expiry.ok) {
    return expiry;
  }
  const presence = adoptPatch(presenceOf(node), registration);
  const owner = stays
    ? { userId: null, tags: node.tags }
    : "user" in grant.owner
      ? { userId: grant.owner.user, tags: [] }
      : { userId: null, tags: grant.owner.tags };
  const record = withAutoApproval(
    plan,
    {
      ...recordOf(node),
      ...owner,
      nodeKey: registration.nodeKey,
      nodeLockKey: registration.nodeLockKey ?? null,
      givenName: renamed(plan, node, registration.hostinfo.Hostname),
      registerMethod: grant.method,
      authKeyId: grant.authKey?.id ?? null,
      ephemeral: grant.ephemeral,
      expiry: expiry.value,
    },
    presence,
  );
  store(plan, record, presence, grant);
  plan.afterwards.push(() => deps.adopt(nodeOrBug(state, record), registration));
  plan.audit(actor, "node.renew", `node:${record.id}`, shown(node), shown(record));
  return { ok: true, value: () => nodeOrBug(state, record) };
}

function nodeOrBug(state: TailnetState, record: NodeRecord): Node {
  const node = state.nodes.get(record.id);
  if (node === undefined) {
    throw new Error(`node ${record.id} is missing right after its registration`);
  }
  return node;
}

function store(plan: Plan, record: NodeRecord, presence: Presence, grant: Grant): void {
  // The key goes first: when it is spent after all, nothing else of this registration is stored.
  if (grant.authKey !== undefined && !grant.authKey.reusable) {
    plan.usePreAuthKey(grant.authKey);
  }
  plan.putNode(record, presence);
}

/** Tagged: never. Else the login's word, else what the client asks for within the default. */
function expiryOf(
  plan: Plan,
  registration: Registration,
  grant: Grant,
  options: TailnetOptions,
): Result<number | null> {
  if ("tags" in grant.owner) {
    return { ok: true, value: null };
  }
  if (grant.expiry !== undefined) {
    return { ok: true, value: grant.expiry };
  }
  const standard = options.defaultNodeExpiry === null ? null : plan.now + options.defaultNodeExpiry;
  const { expiry } = registration;
  if (expiry === undefined) {
    return { ok: true, value: standard };
  }
  return expiry <= plan.now
    ? { ok: false, error: { code: "invalid", text: "requested key expiry is in the past" } }
    : { ok: true, value: standard === null ? expiry : Math.min(standard, expiry) };
}

/** Addresses of both families from the pools policy names, or from the configured prefixes. */
function withAddresses(
  plan: Plan,
  options: TailnetOptions,
  record: NodeRecord,
  presence: Presence,
): Result<NodeRecord> {
  const pools = plan.policy.ipPools(policyNodeOf(makeNode(record, presence, undefined)));
  const draw = (family: 4 | 6, prefix: Prefix | null): Result<NodeRecord["ipv4"]> => {
    if (prefix === null) {
      return { ok: true, value: null };
    }
    const own = pools.filter((pool) => pool.addr.family === family);
    const addr = plan.takeAddress(own.length > 0 ? own : [prefix]);
    return addr === undefined
      ? { ok: false, error: { code: "exhausted", text: "failed to allocate IP" } }
      : { ok: true, value: addr };
  };
  const ipv4 = draw(4, options.prefixV4);
  if (!ipv4.ok) {
    return ipv4;
  }
  const ipv6 = draw(6, options.prefixV6);
  if (!ipv6.ok) {
    return ipv6;
  }
  return { ok: true, value: { ...record, ipv4: ipv4.value, ipv6: ipv6.value } };
}

/** The record with what auto-approvers grant; approval only ever adds. */
export function withAutoApproval(plan: Plan, record: NodeRecord, presence: Presence): NodeRecord {
  const advertised = advertisedBy(presence.hostinfo);
  if (advertised.length === 0) {
    return record;
  }
  const granted = plan.policy.autoApproved(policyNodeOf(makeNode(record, presence, undefined)), advertised);
  const approvedRoutes = sortedPrefixes([...record.approvedRoutes, ...granted]);
  return samePrefixes(approvedRoutes, record.approvedRoutes) ? record : { ...record, approvedRoutes };
}

/** The name after the machine called itself `hostname`: kept when an admin chose it or when it still fits. */
export function renamed(plan: Plan, node: Node, hostname: string | undefined): string {
  if (node.nameFixed || hostname === undefined || hostname === "") {
    return node.givenName;
  }
  const base = sanitizeHostname(hostname);
  return derivesFrom(node.givenName, base) ? node.givenName : plan.takeUniqueName(base);
}

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Shaped as Tailscale's (`n…CNTRL`); 65 random bits. */
function newStableId(options: TailnetOptions): string {
  let text = "n";
  for (const byte of options.secrets.randomBytes(11)) {
    text += base58[byte % base58.length] ?? "";
  }
  return `${text}CNTRL`;
}

/** What the audit log says of a node. */
export function shown(node: NodeRecord): object {
  return {
    name: node.givenName,
    nodeKey: node.nodeKey,
    machineKey: node.machineKey,
    user: node.userId,
    tags: node.tags,
    addresses: [node.ipv4, node.ipv6].flatMap((addr) => (addr === null ? [] : formatAddr(addr))),
    expiry: node.expiry,
    ephemeral: node.ephemeral,
    approvedRoutes: node.approvedRoutes.map(formatPrefix),
    authKey: node.authKeyId,
  };
}
