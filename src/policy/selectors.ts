// What stands in src, dst, target, owner and via lists: users, groups, tags, hosts, addresses, autogroups …
// A selector is either a set of nodes (found by whose and what they are), or addresses as written.
import { parsePrefixOrAddr, type Prefix } from "../ip/index.ts";
import type { UserRole } from "./engine.ts";
import type { Located } from "./source.ts";
import { startsLikeTag } from "./tag-names.ts";
import { didYouMean, hostHint } from "./name-hints.ts";
import type { Hint } from "./problems.ts";

/** Roles that an autogroup is named after. */
export type RoleGroup = Exclude<UserRole, "member">;

/** Sets of nodes that follow from who owns a node and which tags it has. */
export type NodeSet =
  /** A token: login name, e-mail or provider id. */
  | { readonly kind: "user"; readonly token: string }
  | { readonly kind: "domain"; readonly domain: string }
  | { readonly kind: "group"; readonly name: string }
  | { readonly kind: "tag"; readonly name: string }
  | { readonly kind: "member" }
  | { readonly kind: "tagged" }
  | { readonly kind: "shared" }
  | { readonly kind: "role"; readonly role: RoleGroup };

export type Selector = { readonly text: string; readonly at: number } & (
  | { readonly kind: "any" }
  | { readonly kind: "danger-all" }
  | { readonly kind: "internet" }
  | { readonly kind: "self" }
  | { readonly kind: "nodes"; readonly set: NodeSet }
  | {
      readonly kind: "addresses";
      readonly from: "literal" | "host" | "ipset" | "service";
      readonly prefixes: readonly Prefix[];
    }
);

/** The names a policy declares, as far as selectors may use them. */
export interface Declared {
  readonly groups: ReadonlySet<string>;
  /** Groups that are not declared are taken as empty: an identity provider may fill them again. */
  readonly anyGroup: boolean;
  readonly tags: ReadonlySet<string>;
  readonly hosts: ReadonlyMap<string, Prefix>;
  readonly ipsets: ReadonlyMap<string, readonly Prefix[]>;
  readonly services: ReadonlyMap<string, readonly Prefix[]>;
  /** Domains that `user:*@domain` may name; undefined: any. */
  readonly domains: ReadonlySet<string> | undefined;
}

export type SelectorResult =
  | { readonly ok: true; readonly selector: Selector }
  | { readonly ok: false; readonly error: string; readonly hint?: Hint };

const roleGroups: ReadonlyMap<string, RoleGroup> = new Map([
  ["autogroup:owner", "owner"],
  ["autogroup:admin", "admin"],
  ["autogroup:it-admin", "it-admin"],
  ["autogroup:network-admin", "network-admin"],
  ["autogroup:billing-admin", "billing-admin"],
  ["autogroup:auditor", "auditor"],
]);

/** Every autogroup that may stand somewhere in a policy. */
export const autogroupNames: readonly string[] = [
  "autogroup:internet",
  "autogroup:member",
  "autogroup:tagged",
  "autogroup:self",
  "autogroup:danger-all",
  "autogroup:nonroot",
  "autogroup:shared",
  ...roleGroups.keys(),
];

/** The part of a token that is matched: `alice@` is the user named alice. */
export function userToken(text: string): string {
  return text.endsWith("@") ? text.slice(0, -1) : text;
}

/**
 * Reads one selector. The order is Tailscale's: address or prefix, `*`, anything with `@`, then by its beginning, then
 * the name of a host. Where a selector may stand is not decided here.
 */
export function parseSelector({ text, at }: Located, declared: Declared): SelectorResult {
  const ok = (selector: Parameters<typeof make>[1]): SelectorResult => ({
    ok: true,
    selector: make({ text, at }, selector),
  });
  const prefix = parsePrefixOrAddr(text);
  if (prefix !== undefined) {
    return ok({ kind: "addresses", from: "literal", prefixes: [prefix] });
  }
  if (text === "*") {
    return ok({ kind: "any" });
  }
  if (text.startsWith("user:*@")) {
    return parseDomain({ text, at }, declared);
  }
  if (text.includes("@")) {
    return ok({ kind: "nodes", set: { kind: "user", token: userToken(text) } });
  }
  if (text.startsWith("group:")) {
    return declared.anyGroup || declared.groups.has(text)
      ? ok({ kind: "nodes", set: { kind: "group", name: text } })
      : {
          ok: false,
          error: `group not defined in policy: ${JSON.stringify(text)}`,
          hint: () => didYouMean(text, declared.groups, "groups are declared in groups"),
        };
  }
  if (text.startsWith("tag:")) {
    return declared.tags.has(text)
      ? ok({ kind: "nodes", set: { kind: "tag", name: text } })
      : {
          ok: false,
          error: `tag not found: ${JSON.stringify(text)}`,
          hint: () => didYouMean(text, declared.tags, "tags are declared in tagOwners"),
        };
  }
  if (text.startsWith("autogroup:")) {
    return parseAutogroup({ text, at });
  }
  if (text.startsWith("ipset:")) {
    const prefixes = declared.ipsets.get(text);
    return prefixes === undefined
      ? {
          ok: false,
          error: `ipset not defined in policy: ${JSON.stringify(text)}`,
          hint: () => didYouMean(text, declared.ipsets.keys(), "sets are declared in ipsets"),
        }
      : ok({ kind: "addresses", from: "ipset", prefixes });
  }
  if (text.startsWith("svc:")) {
    return ok({ kind: "addresses", from: "service", prefixes: declared.services.get(text) ?? [] });
  }
  return parseHost({ text, at }, declared);
}

