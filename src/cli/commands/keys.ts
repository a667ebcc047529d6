// Pre-auth keys and API keys.
import {
  CreateApiKey,
  CreatePreAuthKey,
  DeleteApiKey,
  DeletePreAuthKey,
  ExpireApiKey,
  ExpirePreAuthKey,
  ListApiKeys,
  ListPreAuthKeys,
} from "../../api/calls.ts";
import { ApiKey, PreAuthKey } from "../../api/messages.ts";
import type { ApiKeyValue, PreAuthKeyValue } from "../../api/messages.ts";
import { CliError } from "../cli-error.ts";
import type { Client } from "../client.ts";
import { expirationFrom, tableTime } from "../durations.ts";
import type { Invocation } from "../invocation.ts";
import { userId } from "../look-up.ts";
import { many, one, plain } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";
import type { Cell } from "../table.ts";

const defaultPreAuthKeyLife = "1h";
const defaultApiKeyLife = "90d";

function expiration(run: Invocation, fallback: string): { expiration: number | null; neverExpires: boolean } {
  const at = expirationFrom(run.flags.text("expiration") || fallback, run.io.now());
  return { expiration: at, neverExpires: at === null };
}

function expirationCell(run: Invocation, at: number | null): Cell {
  return at === null ? { text: "-" } : { text: tableTime(at), colour: at > run.io.now() ? "green" : "red" };
}

export async function createPreAuthKey(run: Invocation): Promise<void> {
  const { flags } = run;
  const life = expiration(run, defaultPreAuthKeyLife);
  const client = await run.client();
  const owner = flags.text("user");
  if (owner !== "" && !/^\d+$/.test(owner)) {
    run.note(`note: --user takes the user's id today; looking up ${JSON.stringify(owner)}`);
  }
  const input = {
    user: owner === "" ? 0 : await userId(client, owner, "creating preauthkey"),
    reusable: flags.on("reusable"),
    ephemeral: flags.on("ephemeral"),
    aclTags: flags.list("tags"),
    ...life,
  };
  const { preAuthKey } = await client.call(CreatePreAuthKey, input, "creating preauthkey");
  const key = preAuthKey ?? PreAuthKey.unset;
  run.answer(one(PreAuthKey, key), key.key);
}

export async function listPreAuthKeys(run: Invocation): Promise<void> {
  const client = await run.client();
  const { preAuthKeys } = await client.call(ListPreAuthKeys, {}, "listing preauthkeys");
  const owner = run.flags.text("user");
  if (owner !== "") {
    run.note("note: preauthkeys list shows the keys of all users today; filtering as asked");
  }
  const isShown = (key: PreAuthKeyValue): boolean =>
    owner === "" || key.user?.name === owner || String(key.user?.id) === owner;
  const shown = preAuthKeys.filter(isShown);
  run.answer(many(PreAuthKey, shown), () => preAuthKeyTable(run, shown));
}

function preAuthKeyTable(run: Invocation, keys: readonly PreAuthKeyValue[]): string {
  const header = ["ID", "Key/Prefix", "Reusable", "Ephemeral", "Used", "Expiration", "Created", "Owner"];
  const rows = keys.map((key) => [
    String(key.id),
    key.key,
    String(key.reusable),
    String(key.ephemeral),
    String(key.used),
    expirationCell(run, key.expiration),
    tableTime(key.createdAt),
    key.aclTags.length > 0 ? key.aclTags.join("\n") : (key.user?.name ?? "-"),
  ]);
  return renderTable(header, rows, tableStyle(run.io));
}

/** What stands of a key in lists; older headscales wanted the key itself in place of its id. */
const keyForm = /^hskey-auth-(.{12})-/;

