// SSH rules for each node as destination. Check rules come before accept rules: the first that matches decides.
// With `localpart:*@domain` every source user has rules of its own; and, as Tailscale has it, such a rule also lets
// people into the devices they come from.
import { compareAddr, formatAddr, type Addr } from "../ip/index.ts";
import type { NodeId } from "../wire/ids.ts";
import type { SSHAction, SSHPrincipal, SSHRule } from "../wire/tailcfg.ts";
import { addressText } from "./address-list.ts";
import { domainOf, localpartOf } from "./directory.ts";
import type { PolicyUser } from "./engine.ts";
import { addressesOf, type Entry } from "./entries.ts";
import { isInSet } from "./filter-destinations.ts";
import type { SshRule } from "./policy.ts";
import type { Program, Source } from "./program.ts";
import type { SourceBook } from "./sources.ts";

export interface SshWorld {
  readonly program: Program;
  readonly sources: SourceBook;
  /** Start of the URL a client asks when a rule says check; no slash at the end. */
  readonly checkBase: string;
}

/** The devices of one user (or all tagged machines) among the source of a rule. */
interface PrincipalGroup {
  /** Undefined: tagged machines. */
  readonly user: PolicyUser | undefined;
  readonly nodes: ReadonlySet<NodeId>;
  readonly principals: readonly SSHPrincipal[];
}

interface KeptGroups {
  readonly version: number;
  readonly groups: readonly PrincipalGroup[];
  readonly all: readonly SSHPrincipal[];
}

interface KeptRules {
  readonly entry: Entry;
  readonly stamp: number;
  readonly rules: readonly SSHRule[];
}

const recorderPort = 80;
const noRules: readonly SSHRule[] = [];

export class SshRules {
  readonly #world: SshWorld;
  /** Check before accept; the order of the text otherwise. */
  readonly #ordered: readonly SshRule[];
  readonly #groups = new Map<Source, KeptGroups>();
  readonly #kept = new Map<number, KeptRules>();

