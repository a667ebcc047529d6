// `hawser policy explain`: may X reach Y, and why or why not. Names are node names, addresses, users, groups or tags;
// every node they stand for is looked at, up to a bound. Plain data comes out; others print it.
import { formatAddr, formatPrefix, isExitRoute, parseAddr, prefixContains, type Addr } from "../ip/index.ts";
import type { NodeId } from "../wire/ids.ts";
import { allowAllPopulation } from "./allow-all.ts";
import { compilePolicy } from "./compile.ts";
import { CompiledEngine } from "./compiled-engine.ts";
import { userLabel } from "./directory.ts";
import type { PolicyEngine } from "./engine.ts";
import { addressesOf, type Entry } from "./entries.ts";
import { nodeOf, throughSet, type Party } from "./explain-match.ts";
import { explainPacket, type PacketExplanation, type RulePlace } from "./explain-packet.ts";
import { internetSet } from "./networks.ts";
import type { SshAction, SshRule } from "./policy.ts";
import { parsePorts, parseProtocol } from "./ports.ts";
import { nearest } from "./problems.ts";
import { userToken, type NodeSet } from "./selectors.ts";
import { admitsLogin } from "./ssh-rules.ts";

export interface ExplainQuery {
  readonly src: string;
  /** With or without `:port`. */
  readonly dst: string;
  /** Name or number; "" or absent: any. */
  readonly protocol?: string;
  /** Ask for Tailscale SSH as this user, too. */
  readonly sshUser?: string;
}

/** An end of a connection, as people know it. */
export interface End {
  readonly node: NodeId | undefined;
  readonly name: string;
  readonly address: string;
  /** E-mail or login of the owner; undefined for tagged machines and addresses of no node. */
  readonly user: string | undefined;
  readonly tags: readonly string[];
}

export interface SshExplanation {
  readonly allowed: boolean;
  readonly action: SshAction | undefined;
  /** Milliseconds; 0: asked every time. For `check`. */
  readonly checkPeriod: number | undefined;
  readonly by: (RulePlaceSsh & { readonly source: string }) | undefined;
  readonly misses: readonly (RulePlaceSsh & { readonly text: string })[];
  /** May the packets get there at all (TCP 22)? */
  readonly network: boolean;
}
type RulePlaceSsh = Omit<RulePlace, "section">;

export interface PairExplanation extends PacketExplanation {
  readonly src: End;
  readonly dst: End;
  readonly port: number | undefined;
  readonly protocol: number | undefined;
  /** The router that the packets go through, when the destination is behind one. */
  readonly through: { readonly name: string; readonly route: string } | undefined;
  /** Is the destination (or its router) told to the source at all? */
  readonly visible: boolean;
  readonly ssh: SshExplanation | undefined;
}

export type Explanation =
  | {
      readonly ok: true;
      readonly pairs: readonly PairExplanation[];
      /** Pairs that were left out because there are too many. */
      readonly more: number;
    }
  | { readonly ok: false; readonly error: string; readonly hint?: string };

/** Pairs looked at for one question. */
const maxPairs = 50;

export function explain(given: PolicyEngine, query: ExplainQuery): Explanation {
  const engine = explainable(given);
  if (engine === undefined) {
    return { ok: false, error: "no policy was ever good, so nothing is allowed between nodes" };
  }
  const { name, port } = splitPort(engine, query.dst);
  const protocol = query.protocol === undefined || query.protocol === "" ? undefined : parseProtocol(query.protocol);
  if (protocol?.ok === false) {
    return { ok: false, error: protocol.error };
  }
  const sources = findParties(engine, query.src);
  const targets = findParties(engine, name);
  if (sources.length === 0 || targets.length === 0) {
    return notFound(engine, sources.length === 0 ? query.src : name);
  }
  const pairs: PairExplanation[] = [];
  let more = 0;
  for (const src of sources) {
    for (const dst of targets) {
      if (sameNode(src, dst) && sources.length * targets.length > 1) {
        continue;
      }
      if (pairs.length >= maxPairs) {
        more += 1;
        continue;
      }
      pairs.push(
        explainPair(engine, src, dst, port, protocol?.ok === true ? protocol.value : undefined, query.sshUser),
      );
    }
  }
  return { ok: true, pairs, more };
}