type SelectorBody = Selector extends infer Each ? (Each extends Selector ? Omit<Each, "text" | "at"> : never) : never;

function make(place: Located, body: SelectorBody): Selector {
  return { ...body, text: place.text, at: place.at };
}

function parseHost(place: Located, declared: Declared): SelectorResult {
  const name = place.text.startsWith("host:") ? place.text.slice("host:".length) : place.text;
  const prefix = declared.hosts.get(name);
  if (prefix !== undefined) {
    return { ok: true, selector: make(place, { kind: "addresses", from: "host", prefixes: [prefix] }) };
  }
  if (name.includes(":")) {
    return { ok: false, error: `invalid alias format: ${JSON.stringify(place.text)}` };
  }
  return {
    ok: false,
    error: `host not defined in policy: ${JSON.stringify(place.text)}`,
    hint: () => hostHint(name, declared.hosts.keys()),
  };
}

function parseDomain(place: Located, declared: Declared): SelectorResult {
  const domain = place.text.slice("user:*@".length).toLowerCase();
  const problem = domainProblem(domain, declared);
  return problem === undefined
    ? { ok: true, selector: make(place, { kind: "nodes", set: { kind: "domain", domain } }) }
    : { ok: false, error: problem };
}

/** Why `user:*@domain` and `localpart:*@domain` may not name this domain. */
export function domainProblem(domain: string, declared: Declared): string | undefined {
  if (domain === "" || domain.includes("@")) {
    return `invalid domain in user:*@<domain> expression: ${JSON.stringify(domain)}`;
  }
  return declared.domains === undefined || declared.domains.has(domain.toLowerCase())
    ? undefined
    : `${domain} is not associated with this Tailnet and cannot be used in user:*@<domain> expressions`;
}

function parseAutogroup(place: Located): SelectorResult {
  const ok = (body: SelectorBody): SelectorResult => ({ ok: true, selector: make(place, body) });
  const role = roleGroups.get(place.text);
  if (role !== undefined) {
    return ok({ kind: "nodes", set: { kind: "role", role } });
  }
  switch (place.text) {
    case "autogroup:internet":
      return ok({ kind: "internet" });
    case "autogroup:self":
      return ok({ kind: "self" });
    case "autogroup:danger-all":
      return ok({ kind: "danger-all" });
    case "autogroup:member":
    // The name of the first version of the language.
    case "autogroup:members":
      return ok({ kind: "nodes", set: { kind: "member" } });
    case "autogroup:tagged":
      return ok({ kind: "nodes", set: { kind: "tagged" } });
    case "autogroup:shared":
      return ok({ kind: "nodes", set: { kind: "shared" } });
    default:
      return {
        ok: false,
        error: `invalid autogroup: got ${JSON.stringify(place.text)}, must be one of [${autogroupNames.join(" ")}]`,
        hint: () => didYouMean(place.text, autogroupNames),
      };
  }
}

/** Why this is no name for a tag in tagOwners or via. */
export function tagNameProblem(text: string): string | undefined {
  if (!text.startsWith("tag:")) {
    return `tag must start with 'tag:', got: ${JSON.stringify(text)}`;
  }
  return startsLikeTag(text) ? undefined : "tag names must start with a letter, after 'tag:'";
}

/** A service that nobody offers (yet): the rule that names it is kept and opens nothing. */
export function isEmptyService(selector: Selector): boolean {
  return selector.kind === "addresses" && selector.from === "service" && selector.prefixes.length === 0;
}

/** For explanations: as written, and what is the matter with it. */
export function selectorName(selector: Selector): string {
  return isEmptyService(selector) ? `${selector.text} (which has no addresses)` : selector.text;
}

/** A key that is equal exactly when the two select the same. */
export function selectorKey(selector: Selector): string {
  switch (selector.kind) {
    case "any":
    case "danger-all":
    case "internet":
    case "self":
      return selector.kind;
    case "nodes":
      return nodeSetKey(selector.set);
    case "addresses":
      return `addresses ${selector.text}`;
  }
}

export function nodeSetKey(set: NodeSet): string {
  switch (set.kind) {
    case "user":
      return `user ${set.token}`;
    case "domain":
      return `domain ${set.domain}`;
    case "group":
    case "tag":
      return set.name;
    case "role":
      return `role ${set.role}`;
    case "member":
    case "tagged":
    case "shared":
      return set.kind;
  }
}
