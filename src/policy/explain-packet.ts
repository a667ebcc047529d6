// Why a packet is let through, or every reason why it is not: rule by rule, with the line of each.
import type { Addr } from "../ip/index.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import type { Entry } from "./entries.ts";
import { matchDestination, matchSource, postureFailures, postureMet, type Match, type Party } from "./explain-match.ts";
import type { Rule, Target } from "./policy.ts";
import { defaultProtocols, formatPorts, protocolName } from "./ports.ts";
import { selectorName } from "./selectors.ts";

/** Where a rule stands, and what of it matched. */
export interface RulePlace {
  readonly section: Rule["section"];
  /** From 0, in its section. */
  readonly index: number;
  readonly line: number;
  readonly column: number;
}

export interface RuleMatch extends RulePlace {
  readonly source: Omit<Match, "at">;
  readonly destination: Omit<Match, "at">;
  /** `tcp 22, 80-443`, `*` … */
  readonly ports: string;
  readonly posture: string | undefined;
}

/** How near a rule came: what alone was missing. */
export type MissKind = "port" | "protocol" | "posture" | "destination" | "source";

export interface RuleMiss extends RulePlace {
  readonly kind: MissKind;
  readonly text: string;
}

export interface PacketQuery {
  readonly src: Party;
  readonly dst: Addr;
  /** The node that the packet arrives at: the receiver itself or a router. */
  readonly at: Entry;
  /** Undefined: any. */
  readonly port: number | undefined;
  /** Undefined: any of TCP, UDP and ICMP. */
  readonly protocol: number | undefined;
}

export interface PacketExplanation {
  readonly allowed: boolean;
  readonly by: readonly RuleMatch[];
  /** When denied: rules of which at least one side fits, nearest first. */
  readonly misses: readonly RuleMiss[];
  /** When denied: what holds for all rules. */
  readonly reasons: readonly string[];
}

const portProtocols: ReadonlySet<number> = new Set([6, 17, 132]);
const nearness: readonly MissKind[] = ["port", "protocol", "posture", "destination", "source"];

export function explainPacket(engine: CompiledEngine, query: PacketQuery, own: boolean): PacketExplanation {
  const by: RuleMatch[] = [];
  const misses: RuleMiss[] = [];
  const seen = { source: false, destination: false };
  for (const rule of engine.program.policy.rules) {
    judge(engine, rule, query, own, { by, misses, seen });
  }
  const allowed = by.length > 0;
  const reasons: string[] = [];
  if (!allowed && !seen.source) {
    reasons.push("no rule names the source");
  }
  if (!allowed && !seen.destination) {
    reasons.push("no rule names the destination");
  }
  return {
    allowed,
    by,
    misses: allowed ? [] : misses.toSorted((x, y) => nearness.indexOf(x.kind) - nearness.indexOf(y.kind)),
    reasons,
  };
}

interface Verdicts {
  readonly by: RuleMatch[];
  readonly misses: RuleMiss[];
  readonly seen: { source: boolean; destination: boolean };
}

function judge(engine: CompiledEngine, rule: Rule, query: PacketQuery, own: boolean, out: Verdicts): void {
  const place: RulePlace = { section: rule.section, index: rule.index, ...engine.positions.of(rule.at) };
  const withPosture = rule.src.postures.length > 0;
  const posture = postureMet(rule.src.postures, query.src);
  const source = firstOf(rule.src.selectors, (selector) => matchSource(engine, selector, query.src, !withPosture));
  const to = { at: query.at, dst: query.dst, own };
  const portTargets = rule.units.flatMap((unit) =>
    unit.kind === "ports" ? unit.targets.map((target) => ({ target, unit })) : [],
  );
  const reached = portTargets.flatMap(({ target, unit }) => {
    const destination = matchDestination(engine, target.selector, rule.via, to, query.src);
    return destination === undefined ? [] : [{ destination, target, protocol: unit.protocol }];
  });
  out.seen.source ||= source !== undefined;
  out.seen.destination ||= reached.length > 0;
  if (source === undefined || reached.length === 0) {
    missSide(source, reached[0]?.destination, place, rule, query, out);
    return;
  }
  if (withPosture && posture === undefined) {
    out.misses.push({ ...place, kind: "posture", text: postureFailures(rule.src.postures, query.src).join("; or ") });
    return;
  }
  const open = reached.find(({ target, protocol }) => carries(protocol, query) && opens(target, query.port));
  if (open === undefined) {
    out.misses.push(missPort(place, reached, query));
    return;
  }
  out.by.push({
    ...place,
    source: { selector: source.selector, through: source.through },
    destination: { selector: open.destination.selector, through: open.destination.through },
    ports: portsText(open.protocol, open.target),
    posture: posture?.name,
  });
}

function firstOf<Item, Found>(items: readonly Item[], find: (item: Item) => Found | undefined): Found | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

/** Only one side fits; a rule that fits neither is none of the matter. */
function missSide(
  source: Match | undefined,
  destination: Match | undefined,
  place: RulePlace,
  rule: Rule,
  query: PacketQuery,
  out: Verdicts,
): void {
  if (source !== undefined) {
    const names = [...rule.dst.map(selectorName), ...(rule.self ? ["autogroup:self"] : [])];
    const steered = rule.via.length === 0 ? "" : `, and only via ${rule.via.join(" or ")}`;
    out.misses.push({
      ...place,
      kind: "destination",
      text: `${source.selector} fits the source (${source.through}), but ${query.at.node.name} is not among ${names.join(", ")}${steered}`,
    });
  } else if (destination !== undefined) {
    out.misses.push({
      ...place,
      kind: "source",
      text: `${destination.selector} fits the destination (${destination.through}), but the source is not among ${rule.src.selectors.map(selectorName).join(", ")}`,
    });
  }
}

function missPort(
  place: RulePlace,
  reached: readonly { readonly target: Target; readonly protocol: number | undefined }[],
  query: PacketQuery,
): RuleMiss {
  const open = [...new Set(reached.map(({ target, protocol }) => portsText(protocol, target)))].join("; ");
  const wrongProtocol = reached.every(({ protocol }) => !carries(protocol, query));
  return {
    ...place,
    kind: wrongProtocol ? "protocol" : "port",
    text: `both sides fit, but it opens only ${open}`,
  };
}

/** A question for a port without a protocol is one for protocols that have ports. */
function carries(protocol: number | undefined, { protocol: asked, port }: PacketQuery): boolean {
  if (asked === undefined) {
    return protocol === undefined || port === undefined || portProtocols.has(protocol);
  }
  return protocol === undefined ? defaultProtocols.includes(asked) : protocol === asked;
}

function opens(target: Target, port: number | undefined): boolean {
  return port === undefined
    ? target.ports.length > 0
    : target.ports.some(({ first, last }) => first <= port && port <= last);
}

function portsText(protocol: number | undefined, target: Target): string {
  const ports = target.ports.map(formatPorts).join(", ");
  return protocol === undefined ? ports : `${protocolName(protocol)} ${ports}`;
}
