// What one node may do to another, as things with port ranges: for each network (the node itself, a route behind it)
// and protocol the open ports, and capabilities by name. Differences of such are what a preview shows.
import { formatPrefix } from "../ip/index.ts";
import type { CompiledEngine } from "./compiled-engine.ts";
import type { Entry } from "./entries.ts";
import { Destinations } from "./filter-destinations.ts";
import { addressText } from "./address-list.ts";
import { addressesOf } from "./entries.ts";
import { internetTexts } from "./networks.ts";
import { allPorts, defaultProtocols, formatPorts, protocolName, type PortRange } from "./ports.ts";
import type { Reach } from "./program.ts";

/** Thing → its open ranges, sorted and disjoint. */
export type Access = ReadonlyMap<string, readonly PortRange[]>;

export const noAccess: Access = new Map();

const separator = "\u0000";

/**
 * Where each target of a rule lies on one node, target by target: "" for the node itself, else the network behind it.
 * Nowhere: the rule does not open this target here.
 */
export type Places = readonly (readonly string[])[];

const capabilityHere: readonly string[] = [""];

/** A node as the destination of rules. */
export class Ground {
  readonly #to: Entry;
  readonly #own: ReadonlySet<string>;
  readonly #destinations: Destinations;

  constructor(engine: CompiledEngine, to: Entry) {
    this.#to = to;
    this.#own = new Set(addressesOf(to.node).map(addressText));
    this.#destinations = new Destinations(engine.program, to);
  }

  places(reach: Reach): Places {
    const out: (readonly string[])[] = [];
    for (const unit of reach.rule.units) {
      if (unit.self !== reach.self) {
        continue;
      }
      if (unit.kind === "apps") {
        const here = unit.targets.some((selector) => this.#destinations.capTexts(selector).length > 0);
        out.push(here ? capabilityHere : []);
        continue;
      }
      for (const { selector } of unit.targets) {
        out.push(this.#placesOf(this.#destinations.texts(reach, selector)));
      }
    }
    return out;
  }

  #placesOf(texts: readonly string[]): readonly string[] {
    if (texts === internetTexts) {
      return ["the internet"];
    }
    const places = [...new Set(texts.map((text) => (this.#own.has(text) || text === "*" ? "" : text)))];
    return texts.includes("*") ? [...places, ...this.#to.node.routes.map(formatPrefix)] : places;
  }
}

/** What a reach opens where its targets lie at these places. */
export function accessAt(reach: Reach, places: Places): Access {
  const found = new Map<string, PortRange[]>();
  let target = 0;
  for (const unit of reach.rule.units) {
    if (unit.self !== reach.self) {
      continue;
    }
    if (unit.kind === "apps") {
      const here = (places[target++] ?? []).length > 0;
      unit.apps.forEach(({ name }) => here && found.set(`${separator}capability ${name}`, [allPorts]));
      continue;
    }
    for (const { ports } of unit.targets) {
      for (const place of places[target++] ?? []) {
        for (const protocol of unit.protocol === undefined ? defaultProtocols : [unit.protocol]) {
          const key = `${place}${separator}${protocol}`;
          found.set(key, [...(found.get(key) ?? []), ...ports]);
        }
      }
    }
  }
  return new Map([...found].map(([key, ranges]) => [key, joinRanges(ranges)]));
}

export function unite(parts: readonly Access[]): Access {
  const [only] = parts;
  if (parts.length <= 1) {
    return only ?? noAccess;
  }
  const all = new Map<string, PortRange[]>();
  for (const part of parts) {
    for (const [thing, ranges] of part) {
      all.set(thing, [...(all.get(thing) ?? []), ...ranges]);
    }
  }
  return new Map([...all].map(([thing, ranges]) => [thing, joinRanges(ranges)]));
}

function joinRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const out: PortRange[] = [];
  for (const range of ranges.toSorted((x, y) => x.first - y.first)) {
    const last = out.at(-1);
    if (last !== undefined && range.first <= last.last + 1) {
      out[out.length - 1] = { first: last.first, last: Math.max(last.last, range.last) };
    } else {
      out.push(range);
    }
  }
  return out;
}

/** What is in `x` and not in `y`. */
export function subtract(x: Access, y: Access): Access {
  const left = new Map<string, readonly PortRange[]>();
  for (const [thing, ranges] of x) {
    const rest = subtractRanges(ranges, y.get(thing) ?? []);
    if (rest.length > 0) {
      left.set(thing, rest);
    }
  }
  return left;
}

/** Is there anything in `x` that is not in `y`? */
export function exceeds(x: Access, y: Access): boolean {
  for (const [thing, ranges] of x) {
    const others = y.get(thing);
    // Ranges of an access never touch each other, so each must lie in a single one.
    if (
      others === undefined ||
      !ranges.every(({ first, last }) => others.some((other) => other.first <= first && last <= other.last))
    ) {
      return true;
    }
  }
  return false;
}

function subtractRanges(ranges: readonly PortRange[], less: readonly PortRange[]): readonly PortRange[] {
  let rest = ranges;
  for (const cut of less) {
    rest = rest.flatMap((range) => [
      ...(range.first < cut.first ? [{ first: range.first, last: Math.min(range.last, cut.first - 1) }] : []),
      ...(range.last > cut.last ? [{ first: Math.max(range.first, cut.last + 1), last: range.last }] : []),
    ]);
  }
  return rest;
}

/** As people read it: `*`, `tcp 22`, `10.1.0.0/16 80, 443`, `capability tailscale.com/cap/drive`. */
export function describeAccess(access: Access): readonly string[] {
  const protocolsOf = new Map<string, number[]>();
  const out: string[] = [];
  for (const [key, ranges] of access) {
    const [what = "", rest = ""] = key.split(separator);
    if (rest.startsWith("capability ")) {
      out.push(rest);
      continue;
    }
    const line = `${what}${separator}${ranges.map(formatPorts).join(", ")}`;
    protocolsOf.set(line, [...(protocolsOf.get(line) ?? []), Number(rest)]);
  }
  for (const [line, protocols] of protocolsOf) {
    const [what = "", ports = ""] = line.split(separator);
    const usual = defaultProtocols.every((protocol) => protocols.includes(protocol));
    const names = protocols.filter((each) => !usual || !defaultProtocols.includes(each)).map(protocolName);
    out.push(
      [what, [...(usual ? [""] : []), ...names].join("/").replace(/^\//, ""), ports]
        .filter((part) => part !== "")
        .join(" "),
    );
  }
  return out.sort();
}
