// The fixed networks of the language: what `*` stands for as a source, what autogroup:internet stands for.
import { formatAddr, formatRange, IpSet, parsePrefix, parseRange, type Prefix } from "../ip/index.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) {
    throw new Error(`not a prefix: ${text}`);
  }
  return parsed;
}

function ranges(texts: readonly string[]): IpSet {
  return IpSet.ofRanges(texts.flatMap((text) => parseRange(text) ?? []));
}

export const everything: IpSet = IpSet.ofPrefixes([prefix("0.0.0.0/0"), prefix("::/0")]);

/** Tailnet addresses: CGNAT without the range that ChromeOS uses itself, and Tailscale's ULA range (protocol §11.2). */
export const tailnetSet: IpSet = ranges([
  "100.64.0.0-100.115.91.255",
  "100.115.94.0-100.127.255.255",
  "fd7a:115c:a1e0::/48",
]);
/** As filters on the wire name them. */
export const tailnetTexts: readonly string[] = tailnetSet.ranges().map(formatRange);

/** Public space: everything but private, shared, link-local and tailnet addresses. */
export const internetSet: IpSet = IpSet.ofPrefixes([prefix("0.0.0.0/0")])
  .subtract(ranges(["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]))
  .union(ranges(["2000::/3"]));
/** Always as ranges, never as prefixes: so Tailscale writes them. */
export const internetTexts: readonly string[] = internetSet
  .ranges()
  .map(({ from, to }) => `${formatAddr(from)}-${formatAddr(to)}`);

const internetV4 = internetSet.intersect(ranges(["0.0.0.0/0"]));
const internetV6 = ranges(["2000::/3"]);

/** Do these addresses hold all of the public IPv4 or IPv6 space, so that they open an exit node? */
export function coversInternet(set: IpSet): boolean {
  return internetV4.subtract(set).isEmpty || internetV6.subtract(set).isEmpty;
}

/** IPv4 pools that nodeAttrs may name lie inside this … */
export const poolSpace: Prefix = prefix("100.64.0.0/10");
/** … and outside these. */
export const reservedPools: readonly Prefix[] = [prefix("100.100.100.0/24"), prefix("100.115.92.0/23")];
