// Users and policies of a headscale database. Ids and provider identifiers are kept as they are.
import type { PolicyVersion } from "../../tailnet/contract.ts";
import type { User } from "../../tailnet/model.ts";
import { setByHeadscale } from "../../tailnet/taken-over.ts";
import type { UserId } from "../../wire/ids.ts";
import { deadlineOf, idOf, textOf, timeOf, year1 } from "./legacy-values.ts";
import type { Row } from "./legacy-values.ts";
import type { Report } from "./report.ts";

export function convertUsers(rows: readonly Row[], cleanProviders: boolean, report: Report): readonly User[] {
  const live = rows.flatMap((row) => liveUser(row, cleanProviders, report) ?? []);
  const byProvider = new Map<string, number>();
  const local = live.map((user) => {
    const twin = byProvider.get(user.providerId);
    if (user.providerId === "" || twin === undefined) {
      byProvider.set(user.providerId, user.id);
      return user;
    }
    report.add("repaired", subjectOf(user.id, user.name), `has the same provider identifier as user ${twin}; lost it`);
    return { ...user, providerId: "" };
  });
  // Who bears a name rightly keeps it, also before somebody whose new name it would be.
  const taken = new Map<string, number>();
  for (const { id, name, providerId } of local) {
    if (providerId === "" && name !== "" && !taken.has(name)) {
      taken.set(name, id);
    }
  }
  return local.map((user) => named(user, taken, report));
}

function liveUser(row: Row, cleanProvider: boolean, report: Report): User | undefined {
  const id = idOf(row["id"]);
  const name = textOf(row["name"]);
  if (id === undefined) {
    report.add("set-aside", subjectOf("?", name), "its id is not a positive number");
    return undefined;
  }
  if (row["deleted_at"] !== null && row["deleted_at"] !== undefined) {
    report.add("set-aside", subjectOf(id, name), "was deleted in headscale");
    return undefined;
  }
  const providerId = textOf(row["provider_identifier"]);
  return {
    id: id as UserId,
    name,
    displayName: textOf(row["display_name"]),
    email: textOf(row["email"]),
    providerId: cleanProvider ? cleanedIdentifier(providerId) : providerId,
    provider: textOf(row["provider"]),
    profilePicUrl: textOf(row["profile_pic_url"]),
    role: "member",
    groups: [],
    createdAt: deadlineOf(row["created_at"]) ?? year1,
  };
}

function subjectOf(id: number | string, name: string): string {
  return `user ${id} (${name})`;
}

/**
 * Names are unique among those who did not come from a provider; nobody is without one. Whom a provider gave none that
 * headscale could use goes by what headscale shows instead.
 */
function named(user: User, taken: Map<string, number>, report: Report): User {
  const { id, name, email, providerId } = user;
  if (name === "" && providerId !== "") {
    return { ...user, name: email === "" ? providerId : email };
  }
  const twin = providerId === "" ? taken.get(name) : undefined;
  if (name !== "" && (twin === undefined || twin === id)) {
    return user;
  }
  const wish = name === "" ? `user-${id}` : `${name}-${id}`;
  let free = wish;
  for (let count = 2; taken.has(free); count++) {
    free = `${wish}-${count}`;
  }
  taken.set(free, id);
  const fault = name === "" || twin === undefined ? "had no name" : `has the same name as user ${twin}`;
  report.add("repaired", subjectOf(id, name), `${fault}; it is now ${JSON.stringify(free)}`);
  return { ...user, name: free };
}

/** What stands as it is in the path of a URL that Go writes; all else it escapes. */
const escaped = /[^A-Za-z0-9\-_.~$&+,/:;=@!'()*[\]%?#]/gu;

/**
 * A provider's identifier as headscale 0.26 and later write it: without the doubled slashes and blanks that older ones
 * could leave between issuer and subject. Who logs in again is recognised by it.
 */
export function cleanedIdentifier(text: string): string {
  const trimmed = text.trim();
  const [, scheme = "", rest = trimmed] = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)(.*)$/s.exec(trimmed) ?? [];
  const parts = rest
    .split("/")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const joined = parts.join("/");
  return joined === "" || scheme === "" ? joined : scheme.toLowerCase() + joined.replace(escaped, encodeURIComponent);
}

/** Every stored version in order; the highest id is in force. One without text means "no policy", as headscale reads it. */
export function convertPolicies(rows: readonly Row[], report: Report): readonly PolicyVersion[] {
  const versions = rows
    .flatMap((row) => {
      const id = idOf(row["id"]);
      if (id === undefined || (row["deleted_at"] !== null && row["deleted_at"] !== undefined)) {
        return [];
      }
      const setAt = timeOf(row["updated_at"]) ?? timeOf(row["created_at"]) ?? 0;
      return [{ id, text: textOf(row["data"]), setAt, setBy: setByHeadscale }];
    })
    .sort((a, b) => a.id - b.id);
  const newest = versions.at(-1);
  if (newest?.text.trim() === "") {
    report.add("odd", `policy version ${newest.id}`, "is empty, which means no policy: everybody may reach everybody");
  }
  return versions;
}
