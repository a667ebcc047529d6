// IP sets: lists of addresses, hosts, ranges and other sets, added up or taken away in order:
// `["10.0.0.0/8", "add host:printer", "remove 10.1.0.0/16", "ipset:other"]`.
import { IpSet, parseRange, type Prefix } from "../ip/index.ts";
import { internetSet } from "./networks.ts";
import type { Problems } from "./problems.ts";
import type { RawList } from "./raw.ts";
import type { Located } from "./source.ts";

/** Every declared set as prefixes; sets that cannot be resolved are reported and empty. */
export function resolveIpSets(
  lists: readonly RawList[],
  hosts: ReadonlyMap<string, Prefix>,
  problems: Problems,
): ReadonlyMap<string, readonly Prefix[]> {
  const byName = new Map(lists.map((list) => [list.name, list]));
  const done = new Map<string, IpSet>();
  const open = new Set<string>();

  const resolve = (list: RawList): IpSet => {
    const known = done.get(list.name);
    if (known !== undefined) {
      return known;
    }
    open.add(list.name);
    let set = IpSet.empty;
    for (const item of list.items) {
      const { remove, operand } = splitItem(item);
      const part = resolveOperand(operand);
      set = remove ? set.subtract(part) : set.union(part);
    }
    open.delete(list.name);
    done.set(list.name, set);
    return set;
  };

  const resolveOperand = (operand: Located): IpSet => {
    const fail = (message: string): IpSet => {
      problems.error(operand.at, message);
      return IpSet.empty;
    };
    const { text } = operand;
    if (text.startsWith("ipset:")) {
      const other = byName.get(text);
      if (other === undefined) {
        return fail(`ipset not defined in policy: ${JSON.stringify(text)}`);
      }
      return open.has(text) ? fail(`ipset ${JSON.stringify(text)} contains itself`) : resolve(other);
    }
    if (text === "autogroup:internet") {
      return internetSet;
    }
    const range = parseRange(text);
    if (range !== undefined) {
      return IpSet.ofRanges([range]);
    }
    const host = hosts.get(text.startsWith("host:") ? text.slice("host:".length) : text);
    return host === undefined
      ? fail(`invalid ipset entry: ${JSON.stringify(text)}: not an address, range, host or ipset`)
      : IpSet.ofPrefixes([host]);
  };

  for (const list of lists) {
    if (!/^ipset:[a-zA-Z0-9]/.test(list.name)) {
      problems.error(list.at, `ipset must start with 'ipset:', got: ${JSON.stringify(list.name)}`);
    }
    resolve(list);
  }
  return new Map([...done].map(([name, set]) => [name, set.prefixes()]));
}

function splitItem({ text, at }: Located): { readonly remove: boolean; readonly operand: Located } {
  const match = /^\s*(add|remove)\s+/i.exec(text);
  return match === null
    ? { remove: false, operand: { text: text.trim(), at } }
    : { remove: match[1]?.toLowerCase() === "remove", operand: { text: text.slice(match[0].length).trim(), at } };
}
