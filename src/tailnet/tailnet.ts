// A tailnet over a store: loads what is durable, then answers readers from memory, takes commands through the commit
// queue and presence at once.
import type { PreAuthKeyId } from "../wire/ids.ts";
import { setAddresses } from "./address-commands.ts";
import { CommitQueue, type Planner } from "./commit-queue.ts";
import type { PolicyVersion, Result, Standing, Tailnet } from "./contract.ts";
import { policyNodeOf, policyUserOf } from "./derive.ts";
import type { Proof } from "./grants.ts";
import * as keys from "./key-commands.ts";
import type { ApiKey, Node } from "./model.ts";
import * as nodes from "./node-commands.ts";
import type { PolicyWorld, TailnetOptions } from "./options.ts";
import { compile, setPolicy } from "./policy-commands.ts";
import { Presences } from "./presence.ts";
import { register } from "./registration.ts";
import { resync } from "./resync.ts";
import { SecretChecker } from "./secrets.ts";
import { isExpired, messageOf, Settler } from "./settle.ts";
import { TailnetState } from "./state.ts";
import { setByHeadscale } from "./taken-over.ts";
import * as users from "./user-commands.ts";

/** How many earlier policies are tried when the stored one does not compile, and how many `policyHistory` lists. */
const policyDepth = 100;
const maxAuditPage = 1000;
/** An API key's last use is written this often at most, ms. */
const lastSeenEvery = 60_000;

/** Loads the tailnet from its store. Throws when the store cannot be read; a policy that does not compile is no reason. */
export async function createTailnet(options: TailnetOptions): Promise<Tailnet> {
  const { store } = options;
  const warn = options.warn ?? (() => undefined);
  const snapshot = await store.load();
  const state = new TailnetState(options, options.closedPolicy({ users: [], nodes: [] }));
  state.load(snapshot);
  const policyProblem = await loadPolicy(state, options);
  const settler = new Settler(state, () => options.now(), warn);
  settler.begin();
  const queue = new CommitQueue({
    state,
    settler,
    store,
    now: () => options.now(),
    warn,
    sequence: snapshot.sequence,
    resync: async () =>
      resync(await store.load(), {
        state,
        settler,
        options,
        warn,
        storedOtherwise: (id) => presences.storedOtherwise(id),
      }),
    linger: options.linger,
  });
  const run = <Value>(planner: Planner<Value>): Promise<Result<Value>> => queue.run(planner);
  /** Of the server's own accord: nobody waits for the answer. */
  const quietly = async (planner: Planner<void>): Promise<boolean> => {
    try {
      const result = await run(planner);
      if (!result.ok) {
        warn(`not done: ${result.error.text}`);
      }
      return result.ok;
    } catch (error) {
      warn(`not done: ${messageOf(error)}`);
      return false;
    }
  };
  const presences = new Presences(state, settler, options, {
    followHostinfo: (id) => void quietly(nodes.followHostinfo(state, id)),
    ephemeralGone: (id) => quietly(nodes.deleteEphemeral(id, () => !presences.hasSession(id))),
  });
  const checker = new SecretChecker(options.secrets, () => options.now());
  const registrationDeps = {
    state,
    options,
    adopt: (node: Node, patch: Parameters<Presences["adopt"]>[1]): void => {
      presences.adopt(node.id, patch);
      presences.registered(node.id);
    },
  };

  return {
    get version() {
      return state.version;
    },
    get policy() {
      return state.policy;
    },
    get policyVersion() {
      return state.policyVersion;
    },
    get policyProblem() {
      return state.policyVersion === snapshot.policy ? policyProblem : undefined;
    },
    node: (id) => state.nodes.get(id),
    nodeByKey: (key) => {
      const id = state.nodeByKey.get(key);
      return id === undefined ? undefined : state.nodes.get(id);
    },
    nodesByMachine: (key) => [...state.nodesByMachine.get(key)].flatMap((id) => state.nodes.get(id) ?? []),
    nodes: keptSorted(state.nodes, () => state.nodesRevision),
    user: (id) => state.users.get(id),
    usersByName: (name) => [...state.usersByName.get(name)].flatMap((id) => state.users.get(id) ?? []),
    users: keptSorted(state.users, () => state.usersRevision),
    preAuthKeys: () => [...state.preAuthKeys.values()].map(({ key }) => key),
    apiKeys: () => [...state.apiKeys.values()].map(({ key }) => key),
    primaries: () => state.elections.primaries,
    unhealthyRouters: () => [...settler.unhealthy].sort((left, right) => left - right),
    subscribe: (listener) => settler.subscribe(listener),

    createUser: (actor, user) => run(users.createUser(state, actor, user)),
    renameUser: (actor, id, name) => run(users.renameUser(state, actor, id, name)),
    updateUser: (actor, id, patch) => run(users.updateUser(state, actor, id, patch)),
    setUserRole: (actor, id, role) => run(users.setUserRole(state, actor, id, role)),
    deleteUser: (actor, id) => run(users.deleteUser(actor, id)),

    createPreAuthKey: (actor, key) => run(keys.createPreAuthKey(options.secrets, actor, key)),
    expirePreAuthKey: (actor, id) => run(keys.expirePreAuthKey(actor, id)),
    deletePreAuthKey: (actor, id) => run(keys.deletePreAuthKey(actor, id)),
    createApiKey: (actor, key) => run(keys.createApiKey(options.secrets, actor, key)),
    expireApiKey: (actor, id) => run(keys.expireApiKey(actor, id)),
    deleteApiKey: (actor, id) => run(keys.deleteApiKey(actor, id)),
    verifyApiKey,

    standing: (machineKey, nodeKey): Standing => {
      const id = state.nodeByKey.get(nodeKey);
      const node = id === undefined ? undefined : state.nodes.get(id);
      if (node === undefined) {
        return { kind: "unknown" };
      }
      if (node.machineKey !== machineKey) {
        return { kind: "foreign" };
      }
      return { kind: isExpired(node, options.now()) ? "expired" : "valid", node };
    },
    register: (actor, registration, credential) => {
      const proof: Proof =
        credential.kind === "auth-key" ? { kind: "auth-key", id: findAuthKey(credential.secret) } : credential;
      return run(register(registrationDeps, actor, registration, proof));
    },
    logout: (machineKey, nodeKey, from) => run(nodes.logout(machineKey, nodeKey, from)),
    shortenExpiry: (machineKey, nodeKey, expiry, from) =>
      run(nodes.shortenExpiry(state, machineKey, nodeKey, expiry, from)),

    renameNode: (actor, id, name) => run(nodes.renameNode(state, options, actor, id, name)),
    setTags: (actor, id, tags) => run(nodes.setTags(state, actor, id, tags)),
    setApprovedRoutes: (actor, id, routes) => run(nodes.setApprovedRoutes(state, actor, id, routes)),
    expireNode: (actor, id, expiry) => run(nodes.expireNode(state, actor, id, expiry)),
    moveNode: (actor, id, user) => run(nodes.moveNode(state, actor, id, user)),
    deleteNode: (actor, id) => run(nodes.deleteNode(actor, id)),
    setAddresses: (actor, id, wanted) => run(setAddresses(state, options, actor, id, wanted)),
    backfillAddresses: (actor) => run(nodes.backfillAddresses(options, actor)),

    setPolicy: (actor, text) => run(setPolicy({ state, settler, options }, actor, text)),
    policyHistory: () => store.policyHistory(policyDepth),
    auditLog: (query) => store.auditLog({ ...query, limit: Math.min(query.limit, maxAuditPage) }),
    auditChain: () => store.auditChain(),
    pruneAudit: (olderThan) => run(pruneAudit(olderThan)),

    updatePresence: (id, patch) => presences.updatePresence(id, patch),
    sessionOpened: (id) => presences.sessionOpened(id),
    sessionClosed: (id) => presences.sessionClosed(id),
    setRouteHealth: (id, healthy) => presences.setRouteHealth(id, healthy),
    tick: () => presences.tick(),

    close: async () => {
      await queue.close();
      await presences.flush();
    },
  };

  function findAuthKey(secret: string): PreAuthKeyId | undefined {
    const held = keys.findPreAuthKey(state, options.secrets, checker, secret);
    if (held?.secret.algorithm === "bcrypt") {
      void quietly(keys.rehashPreAuthKey(options.secrets, held.key.id, secret));
    }
    return held?.key.id;
  }

  function verifyApiKey(secret: string): ApiKey | undefined {
    const held = keys.findApiKey(state, checker, secret);
    const now = options.now();
    if (held === undefined || (held.key.expiration !== null && held.key.expiration <= now)) {
      return undefined;
    }
    if (held.secret.algorithm === "bcrypt" || now - (held.key.lastSeen ?? 0) >= lastSeenEvery) {
      void quietly(keys.touchApiKey(options.secrets, held.key.id, now, secret));
    }
    return held.key;
  }
}

