// How an address comes to match a selector of a rule, in words: through which user, group, tag, host, route.
// Written against the selectors themselves, not the engine's indexes, so that each answer stands on its own.
import { formatPrefix, prefixContains, type Addr, type Prefix } from "../ip/index.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import { domainOf, userLabel } from "./directory.ts";
import { addressesOf, type Entry } from "./entries.ts";
import { internetSet, tailnetSet } from "./networks.ts";
import { meetsCondition, type Posture } from "./postures.ts";
import type { NodeSet, Selector } from "./selectors.ts";

/** A sender or receiver: an address, and the node it belongs to if it is a node's own. */
export interface Party {
  readonly addr: Addr;
  readonly entry: Entry | undefined;
}

/** One way by which a selector holds. */
export interface Match {
  /** As written in the policy. */
  readonly selector: string;
  readonly at: number;
  /** `tag:web`, `ann@a.example, a member of group:dev`, `10.1.0.0/16, routed by gw` … */
  readonly through: string;
}

function match(selector: Selector, through: string): Match {
  return { selector: selector.text, at: selector.at, through };
}

/** How this party is among a node set; undefined: it is not. */
export function throughSet(engine: CompiledEngine, entry: Entry, set: NodeSet): string | undefined {
  const { user, tags } = entry.identity;
  switch (set.kind) {
    case "tag":
      return tags.includes(set.name) ? `${entry.node.name} has ${set.name}` : undefined;
    case "tagged":
      return tags.length > 0 ? `${entry.node.name} is tagged (${tags.join(", ")})` : undefined;
    case "shared":
      return undefined;
    case "member":
    case "role":
    case "user":
    case "domain":
    case "group":
      return user === undefined ? undefined : throughUser(engine, entry, user, set);
  }
}

function throughUser(
  engine: CompiledEngine,
  entry: Entry,
  user: NonNullable<Entry["identity"]["user"]>,
  set: Exclude<NodeSet, { kind: "tag" } | { kind: "tagged" } | { kind: "shared" }>,
): string | undefined {
  const owner = `${entry.node.name} belongs to ${userLabel(user)}`;
  switch (set.kind) {
    case "member":
      return owner;
    case "role":
      return user.role === set.role ? `${owner}, whose role is ${user.role}` : undefined;
    case "user":
      return engine.directory.resolve(set.token)?.id === user.id ? owner : undefined;
    case "domain":
      return domainOf(user) === set.domain ? owner : undefined;
    case "group":
      return engine.directory.groupsOf(user).has(set.name)
        ? `${owner}, a member of ${set.name}${user.groups.includes(set.name) ? " by the identity provider" : ""}`
        : undefined;
  }
}

/** How the party is a source by this selector, whatever postures the rule asks for. */
export function matchSource(
  engine: CompiledEngine,
  selector: Selector,
  party: Party,
  routed: boolean,
): Match | undefined {
  switch (selector.kind) {
    case "any":
      return matchWildcard(engine, selector, party, routed);
    case "danger-all":
      return match(selector, "every address");
    case "nodes": {
      const through = party.entry === undefined ? undefined : throughSet(engine, party.entry, selector.set);
      return through === undefined ? undefined : match(selector, through);
    }
    case "addresses": {
      const prefix = selector.prefixes.find((each) => prefixContains(each, party.addr));
      return prefix === undefined ? undefined : match(selector, addressText(selector, prefix));
    }
    case "internet":
    case "self":
      return undefined;
  }
}

function addressText(selector: Selector, prefix: Prefix): string {
  const text = formatPrefix(prefix);
  return selector.text === text ? text : `${selector.text} is ${text}`;
}

function matchWildcard(engine: CompiledEngine, selector: Selector, party: Party, routed: boolean): Match | undefined {
  if (tailnetSet.contains(party.addr)) {
    return match(selector, "an address of the tailnet");
  }
  if (!routed) {
    return undefined;
  }
  for (const entry of engine.entries()) {
    const route = entry.subnets.find((each) => prefixContains(each, party.addr));
    if (route !== undefined) {
      return match(selector, `${formatPrefix(route)}, an approved route of ${entry.node.name}`);
    }
  }
  return undefined;
}

