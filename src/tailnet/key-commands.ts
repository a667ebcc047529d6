// Commands on pre-auth keys and API keys, and the doors that their secrets open.
import type { ApiKeyId, PreAuthKeyId, UserId } from "../wire/ids.ts";
import type { Planner } from "./commit-queue.ts";
import type { Actor, CommandError } from "./contract.ts";
import type { ApiKey, PreAuthKey } from "./model.ts";
import type { SecretTools } from "./options.ts";
import { isSaneSecretText, newSecret, type SecretChecker, splitLegacyApiKey, splitSecret } from "./secrets.ts";
import type { HeldApiKey, HeldPreAuthKey, TailnetState } from "./state.ts";
import { checkTags } from "./tags.ts";
import { userNotFound } from "./user-commands.ts";

export interface NewPreAuthKey {
  readonly user: UserId | null;
  readonly reusable: boolean;
  readonly ephemeral: boolean;
  readonly tags: readonly string[];
  readonly expiration: number | null;
}

const recordNotFound: CommandError = { code: "not-found", text: "record not found" };

export function createPreAuthKey(
  tools: SecretTools,
  actor: Actor,
  input: NewPreAuthKey,
): Planner<{ key: PreAuthKey; secret: string }> {
  return (plan) => {
    const tags = checkTags(input.tags);
    if (!tags.ok) {
      return tags;
    }
    if (input.user === null && tags.tags.length === 0) {
      return { ok: false, error: { code: "invalid", text: "auth-key must be either tagged or owned by user" } };
    }
    if (input.user !== null && plan.user(input.user) === undefined) {
      return { ok: false, error: userNotFound };
    }
    const secret = newSecret("auth", tools);
    const key: PreAuthKey = {
      id: plan.nextPreAuthKeyId(),
      prefix: secret.prefix,
      userId: input.user,
      reusable: input.reusable,
      ephemeral: input.ephemeral,
      used: false,
      tags: tags.tags,
      expiration: input.expiration,
      createdAt: plan.now,
    };
    plan.putPreAuthKey(key, secret.stored);
    plan.audit(actor, "auth-key.create", `auth-key:${key.id}`, undefined, key);
    return { ok: true, value: () => ({ key, secret: secret.text }) };
  };
}

/** Succeeds silently for a key that does not exist, as headscale does (§2.5). */
export function expirePreAuthKey(actor: Actor, id: PreAuthKeyId): Planner<void> {
  return (plan) => {
    const held = plan.preAuthKey(id);
    if (held !== undefined && (held.key.expiration === null || held.key.expiration > plan.now)) {
      plan.putPreAuthKey({ ...held.key, expiration: plan.now });
      plan.audit(
        actor,
        "auth-key.expire",
        `auth-key:${id}`,
        { expiration: held.key.expiration },
        { expiration: plan.now },
      );
    }
    return { ok: true, value: () => undefined };
  };
}

/** Nodes that the key let in stay; they forget the key. Silent for a key that does not exist. */
export function deletePreAuthKey(actor: Actor, id: PreAuthKeyId): Planner<void> {
  return (plan) => {
    const held = plan.preAuthKey(id);
    if (held !== undefined) {
      plan.deletePreAuthKey(held.key);
      plan.audit(actor, "auth-key.delete", `auth-key:${id}`, held.key, undefined);
    }
    return { ok: true, value: () => undefined };
  };
}

export interface NewApiKey {
  readonly expiration: number | null;
  readonly description?: string;
  readonly scopes?: readonly string[];
}

const maxDescription = 1024;
const maxScopes = 64;