/** Without a policy the language's default is in force: the tailnet and its routes may go everywhere. */
function explainable(engine: PolicyEngine): CompiledEngine | undefined {
  if (engine instanceof CompiledEngine) {
    return engine;
  }
  const population = allowAllPopulation(engine);
  if (population === undefined) {
    return undefined;
  }
  const compiled = compilePolicy("{}", {
    users: [...population.users],
    nodes: [...population.nodes],
    settings: { serverUrl: "" },
  });
  return compiled.ok && compiled.engine instanceof CompiledEngine ? compiled.engine : undefined;
}

/** What a name stands for: addresses to try, one kind at least. */
type Named = { readonly entry: Entry } | { readonly addr: Addr };

function sameNode(x: Named, y: Named): boolean {
  return "entry" in x && "entry" in y && x.entry === y.entry;
}

function splitPort(engine: CompiledEngine, text: string): { readonly name: string; readonly port: number | undefined } {
  if (findParties(engine, text).length > 0) {
    return { name: text, port: undefined };
  }
  const colon = text.lastIndexOf(":");
  const ports = colon === -1 ? undefined : parsePorts(text.slice(colon + 1));
  const range = ports?.ok === true ? ports.value[0] : undefined;
  if (range === undefined) {
    return { name: text, port: undefined };
  }
  const name = text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { name, port: range.first === range.last ? range.first : undefined };
}

/** By id, name, address, user, group or tag, in that order. */
function findParties(engine: CompiledEngine, text: string): readonly Named[] {
  const addr = parseAddr(text);
  if (addr !== undefined) {
    const entry = nodeOf(engine, addr);
    return entry === undefined ? [{ addr }] : [{ entry }];
  }
  const all = [...engine.entries()].sort((x, y) => x.node.id - y.node.id);
  const byName = all.filter(({ node }) => node.name === text || String(node.id) === text);
  if (byName.length > 0) {
    return byName.map((entry) => ({ entry }));
  }
  const set = nodeSetOf(engine, text);
  return set === undefined
    ? []
    : all.filter((entry) => throughSet(engine, entry, set) !== undefined).map((entry) => ({ entry }));
}

function nodeSetOf(engine: CompiledEngine, text: string): NodeSet | undefined {
  if (text.startsWith("tag:")) {
    return { kind: "tag", name: text };
  }
  if (text.startsWith("group:")) {
    return { kind: "group", name: text };
  }
  if (text === "autogroup:member") {
    return { kind: "member" };
  }
  if (text === "autogroup:tagged") {
    return { kind: "tagged" };
  }
  const token = userToken(text);
  return engine.directory.resolve(token) === undefined ? undefined : { kind: "user", token };
}

function notFound(engine: CompiledEngine, text: string): Explanation {
  const names = [...engine.entries()].map(({ node }) => node.name);
  const near = nearest(text, names);
  return {
    ok: false,
    error: `${JSON.stringify(text)} is no node, address, user, group or tag with nodes in this tailnet`,
    ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
  };
}

/** Where a packet goes in, and what for. */
interface Way {
  readonly src: Party;
  readonly dst: Addr;
  readonly at: Entry;
  readonly own: boolean;
  readonly route: string;
}

function explainPair(
  engine: CompiledEngine,
  from: Named,
  to: Named,
  port: number | undefined,
  protocol: number | undefined,
  sshUser: string | undefined,
): PairExplanation {
  const ways = waysBetween(engine, from, to);
  const judged = ways.map((way) => ({
    way,
    result: explainPacket(engine, { src: way.src, dst: way.dst, at: way.at, port, protocol }, way.own),
  }));
  const best = judged.find(({ result }) => result.allowed) ?? judged[0];
  const result = best?.result ?? {
    allowed: false,
    by: [],
    misses: [],
    reasons: [noWay(to)],
  };
  const viewer = "entry" in from ? from.entry : undefined;
  return {
    ...result,
    src: endOf(from, best?.way.src.addr),
    dst: endOf(to, best?.way.dst),
    port,
    protocol,
    through: best === undefined || best.way.own ? undefined : { name: best.way.at.node.name, route: best.way.route },
    visible: viewer !== undefined && best !== undefined && engine.viewOfEntry(viewer).sees(best.way.at.node.id),
    ssh:
      sshUser === undefined || !("entry" in from && "entry" in to)
        ? undefined
        : explainLogin(engine, from.entry, to.entry, sshUser),
  };
}

function noWay(to: Named): string {
  return "entry" in to
    ? "the two have no addresses of one family in common"
    : `no node has this address, and no approved route of any node leads to it`;
}

