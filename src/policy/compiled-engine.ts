// The policy in force over a changing tailnet: keeps every node's entry, and what follows from it, up to date.
// The state after any sequence of changes equals that of an engine made afresh from the same policy, users and nodes.
import { equalAddr, formatPrefix, type Addr } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { CapMap, FilterRule, Json, SSHRule } from "../wire/tailcfg.ts";
import { Attributes } from "./attributes.ts";
import { emptyBits } from "./bits.ts";
import { ClassBook, type NodeClass } from "./classes.ts";
import { Directory } from "./directory.ts";
import type {
  PolicyChange,
  PolicyEffect,
  PolicyEngine,
  PolicyNode,
  PolicyUser,
  PolicyView,
  RouteShare,
} from "./engine.ts";
import { effectOf, Effects } from "./effects.ts";
import { EntryMaker, type Entry } from "./entries.ts";
import { isSmall } from "./filter-maker.ts";
import { Filters } from "./filters.ts";
import { IdentityBook } from "./identities.ts";
import type { Program } from "./program.ts";
import { RouteShares } from "./route-shares.ts";
import { SourceBook } from "./sources.ts";
import { SshRules } from "./ssh-rules.ts";
import { traitsKey, View, type ViewTraits } from "./views.ts";
import type { Positions } from "./problems.ts";

export interface EngineSettings {
  /** Start of check URLs (the server's own URL), without a slash at the end. */
  readonly checkBase: string;
  /** randomizeClientPort where the policy does not say. */
  readonly randomizeClientPort: boolean;
}

export interface Population {
  readonly users: Iterable<PolicyUser>;
  readonly nodes: Iterable<PolicyNode>;
}

const noSsh: readonly SSHRule[] = [];
const noFilter: readonly FilterRule[] = [];

export class CompiledEngine implements PolicyEngine {
  readonly program: Program;
  readonly positions: Positions;
  readonly directory: Directory;
  readonly sources: SourceBook;
  readonly ssh: SshRules;
  readonly attributes: Attributes;
  readonly #entries = new Map<NodeId, Entry>();
  readonly #identities: IdentityBook;
  readonly #classes = new ClassBook();
  readonly #maker: EntryMaker;
  readonly #filters: Filters;
  readonly #shares: RouteShares;
  readonly #routers = new Map<string, Set<Entry>>();
  readonly #userVersions = new Map<UserId, number>();
  readonly #exits = new Set<NodeId>();
  #ids: readonly NodeId[] | undefined;
  structure = 0;

