// Users, and what the policy calls them: tokens (login name, e-mail, provider id), groups, domains, roles.
// A token that fits a provider id means that user and no other; else it means the one user with that e-mail or name.
// A token that fits two users means nobody: an ambiguous name never grants anything.
import type { UserId } from "../wire/ids.ts";
import type { PolicyUser } from "./engine.ts";
import type { Group } from "./policy.ts";

export class Directory {
  readonly #users = new Map<UserId, PolicyUser>();
  readonly #byProvider = new Map<string, Set<UserId>>();
  readonly #byLogin = new Map<string, Set<UserId>>();
  readonly #groupsByToken = new Map<string, string[]>();
  readonly #groupsByDomain = new Map<string, string[]>();

  constructor(groups: ReadonlyMap<string, Group>, users: Iterable<PolicyUser>) {
    for (const [name, group] of groups) {
      group.tokens.forEach((token) => push(this.#groupsByToken, token, name));
      group.domains.forEach((domain) => push(this.#groupsByDomain, domain, name));
    }
    for (const user of users) {
      this.#users.set(user.id, user);
      this.#index(user);
    }
  }

  user(id: UserId): PolicyUser | undefined {
    return this.#users.get(id);
  }

  users(): Iterable<PolicyUser> {
    return this.#users.values();
  }

  /** Everybody the token could mean: one user, or the several that make it ambiguous. */
  candidates(token: string): readonly UserId[] {
    return [...(this.#byProvider.get(token) ?? this.#byLogin.get(token) ?? [])];
  }

  /** The one user a token means. */
  resolve(token: string): PolicyUser | undefined {
    const ids = this.#byProvider.get(token) ?? this.#byLogin.get(token);
    if (ids?.size !== 1) {
      return undefined;
    }
    const [id] = ids;
    return id === undefined ? undefined : this.#users.get(id);
  }

  /** The tokens that mean this user. */
  tokensOf(user: PolicyUser): readonly string[] {
    return tokenTexts(user).filter((token) => this.resolve(token)?.id === user.id);
  }

  /** Declared groups that list the user, and those an identity provider put the user in. */
  groupsOf(user: PolicyUser): ReadonlySet<string> {
    const groups = new Set(user.groups);
    for (const token of this.tokensOf(user)) {
      this.#groupsByToken.get(token)?.forEach((name) => groups.add(name));
    }
    const domain = domainOf(user);
    if (domain !== undefined) {
      this.#groupsByDomain.get(domain)?.forEach((name) => groups.add(name));
    }
    return groups;
  }

  /** Replaces, adds or (undefined) removes a user; names every user who may be called otherwise now, that one included. */
  replace(id: UserId, user: PolicyUser | undefined): ReadonlySet<UserId> {
    const before = this.#users.get(id);
    const affected = new Set<UserId>([id]);
    const note = (texts: readonly string[]): void => {
      for (const text of texts) {
        this.#byProvider.get(text)?.forEach((each) => affected.add(each));
        this.#byLogin.get(text)?.forEach((each) => affected.add(each));
      }
    };
    if (before !== undefined) {
      note(tokenTexts(before));
      this.#unindex(before);
      this.#users.delete(id);
    }
    if (user !== undefined) {
      this.#users.set(id, user);
      this.#index(user);
      note(tokenTexts(user));
    }
    return affected;
  }

  #index(user: PolicyUser): void {
    if (user.providerId !== "") {
      insert(this.#byProvider, user.providerId, user.id);
    }
    for (const login of [user.name, user.email]) {
      if (login !== "") {
        insert(this.#byLogin, login, user.id);
      }
    }
  }

  #unindex(user: PolicyUser): void {
    remove(this.#byProvider, user.providerId, user.id);
    remove(this.#byLogin, user.name, user.id);
    remove(this.#byLogin, user.email, user.id);
  }
}

function tokenTexts(user: PolicyUser): readonly string[] {
  return [...new Set([user.providerId, user.email, user.name])].filter((text) => text !== "");
}

/** The part of the e-mail address after the @, lower case. */
export function domainOf(user: PolicyUser): string | undefined {
  const at = user.email.lastIndexOf("@");
  return at === -1 ? undefined : user.email.slice(at + 1).toLowerCase();
}

/** The part of the e-mail address before the @. */
export function localpartOf(user: PolicyUser): string {
  return user.email.slice(0, Math.max(0, user.email.lastIndexOf("@")));
}

/** What a person would call the user. */
export function userLabel(user: PolicyUser): string {
  return user.email === "" ? `${user.name}@` : user.email;
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) {
    map.set(key, [value]);
  } else if (!list.includes(value)) {
    list.push(value);
  }
}

function insert(map: Map<string, Set<UserId>>, key: string, id: UserId): void {
  const ids = map.get(key);
  if (ids === undefined) {
    map.set(key, new Set([id]));
  } else {
    ids.add(id);
  }
}

function remove(map: Map<string, Set<UserId>>, key: string, id: UserId): void {
  const ids = map.get(key);
  ids?.delete(id);
  if (ids?.size === 0) {
    map.delete(key);
  }
}