/** Every pair of addresses of one family, through every router that leads there. */
function waysBetween(engine: CompiledEngine, from: Named, to: Named): readonly Way[] {
  const sources: readonly Party[] =
    "entry" in from
      ? addressesOf(from.entry.node).map((addr) => ({ addr, entry: from.entry }))
      : [{ addr: from.addr, entry: undefined }];
  const targets: readonly { readonly dst: Addr; readonly at: Entry; readonly own: boolean; readonly route: string }[] =
    "entry" in to
      ? addressesOf(to.entry.node).map((dst) => ({ dst, at: to.entry, own: true, route: "" }))
      : routersTo(engine, to.addr).map(({ at, route }) => ({ dst: to.addr, at, own: false, route }));
  return sources.flatMap((src) =>
    targets.filter(({ dst }) => dst.family === src.addr.family).map((target) => ({ src, ...target })),
  );
}

/** Routers whose approved routes hold the address; exit nodes for public ones. */
function routersTo(engine: CompiledEngine, addr: Addr): readonly { readonly at: Entry; readonly route: string }[] {
  return [...engine.entries()].flatMap((at) => {
    const route = at.node.routes.find((each) =>
      isExitRoute(each) ? each.addr.family === addr.family && internetSet.contains(addr) : prefixContains(each, addr),
    );
    return route === undefined ? [] : [{ at, route: formatPrefix(route) }];
  });
}

function endOf(named: Named, addr: Addr | undefined): End {
  if (!("entry" in named)) {
    const address = formatAddr(named.addr);
    return { node: undefined, name: address, address, user: undefined, tags: [] };
  }
  const { node, identity } = named.entry;
  return {
    node: node.id,
    name: node.name,
    address: addr === undefined ? "" : formatAddr(addr),
    user: identity.user === undefined ? undefined : userLabel(identity.user),
    tags: identity.tags,
  };
}

/** May the one log in to the other under this name by Tailscale SSH? */
export function explainLogin(engine: CompiledEngine, from: Entry, to: Entry, login: string): SshExplanation {
  const place = (rule: SshRule): RulePlaceSsh => ({ index: rule.index, ...engine.positions.of(rule.at) });
  const rule = engine.ssh.ordered().find((each) => engine.ssh.admits(each, from, to, login));
  const ways = waysBetween(engine, { entry: from }, { entry: to });
  return {
    allowed: rule !== undefined,
    action: rule?.action,
    checkPeriod: rule?.action === "check" ? rule.checkPeriod : undefined,
    by: rule === undefined ? undefined : { ...place(rule), source: sourceOf(engine, rule, from) },
    misses:
      rule !== undefined
        ? []
        : engine.ssh.ordered().flatMap((each) => {
            const text = missLogin(engine, each, from, to, login);
            return text === undefined ? [] : [{ ...place(each), text }];
          }),
    network: ways.some(
      (way) => explainPacket(engine, { src: way.src, dst: way.dst, at: way.at, port: 22, protocol: 6 }, true).allowed,
    ),
  };
}

function sourceOf(engine: CompiledEngine, rule: SshRule, from: Entry): string {
  for (const selector of rule.src.selectors) {
    const through = selector.kind === "nodes" ? throughSet(engine, from, selector.set) : undefined;
    if (through !== undefined) {
      return `${selector.text}: ${through}`;
    }
  }
  return "";
}

function missLogin(engine: CompiledEngine, rule: SshRule, from: Entry, to: Entry, login: string): string | undefined {
  const source = sourceOf(engine, rule, from);
  const admitted = engine.ssh.admitsNode(rule, from, to);
  if (admitted) {
    return admitsLogin(rule, from.identity.user, login)
      ? undefined
      : `both nodes fit, but it lets in only as ${loginsOf(rule)}`;
  }
  if (source !== "") {
    const names = [...rule.dst.map(({ text }) => text), ...(rule.self ? ["autogroup:self"] : [])];
    return `the source fits (${source}), but ${to.node.name} is not among ${names.join(", ")}`;
  }
  return engine.ssh.isDestination(rule, to)
    ? `the destination fits, but the source is not among ${rule.src.selectors.map(({ text }) => text).join(", ")}`
    : undefined;
}

function loginsOf(rule: SshRule): string {
  return [
    ...(rule.root ? ["root"] : []),
    ...(rule.nonroot ? ["anybody but root"] : []),
    ...rule.logins,
    ...rule.localparts.map((domain) => `the local part of an address at ${domain}`),
  ].join(", ");
}

/** A party for an address, with the node that has it. */
export function partyOf(engine: CompiledEngine, addr: Addr): Party {
  return { addr, entry: nodeOf(engine, addr) };
}
