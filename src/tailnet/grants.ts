// What a credential allows a registering machine to become: whose it is, with which tags, for how long. Tags that the
// machine asks for are all permitted or the credential grants nothing.
import type { PreAuthKeyId, UserId } from "../wire/ids.ts";
import type { CommandError, Credential, Registration, Result } from "./contract.ts";
import type { PreAuthKey, RegisterMethod } from "./model.ts";
import type { Plan } from "./plan.ts";
import { checkTags, tagsNotPermitted } from "./tags.ts";

/** A credential after its secret was looked up. */
export type Proof =
  | { readonly kind: "auth-key"; readonly id: PreAuthKeyId | undefined }
  | Extract<Credential, { readonly kind: "approved" }>;

/** Who the node will belong to, and what it may be. */
export interface Grant {
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

export function grantOf(plan: Plan, registration: Registration, proof: Proof): Result<Grant> {
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
