// Pre-auth keys and API keys. Where headscale makes a key that is dead from the start because no expiration was given,
// the command line's default is used instead.
import type { ApiKey } from "../tailnet/model.ts";
import type { PreAuthKeyId, UserId } from "../wire/ids.ts";
import {
  CreateApiKey,
  CreatePreAuthKey,
  DeleteApiKey,
  DeletePreAuthKey,
  ExpireApiKey,
  ExpirePreAuthKey,
  ListApiKeys,
  ListPreAuthKeys,
} from "./calls.ts";
import { operation } from "./operation.ts";
import type { Operation, OperationDeps } from "./operation.ts";
import { presentApiKey, presentPreAuthKey } from "./present.ts";
import { answer, refusal, refuse } from "./rpc-error.ts";
import type { Answer } from "./rpc-error.ts";
import { isScope, mayGrant } from "./scopes.ts";
import { givenTime } from "./timestamp.ts";
import { tagFault } from "../tailnet/tags.ts";

const hour = 3_600_000;
const defaultPreAuthKeyLife = hour;
const defaultApiKeyLife = 90 * 24 * hour;

const createPreAuthKey = operation(CreatePreAuthKey, async ({ tailnet, clock }, input, { actor }) => {
  const fault = input.aclTags.map(tagFault).find((text) => text !== undefined);
  if (fault !== undefined) {
    return refuse("InvalidArgument", fault);
  }
  const created = await tailnet.createPreAuthKey(actor, {
    user: input.user === 0 ? null : (input.user as UserId),
    reusable: input.reusable,
    ephemeral: input.ephemeral,
    tags: input.aclTags,
    expiration: input.neverExpires ? null : (givenTime(input.expiration) ?? clock.now() + defaultPreAuthKeyLife),
  });
  if (!created.ok) {
    return refusal(created.error, { "not-found": "Unknown", invalid: "Unknown" });
  }
  return answer({ preAuthKey: presentPreAuthKey(tailnet, created.value.key, created.value.secret) });
});

const listPreAuthKeys = operation(ListPreAuthKeys, ({ tailnet }) =>
  answer({ preAuthKeys: tailnet.preAuthKeys().map((key) => presentPreAuthKey(tailnet, key)) }),
);

/** Ending what is not there is done already: headscale answers so, and scripts rely on it. */
const expirePreAuthKey = operation(ExpirePreAuthKey, async ({ tailnet }, { id }, { actor }) => {
  const expired = await tailnet.expirePreAuthKey(actor, id as PreAuthKeyId);
  return expired.ok || expired.error.code === "not-found" ? answer({}) : refusal(expired.error);
});

const deletePreAuthKey = operation(DeletePreAuthKey, async ({ tailnet }, { id }, { actor }) => {
  const deleted = await tailnet.deletePreAuthKey(actor, id as PreAuthKeyId);
  return deleted.ok || deleted.error.code === "not-found" ? answer({}) : refusal(deleted.error);
});

const createApiKey = operation(CreateApiKey, async ({ tailnet, clock }, input, { actor, scopes }) => {
  const unknown = input.scopes.find((scope) => !isScope(scope));
  if (unknown !== undefined) {
    return refuse(
      "InvalidArgument",
      `unknown scope "${unknown.slice(0, 80)}"; scopes are read, write or <area>:read, <area>:write`,
    );
  }
  if (!mayGrant(scopes, input.scopes)) {
    return refuse("PermissionDenied", "an API key cannot create a key that may do more than it may itself");
  }
  const created = await tailnet.createApiKey(actor, {
    expiration: input.neverExpires ? null : (givenTime(input.expiration) ?? clock.now() + defaultApiKeyLife),
    description: input.description,
    scopes: input.scopes,
  });
  return created.ok ? answer({ apiKey: created.value.secret }) : refusal(created.error, { invalid: "InvalidArgument" });
});

const listApiKeys = operation(ListApiKeys, ({ tailnet }) => answer({ apiKeys: tailnet.apiKeys().map(presentApiKey) }));

/** Finds a key by exactly one of id and prefix; the prefix may be given in the masked form that lists show. */
function findApiKey(
  { tailnet }: OperationDeps,
  input: { readonly id: number; readonly prefix: string },
): Answer<ApiKey> {
  if (input.id !== 0 && input.prefix !== "") {
    return refuse("InvalidArgument", "provide either id or prefix, not both");
  }
  if (input.id === 0 && input.prefix === "") {
    return refuse("InvalidArgument", "must provide id or prefix");
  }
  const prefix = input.prefix.replace(/^hskey-api-/, "").replace(/-?\*\*\*$/, "");
  const found = tailnet.apiKeys().find((key) => (input.id === 0 ? key.prefix === prefix : key.id === input.id));
  return found === undefined ? refuse("Unknown", "record not found") : answer(found);
}

const expireApiKey = operation(ExpireApiKey, async (deps, input, { actor }) => {
  const found = findApiKey(deps, input);
  if (!found.ok) {
    return found;
  }
  const expired = await deps.tailnet.expireApiKey(actor, found.value.id);
  return expired.ok ? answer({}) : refusal(expired.error, { "not-found": "Unknown" });
});

const deleteApiKey = operation(DeleteApiKey, async (deps, input, { actor }) => {
  const found = findApiKey(deps, input);
  if (!found.ok) {
    return found;
  }
  const deleted = await deps.tailnet.deleteApiKey(actor, found.value.id);
  return deleted.ok ? answer({}) : refusal(deleted.error, { "not-found": "Unknown" });
});

export const keyOperations: readonly Operation[] = [
  createPreAuthKey,
  listPreAuthKeys,
  expirePreAuthKey,
  deletePreAuthKey,
  createApiKey,
  listApiKeys,
  expireApiKey,
  deleteApiKey,
];
