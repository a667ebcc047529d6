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

/** What a reach opens on this node. `what` is "" for the node itself, the network for what is behind it. */
export function accessOf(engine: CompiledEngine, reach: Reach, to: Entry): Access {
  const found = new Map<string, PortRange[]>();
  const own = new Set(addressesOf(to.node).map(addressText));
  const destinations = new Destinations(engine.program, to);
  for (const unit of reach.rule.units) {
    if (unit.self !== reach.self) {
      continue;
    }
    if (unit.kind === "apps") {
      const here = unit.targets.some((selector) => destinations.capTexts(selector).length > 0);
      unit.apps.forEach(({ name }) => here && found.set(`${separator}capability ${name}`, [allPorts]));
      continue;
    }
    for (const { selector, ports } of unit.targets) {
      const texts = destinations.texts(reach, selector);
      const things =
        texts === internetTexts
          ? ["the internet"]
          : [...new Set(texts.map((text) => (own.has(text) || text === "*" ? "" : text)))];
      const behind = texts.includes("*") ? to.node.routes.map(formatPrefix) : [];
      for (const thing of [...things, ...behind]) {
        for (const protocol of unit.protocol === undefined ? defaultProtocols : [unit.protocol]) {
          const key = `${thing}${separator}${protocol}`;
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
