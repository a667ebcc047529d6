// Registration (protocol §3.4–3.5, headscale §7.1–7.4). The machine key is proven by the Noise session; every node key
// named must be unknown or this machine's own. A valid node that comes back with its key is let in without a look at its
// credential; all else is checked in full: a key that is spent or expired opens nothing new.
import type { UserId } from "../wire/ids.ts";
import { isZeroKey } from "../wire/ids.ts";
import { adoptPatch } from "./adopt.ts";
import type { Planner } from "./commit-queue.ts";
import type { Actor, CommandError, Registration, Result } from "./contract.ts";
import { isTagged, nothingSaidYet, presenceOf, recordOf } from "./derive.ts";
import { type Grant, grantOf, type Proof } from "./grants.ts";
import type { Node, NodeRecord, Presence } from "./model.ts";
import { sanitizeHostname } from "./names.ts";
import { expiryOf, newStableId, renamed, shown, withAddresses, withAutoApproval } from "./node-fields.ts";
import type { TailnetOptions } from "./options.ts";
import type { Plan } from "./plan.ts";
import { isExpired } from "./settle.ts";
import type { TailnetState } from "./state.ts";

const foreignKey: CommandError = { code: "denied", text: "node key already in use by another machine" };
const ambiguous: CommandError = { code: "denied", text: "machine key maps to ambiguous node ownership" };

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
    // A node that is valid stays so whatever became of the key it came with; a login is judged for what it asks.
    const stands = grant.ok ? valid !== undefined && keepsOwner(valid, grant.value) : proof.kind === "auth-key";
    if (valid !== undefined && stands) {
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

/**
 * Is the node already what a key would make of it? A user's key does not take a tagged node back (headscale §7.2), nor
 * another user's node that comes with the key it has.
 */
function keepsOwner(node: Node, grant: Grant): boolean {
  return !grant.interactive && (isTagged(node) || ("user" in grant.owner && node.userId !== null));
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
  if (named?.userId === user || (named !== undefined && isTagged(named) && !grant.interactive)) {
    return named;
  }
  const own = siblings.find((node) => node.userId === user);
  if (own !== undefined) {
    return own;
  }
  if (named === undefined) {
    // A key for users does not make a second node of a tagged machine: the node stays tagged.
    return grant.interactive ? undefined : siblings.find(isTagged);
  }
  // Logging in by hand without asking for tags takes a tagged node back; a node that lost its owner gets one; another
  // user's node is left alone.
  return named.userId === null ? named : undefined;
}

function tagTarget(named: Node | undefined, siblings: readonly Node[]): Result<Node | undefined> {
  const tagged = named !== undefined && isTagged(named) ? named : siblings.find(isTagged);
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
  plan.afterwards.push(() => deps.adopt(nodeOrBug(state, record), registration));
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
  const stays = isTagged(node) && "user" in grant.owner && !grant.interactive;
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
      nodeLockKey: registration.nodeLockKey ?? node.nodeLockKey,
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
