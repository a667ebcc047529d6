// Pre-auth and API keys of a headscale database (headscale.md §3.3, §5.1, §7.2). Plaintext keys are hashed here and
// never written again; bcrypt hashes are carried over and replaced on first use.
import type { ApiKey, PreAuthKey } from "../../tailnet/model.ts";
import type { StoredSecret } from "../../tailnet/store.ts";
import type { ApiKeyId, PreAuthKeyId, UserId } from "../../wire/ids.ts";
import { deadlineOf, flagOf, idOf, jsonOf, textOf, timeOf } from "./legacy-values.ts";
import type { Row } from "./legacy-values.ts";
import type { Report } from "./report.ts";

/** SHA-256 in hex, passed in so that this stays a pure conversion. */
export type HashText = (text: string) => string;

export interface ConvertedPreAuthKey {
  readonly key: PreAuthKey;
  readonly secret: StoredSecret;
}
export interface ConvertedApiKey {
  readonly key: ApiKey;
  readonly secret: StoredSecret;
}

/** Matches no secret: a hash is never empty. */
const unopenable: StoredSecret = { algorithm: "sha256", hash: "" };
/** headscale's cost is 10, and each step doubles the work: a damaged one could keep the server busy for days. */
const bcryptHash = /^\$2[abxy]\$(?:0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$/;

/** Prefix → the key that is found by it: the one with the lowest id, as headscale asks its database. */
type Prefixes = Map<string, number>;

export function convertPreAuthKeys(
  rows: readonly Row[],
  users: ReadonlySet<number>,
  hash: HashText,
  report: Report,
): readonly ConvertedPreAuthKey[] {
  const prefixes: Prefixes = new Map();
  return rows.flatMap((row) => convertPreAuthKey(row, users, hash, prefixes, report) ?? []);
}

function convertPreAuthKey(
  row: Row,
  users: ReadonlySet<number>,
  hash: HashText,
  prefixes: Prefixes,
  report: Report,
): ConvertedPreAuthKey | undefined {
  const id = idOf(row["id"]);
  if (id === undefined) {
    report.add("set-aside", "pre-auth key", "its id is not a positive number");
    return undefined;
  }
  const subject = `pre-auth key ${id}`;
  const stored = textOf(row["prefix"]);
  const twin = stored === "" ? undefined : prefixes.get(stored);
  const prefix = twin === undefined ? stored : "";
  prefixes.set(stored, twin ?? id);
  const secret = (twin === undefined ? preAuthSecret(row, hash) : undefined) ?? unopenable;
  if (twin !== undefined) {
    report.add(
      "odd",
      subject,
      `has the same prefix as pre-auth key ${twin}, so nothing can open it; nodes that used it keep working`,
    );
  } else if (secret === unopenable) {
    report.add(
      "odd",
      subject,
      "has neither a key nor a readable hash, so nothing can open it; nodes that used it keep working",
    );
  }
  if (secret.algorithm === "sha256-legacy") {
    report.add("changed", subject, "was stored in plain text; only its hash is kept, the key goes on working");
  }
  const owner = idOf(row["user_id"]);
  if (owner !== undefined && !users.has(owner)) {
    report.add("repaired", subject, `belonged to user ${owner}, who does not exist`);
  }
  const expiration = deadlineOf(row["expiration"]);
  if (expiration === undefined) {
    report.add("repaired", subject, "its expiration cannot be read; it counts as expired");
  }
  return {
    key: {
      id: id as PreAuthKeyId,
      prefix,
      userId: owner !== undefined && users.has(owner) ? (owner as UserId) : null,
      reusable: flagOf(row["reusable"]),
      ephemeral: flagOf(row["ephemeral"]),
      used: flagOf(row["used"]),
      tags: tagsOf(row["tags"], subject, report),
      expiration: expiration === undefined ? 0 : expiration,
      createdAt: timeOf(row["created_at"]) ?? 0,
    },
    secret,
  };
}

function preAuthSecret(row: Row, hash: HashText): StoredSecret | undefined {
  const bcrypt = textOf(row["hash"]);
  if (textOf(row["prefix"]) !== "" && bcryptHash.test(bcrypt)) {
    return { algorithm: "bcrypt", hash: bcrypt };
  }
  const plain = textOf(row["key"]);
  return plain === "" ? undefined : { algorithm: "sha256-legacy", hash: hash(plain) };
}

/** Sorted, deduplicated tags; what is not a list counts as none, and what is no text is left out. Both are reported. */
export function tagsOf(value: unknown, subject: string, report: Report): readonly string[] {
  const list = jsonOf(value);
  if (list === null) {
    return [];
  }
  if (!Array.isArray(list)) {
    report.add("repaired", subject, "its tags cannot be read; it counts as untagged");
    return [];
  }
  const tags = list.filter((tag): tag is string => typeof tag === "string" && tag !== "");
  if (tags.length < list.length) {
    report.add("repaired", subject, `what is no tag among its tags was left out: ${JSON.stringify(list)}`);
  }
  return [...new Set(tags)].sort();
}

export function convertApiKeys(rows: readonly Row[], report: Report): readonly ConvertedApiKey[] {
  const prefixes: Prefixes = new Map();
  return rows.flatMap((row) => convertApiKey(row, prefixes, report) ?? []);
}

function convertApiKey(row: Row, prefixes: Prefixes, report: Report): ConvertedApiKey | undefined {
  const id = idOf(row["id"]);
  const prefix = textOf(row["prefix"]);
  const hash = textOf(row["hash"]);
  const subject = `API key ${id ?? "?"}`;
  if (id === undefined || prefix === "" || !bcryptHash.test(hash)) {
    report.add("set-aside", subject, "its prefix or hash is damaged, so it could never be used");
    return undefined;
  }
  const twin = prefixes.get(prefix);
  if (twin !== undefined) {
    report.add("set-aside", subject, `has the same prefix as API key ${twin}, so it could never be used`);
    return undefined;
  }
  prefixes.set(prefix, id);
  const expiration = deadlineOf(row["expiration"]);
  if (expiration === undefined) {
    report.add("repaired", subject, "its expiration cannot be read; it counts as expired");
  }
  const key: ApiKey = {
    id: id as ApiKeyId,
    prefix,
    expiration: expiration === undefined ? 0 : expiration,
    createdAt: timeOf(row["created_at"]) ?? 0,
    lastSeen: timeOf(row["last_seen"]) ?? null,
    description: "",
    scopes: [],
  };
  return { key, secret: { algorithm: "bcrypt", hash } };
}
