// Commands on users. Uniqueness is headscale's (§5.1): a local name once, a provider identity once.
import type { UserRole } from "../policy/engine.ts";
import type { UserId } from "../wire/ids.ts";
import type { Planner } from "./commit-queue.ts";
import type { Actor, CommandError } from "./contract.ts";
import type { User } from "./model.ts";
import type { Plan } from "./plan.ts";
import type { TailnetState } from "./state.ts";

export interface NewUser {
  readonly name: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly profilePicUrl?: string;
  readonly providerId?: string;
  readonly provider?: string;
  readonly role?: UserRole;
}

export interface UserPatch {
  readonly name?: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly profilePicUrl?: string;
  readonly groups?: readonly string[];
}

const maxText = 1024;
export const userNotFound: CommandError = { code: "not-found", text: "user not found" };

function textFault(user: Omit<User, "id">): CommandError | undefined {
  if (user.name === "" && user.providerId === "") {
    return { code: "invalid", text: "user name must not be empty" };
  }
  for (const text of [user.name, user.displayName, user.email, user.profilePicUrl, user.providerId, user.provider]) {
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    if (text.length > maxText || /[\u0000-\u001f\u007f]/.test(text)) {
      return { code: "invalid", text: "a user's texts must be short and without control characters" };
    }
  }
  return undefined;
}

/** The clash that storing `user` would make, in the words of headscale's database. One without an id is new. */
function clash(plan: Plan, user: Omit<User, "id"> & { readonly id?: UserId }): CommandError | undefined {
  if (user.providerId === "") {
    const taken = plan.usersNamed(user.name).some((other) => other.providerId === "" && other.id !== user.id);
    return taken
      ? { code: "conflict", text: "constraint failed: UNIQUE constraint failed: users.name (2067)" }
      : undefined;
  }
  const other = plan.userOfProvider(user.providerId);
  return other !== undefined && other.id !== user.id
    ? { code: "conflict", text: "constraint failed: UNIQUE constraint failed: users.provider_identifier (2067)" }
    : undefined;
}

function shown(user: User): object {
  return { name: user.name, displayName: user.displayName, email: user.email, role: user.role, groups: user.groups };
}

export function createUser(state: TailnetState, actor: Actor, input: NewUser): Planner<User> {
  return (plan) => {
    const draft: Omit<User, "id"> = {
      name: input.name,
      displayName: input.displayName ?? "",
      email: input.email ?? "",
      providerId: input.providerId ?? "",
      provider: input.provider ?? "",
      profilePicUrl: input.profilePicUrl ?? "",
      role: input.role ?? "member",
      groups: [],
      createdAt: plan.now,
    };
    const error = textFault(draft) ?? clash(plan, draft);
    if (error !== undefined) {
      return { ok: false, error };
    }
    // Ids are set aside only for those who come into being: scripts count on them following each other.
    const user: User = { id: plan.nextUserId(), ...draft };
    plan.putUser(user);
    plan.audit(actor, "user.create", `user:${user.id}`, undefined, shown(user));
    return { ok: true, value: () => state.users.get(user.id) ?? user };
  };
}

/** Changes what is given and leaves the rest; refuses what would clash. */
function changeUser(
  state: TailnetState,
  actor: Actor,
  action: string,
  id: UserId,
  change: (user: User) => User,
): Planner<User> {
  return (plan) => {
    const before = plan.user(id);
    if (before === undefined) {
      return { ok: false, error: userNotFound };
    }
    const after = change(before);
    const error = textFault(after) ?? clash(plan, after);
    if (error !== undefined) {
      return { ok: false, error };
    }
    if (JSON.stringify(after) !== JSON.stringify(before)) {
      plan.putUser(after);
      plan.audit(actor, action, `user:${id}`, shown(before), shown(after));
    }
    return { ok: true, value: () => state.users.get(id) ?? after };
  };
}

export function renameUser(state: TailnetState, actor: Actor, id: UserId, name: string): Planner<User> {
  return changeUser(state, actor, "user.rename", id, (user) => ({ ...user, name }));
}

export function setUserRole(state: TailnetState, actor: Actor, id: UserId, role: UserRole): Planner<User> {
  return changeUser(state, actor, "user.role", id, (user) => ({ ...user, role }));
}

export function updateUser(state: TailnetState, actor: Actor, id: UserId, patch: UserPatch): Planner<User> {
  return changeUser(state, actor, "user.update", id, (user) => ({
    ...user,
    name: patch.name ?? user.name,
    displayName: patch.displayName ?? user.displayName,
    email: patch.email ?? user.email,
    profilePicUrl: patch.profilePicUrl ?? user.profilePicUrl,
    groups: patch.groups === undefined ? user.groups : [...new Set(patch.groups)].sort(),
  }));
}

export function deleteUser(actor: Actor, id: UserId): Planner<void> {
  return (plan) => {
    const user = plan.user(id);
    if (user === undefined) {
      return { ok: false, error: userNotFound };
    }
    if (plan.ownsNodes(id)) {
      return { ok: false, error: { code: "conflict", text: "user not empty: node(s) found" } };
    }
    for (const keyId of plan.preAuthKeysOf(id)) {
      const held = plan.preAuthKey(keyId);
      if (held !== undefined) {
        plan.deletePreAuthKey(held.key);
        plan.audit(actor, "auth-key.delete", `auth-key:${keyId}`, held.key, undefined);
      }
    }
    plan.deleteUser(user);
    plan.audit(actor, "user.delete", `user:${id}`, shown(user), undefined);
    return { ok: true, value: () => undefined };
  };
}
