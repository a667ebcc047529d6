// nodeAttrs: which attributes, app settings and address pools the nodes of a target get.
import { formatPrefix, maskPrefix, parsePrefix, prefixCovers, prefixOverlaps, type Prefix } from "../ip/index.ts";
import type { CheckContext } from "./check-context.ts";
import { poolSpace, reservedPools } from "./networks.ts";
import type { NodeAttr } from "./policy.ts";
import type { RawNodeAttr } from "./raw.ts";
import { parseSelector, type Selector } from "./selectors.ts";
import type { Located } from "./source.ts";

export function checkAttrs(attrs: readonly RawNodeAttr[], context: CheckContext): readonly NodeAttr[] {
  return attrs.map((raw) => {
    if (raw.attr.length === 0 && raw.app.length === 0 && raw.ipPool.length === 0) {
      context.problems.warn(raw.at, "nodeAttrs entry without attr, app or ipPool has no effect");
    }
    for (const attr of raw.attr) {
      if (attr.text.trim() === "") {
        context.problems.error(attr.at, "nodeAttrs attr cannot be empty");
      }
    }
    return {
      at: raw.at,
      targets: raw.target.flatMap((target) => checkTarget(target, context) ?? []),
      attrs: raw.attr.map((attr) => attr.text.trim()),
      apps: raw.app.map(({ name, values }) => ({ name, values })),
      ipPools: raw.ipPool.flatMap((pool) => checkPool(pool, context) ?? []),
    };
  });
}

function checkTarget(target: Located, context: CheckContext): Selector | undefined {
  const place = { text: target.text.trim(), at: target.at };
  const parsed = parseSelector(place, context.declared);
  if (!parsed.ok && !place.text.startsWith("autogroup:")) {
    context.problems.error(place.at, `nodeAttrs target: ${parsed.error}`, parsed.hint);
    return undefined;
  }
  if (parsed.ok && ["any", "nodes", "addresses"].includes(parsed.selector.kind)) {
    return parsed.selector;
  }
  context.problems.error(
    place.at,
    `nodeAttrs target does not support this autogroup: ${JSON.stringify(place.text)}, can be [autogroup:member autogroup:tagged]`,
    "or the autogroup of a role",
  );
  return undefined;
}

function checkPool(pool: Located, context: CheckContext): Prefix | undefined {
  const refuse = (why: string, hint?: string): undefined => {
    context.problems.error(pool.at, `IPPool(${pool.text}): ${why}`, hint);
    return undefined;
  };
  const parsed = parsePrefix(pool.text.trim());
  if (parsed === undefined) {
    return refuse("invalid prefix", "a pool is written 100.81.0.0/16");
  }
  const prefix = maskPrefix(parsed);
  if (!prefixCovers(poolSpace, prefix)) {
    return refuse(`network must be inside ${formatPrefix(poolSpace)}`);
  }
  return reservedPools.some((reserved) => prefixOverlaps(reserved, prefix))
    ? refuse("network within reserved range")
    : prefix;
}
