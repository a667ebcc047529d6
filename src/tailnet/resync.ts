// Brings memory to what the store holds, after a commit whose fate is unknown or one that somebody else made. Nodes'
// presence stays as it is: memory's is newer, and what a lost commit brought with it (a registration that was stored but
// seemed to fail) is told again by the client that tries again.
import { sameJson } from "./adopt.ts";
import type { NodeId } from "../wire/ids.ts";
import { presenceOf, recordOf } from "./derive.ts";
import type { TailnetOptions } from "./options.ts";
import { compile } from "./policy-commands.ts";
import type { Settler } from "./settle.ts";
import type { TailnetState } from "./state.ts";
import type { Snapshot, Write } from "./store.ts";

/** Applies what differs as one batch; returns the sequence number of the snapshot. */
export function resync(
  snapshot: Snapshot,
  deps: {
    readonly state: TailnetState;
    readonly settler: Settler;
    readonly options: TailnetOptions;
    readonly warn: (text: string) => void;
    /** This node's presence in the store is not memory's. */
    readonly storedOtherwise: (id: NodeId) => void;
  },
): number {
  const { state, settler, options, warn, storedOtherwise } = deps;
  for (const write of [...removals(snapshot, state), ...additions(snapshot, state)]) {
    state.apply(write);
  }
  for (const { record, presence } of snapshot.nodes) {
    const node = state.nodes.get(record.id);
    if (node !== undefined && !sameJson(presenceOf(node), presence)) {
      storedOtherwise(node.id);
    }
  }
  for (const counter of ["user", "node", "preAuthKey", "apiKey", "policy"] as const) {
    state.highest[counter] = Math.max(state.highest[counter], snapshot.highest[counter]);
  }
  settler.settle();
  if (snapshot.policy !== null && snapshot.policy.id !== state.policyVersion?.id) {
    const world = { users: settler.policyUsers(), nodes: settler.policyNodes() };
    const compiled = compile(options, snapshot.policy.text, world);
    if (compiled.ok) {
      state.apply({ kind: "put-policy", policy: snapshot.policy });
      settler.putInForce(compiled.engine);
      settler.settle();
    } else {
      warn(`policy ${snapshot.policy.id} cannot be used: ${compiled.error}`);
    }
  }
  return snapshot.sequence;
}

function* removals(snapshot: Snapshot, state: TailnetState): Generator<Write> {
  const nodes = new Set(snapshot.nodes.map(({ record }) => record.id));
  for (const id of state.nodes.keys()) {
    if (!nodes.has(id)) {
      yield { kind: "delete-node", id };
    }
  }
  const preAuthKeys = new Set(snapshot.preAuthKeys.map(({ key }) => key.id));
  for (const id of state.preAuthKeys.keys()) {
    if (!preAuthKeys.has(id)) {
      yield { kind: "delete-pre-auth-key", id };
    }
  }
  const apiKeys = new Set(snapshot.apiKeys.map(({ key }) => key.id));
  for (const id of state.apiKeys.keys()) {
    if (!apiKeys.has(id)) {
      yield { kind: "delete-api-key", id };
    }
  }
  const users = new Set(snapshot.users.map(({ id }) => id));
  for (const id of state.users.keys()) {
    if (!users.has(id)) {
      yield { kind: "delete-user", id };
    }
  }
}

function* additions(snapshot: Snapshot, state: TailnetState): Generator<Write> {
  for (const user of snapshot.users) {
    if (!sameJson(state.users.get(user.id), user)) {
      yield { kind: "put-user", user };
    }
  }
  for (const held of snapshot.preAuthKeys) {
    if (!sameJson(state.preAuthKeys.get(held.key.id), held)) {
      yield { kind: "put-pre-auth-key", ...held };
    }
  }
  for (const held of snapshot.apiKeys) {
    if (!sameJson(state.apiKeys.get(held.key.id), held)) {
      yield { kind: "put-api-key", ...held };
    }
  }
  for (const { record, presence } of snapshot.nodes) {
    const node = state.nodes.get(record.id);
    if (node === undefined || !sameJson(recordOf(node), record)) {
      yield { kind: "put-node", node: record, presence };
    }
  }
  for (const [key, value] of Object.entries(snapshot.settings)) {
    if (state.settings.get(key) !== value) {
      yield { kind: "put-setting", key, value };
    }
  }
}