export function createApiKey(
  tools: SecretTools,
  actor: Actor,
  input: NewApiKey,
): Planner<{ key: ApiKey; secret: string }> {
  return (plan) => {
    const description = input.description ?? "";
    const scopes = input.scopes ?? [];
    if (description.length > maxDescription || scopes.length > maxScopes) {
      return { ok: false, error: { code: "invalid", text: "description or scopes too long" } };
    }
    const secret = newSecret("api", tools);
    const key: ApiKey = {
      id: plan.nextApiKeyId(),
      prefix: secret.prefix,
      expiration: input.expiration,
      createdAt: plan.now,
      lastSeen: null,
      description,
      scopes,
    };
    plan.putApiKey(key, secret.stored);
    plan.audit(actor, "api-key.create", `api-key:${key.id}`, undefined, key);
    return { ok: true, value: () => ({ key, secret: secret.text }) };
  };
}

export function expireApiKey(actor: Actor, id: ApiKeyId): Planner<void> {
  return (plan) => {
    const held = plan.apiKey(id);
    if (held === undefined) {
      return { ok: false, error: recordNotFound };
    }
    plan.putApiKey({ ...held.key, expiration: plan.now });
    plan.audit(actor, "api-key.expire", `api-key:${id}`, { expiration: held.key.expiration }, { expiration: plan.now });
    return { ok: true, value: () => undefined };
  };
}

export function deleteApiKey(actor: Actor, id: ApiKeyId): Planner<void> {
  return (plan) => {
    const held = plan.apiKey(id);
    if (held === undefined) {
      return { ok: false, error: recordNotFound };
    }
    plan.deleteApiKey(id);
    plan.audit(actor, "api-key.delete", `api-key:${id}`, held.key, undefined);
    return { ok: true, value: () => undefined };
  };
}

/** The pre-auth key that this text opens, whether it may still be used or not; undefined when there is none. */
export function findPreAuthKey(
  state: TailnetState,
  tools: SecretTools,
  checker: SecretChecker,
  text: string,
): HeldPreAuthKey | undefined {
  if (!isSaneSecretText(text)) {
    return undefined;
  }
  const split = splitSecret("auth", text);
  const id =
    split === undefined ? state.preAuthKeyByHash.get(tools.sha256(text)) : state.preAuthKeyByPrefix.get(split.prefix);
  const held = id === undefined ? undefined : state.preAuthKeys.get(id);
  return held !== undefined && checker.opens(split?.secret ?? text, held.secret) ? held : undefined;
}

/** The API key that this text opens, live or not. */
export function findApiKey(state: TailnetState, checker: SecretChecker, text: string): HeldApiKey | undefined {
  const split = splitSecret("api", text) ?? splitLegacyApiKey(text);
  const id = split === undefined ? undefined : state.apiKeyByPrefix.get(split.prefix);
  const held = id === undefined ? undefined : state.apiKeys.get(id);
  return split !== undefined && held !== undefined && checker.opens(split.secret, held.secret) ? held : undefined;
}

/** Replaces an imported slow hash by a fast one over the secret that just opened it. */
export function rehashPreAuthKey(tools: SecretTools, id: PreAuthKeyId, text: string): Planner<void> {
  return (plan) => {
    const held = plan.preAuthKey(id);
    const split = splitSecret("auth", text);
    if (held?.secret.algorithm === "bcrypt" && split !== undefined) {
      plan.putPreAuthKey(held.key, { algorithm: "sha256", hash: tools.sha256(split.secret) });
    }
    return { ok: true, value: () => undefined };
  };
}

/** As above; also notes when the key was last used. */
export function touchApiKey(tools: SecretTools, id: ApiKeyId, lastSeen: number, text?: string): Planner<void> {
  return (plan) => {
    const held = plan.apiKey(id);
    const split = text === undefined ? undefined : (splitSecret("api", text) ?? splitLegacyApiKey(text));
    if (held !== undefined) {
      const rehash = held.secret.algorithm === "bcrypt" && split !== undefined;
      plan.putApiKey(
        { ...held.key, lastSeen },
        rehash ? { algorithm: "sha256", hash: tools.sha256(split.secret) } : undefined,
      );
    }
    return { ok: true, value: () => undefined };
  };
}