  constructor(program: Program, positions: Positions, population: Population, settings: EngineSettings) {
    this.program = program;
    this.positions = positions;
    this.directory = new Directory(program.policy.groups, population.users);
    this.#identities = new IdentityBook(program, this.directory);
    this.#maker = new EntryMaker(program, this.#classes);
    this.sources = new SourceBook(program, this.#identities, () => this.#entries.values());
    this.ssh = new SshRules({ program, sources: this.sources, checkBase: settings.checkBase });
    this.attributes = new Attributes(program.policy, this.directory, settings.randomizeClientPort);
    this.#filters = new Filters({
      program,
      sources: this.sources,
      nodeCount: () => this.#entries.size,
      entriesOfUser: ({ identity }) => (identity.user === undefined ? [] : this.entriesOfUser(identity.user.id)),
      userVersion: ({ identity }) =>
        identity.user === undefined ? 0 : (this.#userVersions.get(identity.user.id) ?? 0),
    });
    this.#shares = new RouteShares({
      program,
      routersOf: (route) => this.#routers.get(route) ?? [],
      withoutIPv4: (node) => this.attributes.withoutIPv4(node),
    });
    for (const node of population.nodes) {
      this.#place(this.#make(node), undefined, new Effects());
    }
  }

  /* Questions of the parts */

  get selfReaches(): Program["selfReaches"] {
    return this.program.selfReaches;
  }

  entry(id: NodeId): Entry | undefined {
    return this.#entries.get(id);
  }

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  ids(): readonly NodeId[] {
    this.#ids ??= [...this.#entries.keys()].sort((x, y) => x - y);
    return this.#ids;
  }

  classes(): Iterable<NodeClass> {
    return this.#classes.all();
  }

  entriesOfUser(id: UserId): Iterable<Entry> {
    return this.#identities.entriesOfUser(id);
  }

  entriesIn(sets: readonly number[]): Iterable<Entry> {
    return this.#identities.entriesIn(sets);
  }

  exits(): Iterable<NodeId> {
    return this.#exits;
  }

  shareOf(view: View, peer: Entry): RouteShare {
    return this.#shares.of(view, peer);
  }

  /** An entry for a node as it is given, without taking it in. */
  makeEntry(node: PolicyNode): Entry {
    return this.#maker.make(node, this.#identities.of(node.user, node.tags), true);
  }

  /** The reaches with the node itself as source, and those with the networks behind it. */
  splitSource(entry: Entry): ReturnType<EntryMaker["splitSource"]> {
    return this.#maker.splitSource(entry);
  }

  /* Changes */

  apply(changes: readonly PolicyChange[]): PolicyEffect {
    const effects = new Effects();
    const routes = this.sources.routesVersion;
    const small = this.#isSmall();
    for (const change of changes) {
      switch (change.kind) {
        case "node":
          this.#replace(change.node, effects);
          break;
        case "node-removed":
          this.#remove(change.id, effects);
          break;
        case "user":
          this.#replaceUser(change.user.id, change.user, effects);
          break;
        case "user-removed":
          this.#replaceUser(change.id, undefined, effects);
          break;
      }
    }
    if (this.#identities.tagIdentities > 4 * this.#entries.size + 64) {
      this.#identities.prune();
    }
    if (this.sources.routesVersion !== routes) {
      this.program.anySources.forEach((id) => effects.sources.add(id));
    }
    if (small !== this.#isSmall() || (small && effects.sources.size > 0)) {
      // In a small tailnet the place of a rule depends on all others.
      this.ids().forEach((id) => effects.nodes.add(id));
    }
    return effectOf(effects, this);
  }

  #isSmall(): boolean {
    return isSmall({ program: this.program, nodeCount: () => this.#entries.size });
  }

  #make(node: PolicyNode): Entry {
    return this.#maker.make(node, this.#identities.of(node.user, node.tags));
  }

  #replace(node: PolicyNode, effects: Effects): void {
    const before = this.#entries.get(node.id);
    if (before !== undefined && this.program.viaReaches.length === 0 && differsInPrecedenceOnly(before.node, node)) {
      return;
    }
    this.#place(this.#make(node), before, effects);
  }

  #remove(id: NodeId, effects: Effects): void {
    const before = this.#entries.get(id);
    if (before !== undefined) {
      this.#place(undefined, before, effects);
      this.#filters.forget(id);
      this.ssh.forget(id);
    }
  }

  #replaceUser(id: UserId, user: PolicyUser | undefined, effects: Effects): void {
    for (const affected of this.directory.replace(id, user)) {
      const identity = this.#identities.forget(affected);
      for (const before of Array.from(identity?.entries ?? [])) {
        this.#place(this.#make(before.node), before, effects);
      }
    }
  }

  /** SSH rules show names of users and count tags, which no address tells. */
  #touchSsh(entry: Entry, effects: Effects): void {
    for (const { id } of this.program.sshSources) {
      if (entry.sources.includes(id)) {
        this.sources.stateById(id)?.touch();
        effects.sources.add(id);
      }
    }
  }

  /** Puts one state of a node in the place of another; undefined: there was none, there is none any more. */
  #place(after: Entry | undefined, before: Entry | undefined, effects: Effects): void {
    const id = after?.node.id ?? before?.node.id;
    if (id === undefined) {
      return;
    }
    this.#placeSources(after, before, effects);
    this.#placeRoutes(after, before, effects);
    if (after !== undefined && after.identity !== before?.identity) {
      this.#touchSsh(after, effects);
    }
    if (after !== undefined) {
      this.#entries.set(id, after);
      after.identity.entries.add(after);
      this.#classes.join(after.cls, id);
    } else {
      this.#entries.delete(id);
    }
    if (before !== undefined) {
      before.identity.entries.delete(before);
      if (before.cls !== after?.cls) {
        this.#classes.leave(before.cls, id);
      }
    }
    if (before === undefined || after === undefined) {
      this.#ids = undefined;
    }
    if (before?.cls !== after?.cls || before?.identity !== after?.identity) {
      this.structure += 1;
    }
    this.#touchUser(before, effects);
    this.#touchUser(after, effects);
    effects.nodes.add(id);
    effects.peers.add(id);
  }

  #placeSources(after: Entry | undefined, before: Entry | undefined, effects: Effects): void {
    const stays = (id: number): boolean =>
      before !== undefined && after !== undefined && this.#sameMember(id, before, after);
    for (const id of before?.sources ?? []) {
      if (before !== undefined && !stays(id)) {
        this.sources.stateById(id)?.leave(before);
        effects.sources.add(id);
      }
    }
    for (const id of after?.sources ?? []) {
      if (after !== undefined && !stays(id)) {
        this.sources.stateById(id)?.join(after);
        effects.sources.add(id);
      }
    }
  }

  /** Is the node in the source before and after, with the same addresses? */
  #sameMember(id: number, before: Entry, after: Entry): boolean {
    return (
      before.sources.includes(id) &&
      after.sources.includes(id) &&
      sameAddress(before.node.ipv4, after.node.ipv4) &&
      sameAddress(before.node.ipv6, after.node.ipv6) &&
      // Where a posture is asked for, being named by address or by owner and tags counts differently.
      (before.identity === after.identity || this.program.sources[id]?.postures.length === 0)
    );
  }

  #placeRoutes(after: Entry | undefined, before: Entry | undefined, effects: Effects): void {
    if (after !== undefined) {
      this.sources.addRoutes(after.subnets);
    }
    if (before !== undefined) {
      this.sources.removeRoutes(before.subnets);
      before.subnets.forEach((route) => this.#leaveRouters(formatPrefix(route), before, effects));
      this.#exits.delete(before.node.id);
    }
    if (after !== undefined) {
      after.subnets.forEach((route) => this.#routersNear(formatPrefix(route), effects).add(after));
      if (after.exit) {
        this.#exits.add(after.node.id);
      }
    }
  }

  #leaveRouters(route: string, before: Entry, effects: Effects): void {
    const routers = this.#routersNear(route, effects);
    routers.delete(before);
    if (routers.size === 0) {
      this.#routers.delete(route);
    }
  }

  /** How many prefixes have routers. */
  get routedPrefixes(): number {
    return this.#routers.size;
  }

  /** Routers of the prefix; steering may now choose another of them. */
  #routersNear(route: string, effects: Effects): Set<Entry> {
    let routers = this.#routers.get(route);
    if (routers === undefined) {
      routers = new Set();
      this.#routers.set(route, routers);
    }
    if (this.program.viaReaches.length > 0) {
      routers.forEach((router) => effects.peers.add(router.node.id));
    }
    return routers;
  }

  #touchUser(entry: Entry | undefined, effects: Effects): void {
    const id = entry?.identity.user?.id;
    if (this.program.hasSelf && id !== undefined) {
      this.#userVersions.set(id, (this.#userVersions.get(id) ?? 0) + 1);
      effects.users.add(id);
    }
  }

  /* Answers */

  get derpMap(): Json | undefined {
    return this.program.policy.derpMap;
  }

  viewOf(node: NodeId): PolicyView {
    const entry = this.#entries.get(node);
    if (entry === undefined) {
      return this.#viewIn(
        this.#classes.of(emptyBits(this.program.reaches.length), emptyBits(this.program.reaches.length)),
        {
          user: undefined,
          routes: [],
          withoutIPv4: false,
        },
      );
    }
    return this.viewOfEntry(entry);
  }

  viewOfEntry(entry: Entry): View {
    return this.#viewIn(entry.cls, {
      user: this.program.hasSelf ? entry.identity.user?.id : undefined,
      routes: entry.subnets,
      withoutIPv4: this.attributes.withoutIPv4(entry.node),
    });
  }

  #viewIn(cls: NodeClass, traits: ViewTraits): View {
    const key = traitsKey(traits);
    let view = cls.views.get(key);
    if (view === undefined) {
      view = new View(cls, traits, this);
      cls.views.set(key, view);
    }
    return view;
  }

  filterOf(node: NodeId): readonly FilterRule[] {
    const entry = this.#entries.get(node);
    return entry === undefined ? noFilter : this.#filters.of(entry);
  }

  sshOf(node: NodeId): readonly SSHRule[] {
    const entry = this.#entries.get(node);
    return entry === undefined ? noSsh : this.ssh.of(entry);
  }

  selfCaps(node: NodeId): CapMap {
    const entry = this.#entries.get(node);
    return entry === undefined ? {} : this.attributes.selfCaps(entry.node);
  }

  peerCaps(peer: NodeId): CapMap | undefined {
    const entry = this.#entries.get(peer);
    return entry === undefined ? undefined : this.attributes.peerCaps(entry.node);
  }

  autoApproved(
    node: PolicyNode,
    advertised: Parameters<PolicyEngine["autoApproved"]>[1],
  ): ReturnType<PolicyEngine["autoApproved"]> {
    return this.attributes.autoApproved(node, advertised);
  }

  /** May a node like this host the service without being asked about? */
  serviceApproved(node: PolicyNode, service: string): boolean {
    return this.attributes.serviceApproved(node, service);
  }

  mayTag(owner: Parameters<PolicyEngine["mayTag"]>[0], tag: string): boolean {
    return this.attributes.mayTag(owner, tag);
  }

  tagExists(tag: string): boolean {
    return this.attributes.tagExists(tag);
  }

  ipPools(node: PolicyNode): ReturnType<PolicyEngine["ipPools"]> {
    return this.attributes.ipPools(node);
  }

  sshCheckPeriod(src: NodeId, dst: NodeId, localUser: string): number | undefined {
    const from = this.#entries.get(src);
    const to = this.#entries.get(dst);
    return from === undefined || to === undefined ? undefined : this.ssh.firstCheck(from, to, localUser)?.checkPeriod;
  }
}

/** Are all other fields the very same? */
function differsInPrecedenceOnly(x: PolicyNode, y: PolicyNode): boolean {
  return (
    x.precedence !== y.precedence &&
    x.name === y.name &&
    x.user === y.user &&
    x.tags === y.tags &&
    x.ipv4 === y.ipv4 &&
    x.ipv6 === y.ipv6 &&
    x.routes === y.routes &&
    x.posture === y.posture
  );
}

function sameAddress(x: Addr | null, y: Addr | null): boolean {
  return x === y || (x !== null && y !== null && equalAddr(x, y));
}