/** --id; or, as an operand, the id or the key. */
async function keyId(run: Invocation, client: Client, doing: string): Promise<number> {
  const [operand = ""] = run.operands;
  const id = run.flags.number("id", /^\d+$/.test(operand) ? Number(operand) : 0);
  if (id !== 0) {
    return id;
  }
  const prefix = keyForm.exec(operand)?.[1];
  if (prefix === undefined) {
    const hint = operand === "" ? "" : `; "preauthkeys list" shows the ids of keys`;
    throw new CliError(`missing --id parameter: missing parameters${hint}`);
  }
  run.note(`note: keys are named by their id today: preauthkeys ${doing} --id ID`);
  const { preAuthKeys } = await client.call(ListPreAuthKeys, {}, "listing preauthkeys");
  const key = preAuthKeys.find(({ key: shown }) => keyForm.exec(shown)?.[1] === prefix);
  if (key === undefined) {
    throw new CliError(`there is no such key; "preauthkeys list" shows which there are`);
  }
  return key.id;
}

export async function expirePreAuthKey(run: Invocation): Promise<void> {
  const client = await run.client();
  const id = await keyId(run, client, "expire");
  await client.call(ExpirePreAuthKey, { id }, "expiring preauthkey");
  run.answer(plain({}), "Key expired");
}

export async function deletePreAuthKey(run: Invocation): Promise<void> {
  const client = await run.client();
  const id = await keyId(run, client, "delete");
  await client.call(DeletePreAuthKey, { id }, "deleting preauthkey");
  run.answer(plain({}), "Key deleted");
}

export async function createApiKey(run: Invocation): Promise<void> {
  const { flags } = run;
  for (const name of ["reusable", "ephemeral"]) {
    if (flags.given(name)) {
      run.note(
        `note: an API key is always reusable, --${name} does nothing; for a key that devices join with: preauthkeys create`,
      );
    }
  }
  const input = {
    ...expiration(run, defaultApiKeyLife),
    description: flags.text("description"),
    scopes: flags.list("scopes"),
  };
  const client = await run.client();
  const { apiKey } = await client.call(CreateApiKey, input, "creating api key");
  run.answer(plain(apiKey), apiKey);
}

export async function listApiKeys(run: Invocation): Promise<void> {
  const client = await run.client();
  const { apiKeys } = await client.call(ListApiKeys, {}, "listing api keys");
  run.answer(many(ApiKey, apiKeys), () => apiKeyTable(run, apiKeys));
}

function apiKeyTable(run: Invocation, keys: readonly ApiKeyValue[]): string {
  const described = keys.some((key) => key.description !== "" || key.scopes.length > 0);
  const header = ["ID", "Prefix", "Expiration", "Created", ...(described ? ["Scopes", "Description"] : [])];
  const rows = keys.map((key) => [
    String(key.id),
    key.prefix,
    expirationCell(run, key.expiration),
    tableTime(key.createdAt),
    ...(described ? [key.scopes.length === 0 ? "all" : key.scopes.join("\n"), key.description] : []),
  ]);
  return renderTable(header, rows, tableStyle(run.io));
}

interface ApiKeyChoice {
  readonly id: number;
  readonly prefix: string;
}

function apiKeyChoice(run: Invocation): ApiKeyChoice {
  const id = run.flags.number("id", 0);
  const prefix = run.flags.text("prefix");
  if (id === 0 && prefix === "") {
    throw new CliError("either --id or --prefix must be provided: missing parameters");
  }
  if (id !== 0 && prefix !== "") {
    throw new CliError("only one of --id or --prefix can be provided: missing parameters");
  }
  return { id, prefix };
}

export async function expireApiKey(run: Invocation): Promise<void> {
  const choice = apiKeyChoice(run);
  const client = await run.client();
  await client.call(ExpireApiKey, choice, "expiring api key");
  run.answer(plain({}), "Key expired");
}

export async function deleteApiKey(run: Invocation): Promise<void> {
  const choice = apiKeyChoice(run);
  const client = await run.client();
  // REST names the key by its prefix alone.
  const prefix = choice.id === 0 ? choice.prefix : await prefixOf(client, choice.id);
  await client.call(DeleteApiKey, { prefix }, "deleting api key");
  run.answer(plain({}), "Key deleted");
}

async function prefixOf(client: Client, id: number): Promise<string> {
  const { apiKeys } = await client.call(ListApiKeys, {}, "deleting api key");
  const found = apiKeys.find((key) => key.id === id);
  if (found === undefined) {
    throw new CliError("deleting api key: rpc error: code = Unknown desc = record not found");
  }
  return found.prefix;
}