  constructor(world: SshWorld) {
    this.#world = world;
    const { ssh } = world.program.policy;
    this.#ordered = [
      ...ssh.filter(({ action }) => action === "check"),
      ...ssh.filter(({ action }) => action === "accept"),
    ];
  }

  forget(node: number): void {
    this.#kept.delete(node);
  }

  get isEmpty(): boolean {
    return this.#ordered.length === 0;
  }

  of(entry: Entry): readonly SSHRule[] {
    if (this.isEmpty) {
      return noRules;
    }
    const stamp = this.#stamp();
    const kept = this.#kept.get(entry.node.id);
    if (kept !== undefined && kept.entry === entry && kept.stamp === stamp) {
      return kept.rules;
    }
    const made = this.#ordered.flatMap((rule) => this.#rulesFor(rule, entry));
    const rules = made.length === 0 ? noRules : kept !== undefined && sameRules(kept.rules, made) ? kept.rules : made;
    this.#kept.set(entry.node.id, { entry, stamp, rules });
    return rules;
  }

  #stamp(): number {
    let stamp = 0;
    for (const source of this.#world.program.sshSources) {
      stamp += this.#world.sources.state(source).version;
    }
    for (const source of this.#world.program.recorderSources) {
      stamp += source === undefined ? 0 : this.#world.sources.state(source).version;
    }
    return stamp;
  }

  #sourceOf(rule: SshRule): Source {
    const source = this.#world.program.sshSources[rule.index];
    if (source === undefined) {
      throw new Error(`ssh rule ${rule.index} is not of this program`);
    }
    return source;
  }

  #groupsOf(source: Source): KeptGroups {
    const state = this.#world.sources.state(source);
    const kept = this.#groups.get(source);
    if (kept !== undefined && kept.version === state.version) {
      return kept;
    }
    const groups = groupPrincipals(state.members());
    const made = { version: state.version, groups, all: groups.flatMap(({ principals }) => principals) };
    this.#groups.set(source, made);
    return made;
  }

  isDestination(rule: SshRule, entry: Entry): boolean {
    return rule.dst.some((selector) => selector.kind === "nodes" && isInSet(entry, selector, this.#world.program));
  }

  #rulesFor(rule: SshRule, entry: Entry): readonly SSHRule[] {
    const { groups, all } = this.#groupsOf(this.#sourceOf(rule));
    const own = groups.find((group) => group.nodes.has(entry.node.id));
    const ownDevices = groups.filter((group) => group.user !== undefined && group.user.id === entry.identity.user?.id);
    const plain = this.isDestination(rule, entry);
    const made: SSHRule[] = [];
    if (rule.localparts.length > 0) {
      const groupsHere = plain ? groups : own !== undefined && rule.dst.length > 0 ? [ownGroup(own, entry)] : [];
      made.push(...groupsHere.flatMap((group) => this.#rulesOfGroup(rule, group)));
    } else if (plain && all.length > 0) {
      made.push(this.#rule(rule, all, commonUsers(rule)));
    }
    if (rule.self) {
      made.push(
        ...ownDevices.flatMap((group) =>
          rule.localparts.length > 0
            ? this.#rulesOfGroup(rule, group)
            : [this.#rule(rule, group.principals, commonUsers(rule))],
        ),
      );
    }
    return made;
  }

  #rulesOfGroup(rule: SshRule, group: PrincipalGroup): readonly SSHRule[] {
    const common = this.#rule(rule, group.principals, commonUsers(rule));
    const local = group.user === undefined ? undefined : localLogin(rule, group.user);
    return local === undefined ? [common] : [common, this.#rule(rule, group.principals, { [local]: local })];
  }

  #rule(rule: SshRule, principals: readonly SSHPrincipal[], sshUsers: Readonly<Record<string, string>>): SSHRule {
    return {
      principals,
      sshUsers,
      action: this.#action(rule),
      ...(rule.acceptEnv.length === 0 ? {} : { acceptEnv: rule.acceptEnv }),
    };
  }

  #action(rule: SshRule): SSHAction {
    const recording = this.#recording(rule);
    return rule.action === "accept"
      ? {
          accept: true,
          allowAgentForwarding: true,
          allowLocalPortForwarding: true,
          allowRemotePortForwarding: true,
          ...recording,
        }
      : {
          holdAndDelegate: `${this.#world.checkBase}/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER`,
          ...recording,
        };
  }

  #recording(rule: SshRule): SSHAction {
    const source = this.#world.program.recorderSources[rule.index];
    if (source === undefined) {
      return {};
    }
    const addresses: Addr[] = [
      ...source.prefixes.map(({ addr }) => addr),
      ...this.#world.sources
        .state(source)
        .members()
        .toSorted((x, y) => x.node.id - y.node.id)
        .flatMap((entry) => addressesOf(entry.node)),
    ];
    const recorders = addresses.map((addr) =>
      addr.family === 4 ? `${formatAddr(addr)}:${recorderPort}` : `[${formatAddr(addr)}]:${recorderPort}`,
    );
    return rule.enforceRecorder
      ? {
          recorders,
          onRecordingFailure: {
            RejectSessionWithMessage: "The session cannot be recorded, so it is not allowed.",
            TerminateSessionWithMessage: "The session is no longer recorded, so it ends.",
          },
        }
      : { recorders };
  }

  /** The first check rule by which `from` may log in to `to` as this user. */
  firstCheck(from: Entry, to: Entry, login: string): SshRule | undefined {
    return this.#ordered.find((rule) => rule.action === "check" && this.admits(rule, from, to, login));
  }

  /** All rules in the order in which they are tried. */
  ordered(): readonly SshRule[] {
    return this.#ordered;
  }

  /** Does this rule let `from` log in to `to` as this user? */
  admits(rule: SshRule, from: Entry, to: Entry, login: string): boolean {
    return this.admitsNode(rule, from, to) && admitsLogin(rule, from.identity.user, login);
  }

  /**
   * One node for each set of nodes that no SSH rule tells apart: those of the same sources and destinations, and, where
   * rules look at who somebody is, of the same owner. (A tagged machine that may log in to itself alone, as the source
   * of a rule with local parts, is taken for one that may not.)
   */
  distinct(entries: readonly Entry[]): readonly Entry[] {
    const sources = this.#world.program.sshSources.map(({ id }) => id);
    const personal = this.#ordered.some(({ self, localparts }) => self || localparts.length > 0);
    const found = new Map<string, Entry>();
    for (const entry of entries) {
      const from = sources.map((id) => (entry.sources.includes(id) ? "1" : "0")).join("");
      const to = this.#ordered.map((rule) => (this.isDestination(rule, entry) ? "1" : "0")).join("");
      const { user } = entry.identity;
      const who = user !== undefined && personal ? `user ${user.id}` : "";
      const key = `${from} ${to} ${who}`;
      if (!found.has(key)) {
        found.set(key, entry);
      }
    }
    return [...found.values()];
  }

  /** Does the rule lead from the one node to the other, whoever logs in? */
  admitsNode(rule: SshRule, from: Entry, to: Entry): boolean {
    if (!from.sources.includes(this.#sourceOf(rule).id)) {
      return false;
    }
    const own = from.identity.user !== undefined && from.identity.user.id === to.identity.user?.id;
    // Where people go by the local part of their e-mail, the rule also holds between the devices of each source.
    const sameGroup = own || from.node.id === to.node.id;
    const back =
      rule.localparts.length > 0 && rule.dst.length > 0 && sameGroup && to.sources.includes(this.#sourceOf(rule).id);
    return this.isDestination(rule, to) || (rule.self && own) || back;
  }
}

/** May a source with this owner log in under this name? */
export function admitsLogin(rule: SshRule, user: PolicyUser | undefined, login: string): boolean {
  if (login === "root") {
    return rule.root || (user !== undefined && localLogin(rule, user) === "root");
  }
  return rule.nonroot || rule.logins.includes(login) || (user !== undefined && localLogin(rule, user) === login);
}

function localLogin(rule: SshRule, user: PolicyUser): string | undefined {
  const domain = domainOf(user);
  const local = localpartOf(user);
  return domain !== undefined && local !== "" && rule.localparts.includes(domain) ? local : undefined;
}

/** root is named always: never left to what clients make of `*` (protocol §4.10). */
function commonUsers(rule: SshRule): Readonly<Record<string, string>> {
  return Object.fromEntries([
    ...(rule.nonroot ? [["*", "="] as const] : []),
    ["root", rule.root ? "root" : ""] as const,
    ...rule.logins.map((login) => [login, login] as const),
  ]);
}

/** Where a rule lets people into the devices they come from: a person's devices, of tagged machines each its own. */
function ownGroup(group: PrincipalGroup, entry: Entry): PrincipalGroup {
  return group.user === undefined
    ? { ...group, principals: addressesOf(entry.node).map((addr) => ({ nodeIP: addressText(addr) })) }
    : group;
}

/** Users by id, each one's addresses ascending; then tagged machines, repeated once for every tag they carry. */
function groupPrincipals(members: readonly Entry[]): readonly PrincipalGroup[] {
  const byUser = new Map<number, Entry[]>();
  for (const entry of members) {
    const key = entry.identity.user?.id ?? 0;
    const list = byUser.get(key);
    if (list === undefined) {
      byUser.set(key, [entry]);
    } else {
      list.push(entry);
    }
  }
  // 0, the tagged ones, comes last.
  const keys = [...byUser.keys()].sort((x, y) => (x === 0 ? 1 : y === 0 ? -1 : x - y));
  return keys.map((key) => {
    const entries = (byUser.get(key) ?? []).toSorted((x, y) => x.node.id - y.node.id);
    return {
      user: entries[0]?.identity.user,
      nodes: new Set(entries.map(({ node }) => node.id)),
      principals: principalsOf(entries),
    };
  });
}

function principalsOf(entries: readonly Entry[]): readonly SSHPrincipal[] {
  const found: { readonly addr: Addr; readonly times: number }[] = [];
  for (const entry of entries) {
    const times = Math.max(1, entry.identity.tags.length);
    addressesOf(entry.node).forEach((addr) => found.push({ addr, times }));
  }
  found.sort((x, y) => compareAddr(x.addr, y.addr));
  return found.flatMap(({ addr, times }) => Array.from({ length: times }, () => ({ nodeIP: addressText(addr) })));
}

function sameRules(x: readonly SSHRule[], y: readonly SSHRule[]): boolean {
  return (
    x.length === y.length &&
    x.every((rule, index) => {
      const other = y[index];
      return (
        other !== undefined &&
        (rule.principals === other.principals ||
          JSON.stringify(rule.principals) === JSON.stringify(other.principals)) &&
        JSON.stringify([rule.sshUsers, rule.action, rule.acceptEnv]) ===
          JSON.stringify([other.sshUsers, other.action, other.acceptEnv])
      );
    })
  );
}
