// IP sets: lists of addresses, hosts, ranges and other sets, added up or taken away in order:
// `["10.0.0.0/8", "add host:printer", "remove 10.1.0.0/16", "ipset:other"]`.
import { IpSet, parseRange, type Prefix } from "../ip/index.ts";
import { didYouMean } from "./name-hints.ts";
import { internetSet } from "./networks.ts";
import type { Hint, Problems } from "./problems.ts";
import type { RawList } from "./raw.ts";
import type { Located } from "./source.ts";

/** Sets within sets beyond this are refused: nobody writes them, and resolving one recurses. */
const maxDepth = 64;

/** One entry, or several in a row: takes away what is in `less`, then adds what is in `more`. */
interface Step {
  readonly more: IpSet;
  readonly less: IpSet;
}

/** A set and how deep sets lie within sets in it. */
interface Resolved {
  readonly set: IpSet;
  readonly depth: number;
}

const nothing: Resolved = { set: IpSet.empty, depth: 0 };

/** Every declared set as prefixes; sets that cannot be resolved are reported and empty. */
export function resolveIpSets(
  lists: readonly RawList[],
  hosts: ReadonlyMap<string, Prefix>,
  problems: Problems,
): ReadonlyMap<string, readonly Prefix[]> {
  const resolver = new Resolver(lists, hosts, problems);
  return new Map(
    lists.map((list) => {
      if (!/^ipset:[a-zA-Z0-9]/.test(list.name)) {
        const hint = list.name.startsWith("ipset:") ? undefined : `write ${JSON.stringify(`ipset:${list.name}`)}`;
        problems.error(list.at, `ipset must start with 'ipset:', got: ${JSON.stringify(list.name)}`, hint);
      }
      return [list.name, resolver.resolve(list).set.prefixes()];
    }),
  );
}

class Resolver {
  readonly #byName: ReadonlyMap<string, RawList>;
  readonly #hosts: ReadonlyMap<string, Prefix>;
  readonly #problems: Problems;
  readonly #done = new Map<string, Resolved>();
  /** Sets that are being resolved, outermost first. */
  readonly #open = new Set<string>();

  constructor(lists: readonly RawList[], hosts: ReadonlyMap<string, Prefix>, problems: Problems) {
    this.#byName = new Map(lists.map((list) => [list.name, list]));
    this.#hosts = hosts;
    this.#problems = problems;
  }

  resolve(list: RawList): Resolved {
    const known = this.#done.get(list.name);
    if (known !== undefined) {
      return known;
    }
    this.#open.add(list.name);
    let depth = 0;
    const steps = list.items.map((item): Step => {
      const { remove, operand } = splitItem(item);
      const part = this.#operand(operand);
      depth = Math.max(depth, part.depth);
      return remove ? { more: IpSet.empty, less: part.set } : { more: part.set, less: IpSet.empty };
    });
    this.#open.delete(list.name);
    const resolved = { set: allOf(steps).more, depth: depth + 1 };
    this.#done.set(list.name, resolved);
    return resolved;
  }

  #operand({ text, at }: Located): Resolved {
    if (text.startsWith("ipset:")) {
      return this.#other({ text, at });
    }
    if (text === "autogroup:internet") {
      return { set: internetSet, depth: 0 };
    }
    const range = parseRange(text);
    if (range !== undefined) {
      return { set: IpSet.ofRanges([range]), depth: 0 };
    }
    const name = text.startsWith("host:") ? text.slice("host:".length) : text;
    const host = this.#hosts.get(name);
    return host === undefined
      ? this.#fail(at, `invalid ipset entry: ${JSON.stringify(text)}: not an address, range, host or ipset`, () =>
          didYouMean(name, this.#hosts.keys()),
        )
      : { set: IpSet.ofPrefixes([host]), depth: 0 };
  }

  #other({ text, at }: Located): Resolved {
    const other = this.#byName.get(text);
    if (other === undefined) {
      return this.#fail(at, `ipset not defined in policy: ${JSON.stringify(text)}`, () =>
        didYouMean(text, this.#byName.keys()),
      );
    }
    if (this.#open.has(text)) {
      return this.#fail(at, `ipset ${JSON.stringify(text)} contains itself`);
    }
    // However they are ordered in the text, the same sets are refused: those that are resolved know their depth.
    const tooDeep = `ipset ${JSON.stringify(text)} has more than ${maxDepth} sets within each other`;
    if (this.#open.size > maxDepth) {
      return this.#fail(at, tooDeep);
    }
    const resolved = this.resolve(other);
    return resolved.depth > maxDepth ? this.#fail(at, tooDeep) : resolved;
  }

  #fail(at: number, message: string, hint?: Hint): Resolved {
    this.#problems.error(at, message, hint);
    return nothing;
  }
}

/** All steps as one, by halves: each address is looked at a few times, however many steps there are. */
function allOf(steps: readonly Step[]): Step {
  const [only] = steps;
  if (only === undefined || steps.length === 1) {
    return only ?? { more: IpSet.empty, less: IpSet.empty };
  }
  const middle = steps.length >>> 1;
  const [first, then] = [allOf(steps.slice(0, middle)), allOf(steps.slice(middle))];
  return { more: first.more.subtract(then.less).union(then.more), less: first.less.union(then.less) };
}

function splitItem({ text, at }: Located): { readonly remove: boolean; readonly operand: Located } {
  const match = /^\s*(add|remove)\s+/i.exec(text);
  return match === null
    ? { remove: false, operand: { text: text.trim(), at } }
    : { remove: match[1]?.toLowerCase() === "remove", operand: { text: text.slice(match[0].length).trim(), at } };
}