function pruneAudit(olderThan: number): Planner<void> {
  return (plan) => {
    plan.writes.push({ kind: "prune-audit", olderThan, at: plan.now });
    return { ok: true, value: () => undefined };
  };
}

/** Puts the stored policy in force, or the last earlier one of ours that compiles; returns what was wrong. */
async function loadPolicy(state: TailnetState, options: TailnetOptions): Promise<string | undefined> {
  const world: PolicyWorld = {
    users: [...state.users.values()].map(policyUserOf),
    nodes: [...state.nodes.values()].map(policyNodeOf),
  };
  if (state.policyVersion === null) {
    state.policy = options.defaultPolicy(world);
    return undefined;
  }
  const compiled = compile(options, state.policyVersion.text, world);
  if (compiled.ok) {
    state.policy = compiled.engine;
    return undefined;
  }
  const stored: PolicyVersion = state.policyVersion;
  const earlier = (await options.store.policyHistory(policyDepth)).filter(
    ({ id, setBy }) => id < stored.id && setBy !== setByHeadscale,
  );
  for (const version of earlier) {
    const attempt = compile(options, version.text, world);
    if (attempt.ok) {
      state.policy = attempt.engine;
      return `policy ${stored.id} cannot be used (${compiled.error}); policy ${version.id} is in force`;
    }
  }
  state.policy = options.closedPolicy(world);
  return `policy ${stored.id} cannot be used (${compiled.error}) and no earlier one can: nothing is allowed`;
}

/** A list sorted by id, made anew only when `revision` moved. */
function keptSorted<Item extends { readonly id: number }>(
  items: ReadonlyMap<unknown, Item>,
  revision: () => number,
): () => readonly Item[] {
  let kept: readonly Item[] = [];
  let keptAt = -1;
  return () => {
    if (keptAt !== revision()) {
      kept = [...items.values()].sort((left, right) => left.id - right.id);
      keptAt = revision();
    }
    return kept;
  };
}
