// Who is in the tailnet as the policy knows it: users and nodes by id, and the sorted list of node ids.
import type { NodeId, UserId } from "../wire/ids.ts";
import type { PolicyChange, PolicyNode, PolicyUser, UserRole } from "./engine.ts";

export class Roster {
  readonly #users = new Map<UserId, PolicyUser>();
  readonly #nodes = new Map<NodeId, PolicyNode>();
  #ids: readonly NodeId[] | undefined;

  constructor(users: Iterable<PolicyUser>, nodes: Iterable<PolicyNode>) {
    for (const user of users) {
      this.#users.set(user.id, user);
    }
    for (const node of nodes) {
      this.#nodes.set(node.id, node);
    }
  }

  apply(change: PolicyChange): void {
    switch (change.kind) {
      case "node":
        if (!this.#nodes.has(change.node.id)) {
          this.#ids = undefined;
        }
        this.#nodes.set(change.node.id, change.node);
        return;
      case "node-removed":
        if (this.#nodes.delete(change.id)) {
          this.#ids = undefined;
        }
        return;
      case "user":
        this.#users.set(change.user.id, change.user);
        return;
      case "user-removed":
        this.#users.delete(change.id);
        return;
    }
  }

  node(id: NodeId): PolicyNode | undefined {
    return this.#nodes.get(id);
  }

  roleOf(id: UserId | null): UserRole | undefined {
    return id === null ? undefined : this.#users.get(id)?.role;
  }

  nodes(): Iterable<PolicyNode> {
    return this.#nodes.values();
  }

  users(): Iterable<PolicyUser> {
    return this.#users.values();
  }

  /** Ascending; the same array while no node came or went. */
  ids(): readonly NodeId[] {
    this.#ids ??= [...this.#nodes.keys()].sort((a, b) => a - b);
    return this.#ids;
  }
}