/** How packets for `dst` that arrive at `at` fall under this destination; `sender` matters to autogroup:self alone. */
export function matchDestination(
  engine: CompiledEngine,
  selector: Selector,
  via: readonly string[],
  to: { readonly at: Entry; readonly dst: Addr; readonly own: boolean },
  sender: Party,
): Match | undefined {
  const { at, dst, own } = to;
  const { name } = at.node;
  if (via.length > 0) {
    return matchSteered(selector, via, at, dst);
  }
  switch (selector.kind) {
    case "any":
      return match(selector, own ? name : `what ${name} routes`);
    case "danger-all":
      return undefined;
    case "internet":
      return at.exit && internetSet.contains(dst)
        ? match(selector, `the internet through ${name}, an exit node`)
        : undefined;
    case "self": {
      const user = at.identity.user;
      const same = user !== undefined && sender.entry?.identity.user?.id === user.id;
      return own && same ? match(selector, `${name} is another device of ${userLabel(user)}`) : undefined;
    }
    case "nodes": {
      const through = own ? throughSet(engine, at, selector.set) : undefined;
      return through === undefined ? undefined : match(selector, through);
    }
    case "addresses": {
      const prefix = selector.prefixes.find((each) => prefixContains(each, dst));
      return prefix === undefined
        ? undefined
        : match(selector, own ? addressText(selector, prefix) : `${addressText(selector, prefix)}, routed by ${name}`);
    }
  }
}

function matchSteered(selector: Selector, via: readonly string[], at: Entry, dst: Addr): Match | undefined {
  const tag = via.find((each) => at.identity.tags.includes(each));
  if (tag === undefined) {
    return undefined;
  }
  const through = `via ${at.node.name}, which has ${tag}`;
  if (selector.kind === "internet") {
    return at.exit && internetSet.contains(dst) ? match(selector, `the internet ${through}`) : undefined;
  }
  if (selector.kind === "any") {
    return at.exit || at.subnets.length > 0 ? match(selector, through) : undefined;
  }
  if (selector.kind !== "addresses") {
    return undefined;
  }
  const prefix = selector.prefixes.find(
    (each) =>
      prefixContains(each, dst) &&
      at.subnets.some((route) =>
        route.bits <= each.bits ? prefixContains(route, each.addr) : prefixContains(each, route.addr),
      ),
  );
  return prefix === undefined ? undefined : match(selector, `${formatPrefix(prefix)} ${through}`);
}

/** The first of the postures that the node meets; a rule without postures is met by everybody. */
export function postureMet(postures: readonly Posture[], party: Party): Posture | undefined {
  const { entry } = party;
  return entry === undefined
    ? undefined
    : postures.find((posture) =>
        posture.conditions.every((condition) => meetsCondition(condition, entry.node.posture)),
      );
}

/** The conditions that keep the node from each posture. */
export function postureFailures(postures: readonly Posture[], party: Party): readonly string[] {
  const { entry } = party;
  if (entry === undefined) {
    return ["postures can only be met by nodes of the tailnet"];
  }
  return postures.map((posture) => {
    const missing = posture.texts.filter((_, index) => {
      const condition = posture.conditions[index];
      return condition !== undefined && !meetsCondition(condition, entry.node.posture);
    });
    return `${entry.node.name} does not meet ${posture.name}: ${missing.join("; ")}`;
  });
}

/** The node that has this address. */
export function nodeOf(engine: CompiledEngine, addr: Addr): Entry | undefined {
  for (const entry of engine.entries()) {
    if (addressesOf(entry.node).some((own) => sameAddr(own, addr))) {
      return entry;
    }
  }
  return undefined;
}

function sameAddr(x: Addr, y: Addr): boolean {
  return prefixContains({ addr: x, bits: x.family === 4 ? 32 : 128 }, y);
}
