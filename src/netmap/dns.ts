// The DNSConfig that clients are told (protocol §4.8, headscale §7.9). The same object for all nodes, unless NextDNS
// resolvers are configured: those are asked with the device's own name, model and address in the query.
import { formatAddr, maskPrefix, type Prefix } from "../ip/index.ts";
import type { Node } from "../tailnet/model.ts";
import type { CapMap, DNSConfig, Resolver } from "../wire/tailcfg.ts";
import type { DnsSettings, NetmapSettings } from "./settings.ts";

const nextDns = "https://dns.nextdns.io";
const nextDnsProfile = /^nextdns:([A-Za-z0-9._-]{1,64})$/;
const noDeviceInfo = "nextdns:no-device-info";

/** What all nodes are told. */
export function dnsConfig(
  dns: DnsSettings,
  { baseDomain, prefixes }: Pick<NetmapSettings, "baseDomain" | "prefixes">,
): DNSConfig {
  const routes: Record<string, readonly Resolver[]> = {};
  for (const [suffix, resolvers] of Object.entries(dns.split)) {
    routes[suffix] = resolvers.map(resolver);
  }
  if (dns.magicDns) {
    for (const zone of prefixes.flatMap(reverseZones)) {
      // An empty list: the client answers by itself.
      routes[zone] = [];
    }
  }
  const domains = baseDomain === "" ? dns.search : [baseDomain, ...dns.search];
  const global = dns.nameservers.map(resolver);
  return {
    ...(global.length === 0 ? {} : dns.overrideLocal ? { Resolvers: global } : { FallbackResolvers: global }),
    ...(Object.keys(routes).length === 0 ? {} : { Routes: routes }),
    ...(domains.length === 0 ? {} : { Domains: domains }),
    ...(dns.magicDns ? { Proxied: true } : {}),
    ...(dns.extraRecords.length === 0 ? {} : { ExtraRecords: dns.extraRecords }),
  };
}

function resolver(address: string): Resolver {
  return { Addr: address };
}

/**
 * The in-addr.arpa and ip6.arpa zones that together are the prefix: as many as it takes where the prefix does not end
 * at a label. No trailing dot.
 */
export function reverseZones(prefix: Prefix): readonly string[] {
  const { addr } = maskPrefix(prefix);
  const four = addr.family === 4;
  const labelBits = four ? 8 : 4;
  const labels = four ? labelsOf([addr.a], 8) : labelsOf([addr.a, addr.b, addr.c, addr.d], 4);
  const used = Math.max(1, Math.ceil(prefix.bits / labelBits));
  const zones: string[] = [];
  const first = labels[used - 1] ?? 0;
  for (let offset = 0; offset < 2 ** (used * labelBits - prefix.bits); offset++) {
    const own = [...labels.slice(0, used - 1), first + offset].reverse();
    zones.push(four ? `${own.join(".")}.in-addr.arpa` : `${own.map((label) => label.toString(16)).join(".")}.ip6.arpa`);
  }
  return zones;
}

/** The words of an address, most significant first, cut into labels of 8 or 4 bits. */
function labelsOf(words: readonly number[], bits: 4 | 8): readonly number[] {
  const labels: number[] = [];
  for (const word of words) {
    for (let shift = 32 - bits; shift >= 0; shift -= bits) {
      labels.push((word >>> shift) & (2 ** bits - 1));
    }
  }
  return labels;
}

/** True when nodes get different configurations. */
export function isPerNode(config: DNSConfig): boolean {
  return [config.Resolvers, config.FallbackResolvers, ...Object.values(config.Routes ?? {})].some((list) =>
    list?.some(isNextDns),
  );
}

function isNextDns({ Addr }: Resolver): boolean {
  return Addr === nextDns || Addr?.startsWith(`${nextDns}/`) === true;
}

/** The configuration of one node: NextDNS resolvers with its profile (node attribute) and the device's own data. */
export function dnsConfigFor(config: DNSConfig, node: Node, caps: CapMap): DNSConfig {
  if (!isPerNode(config)) {
    return config;
  }
  const own = (list: readonly Resolver[]) =>
    list.map((entry) => (isNextDns(entry) ? { ...entry, Addr: nextDnsAddress(entry.Addr ?? "", node, caps) } : entry));
  const routes = Object.entries(config.Routes ?? {}).map(([suffix, list]) => [suffix, own(list)] as const);
  return {
    ...config,
    ...(config.Resolvers === undefined ? {} : { Resolvers: own(config.Resolvers) }),
    ...(config.FallbackResolvers === undefined ? {} : { FallbackResolvers: own(config.FallbackResolvers) }),
    ...(config.Routes === undefined ? {} : { Routes: Object.fromEntries(routes) }),
  };
}

function nextDnsAddress(configured: string, node: Node, caps: CapMap): string {
  const profile = Object.keys(caps)
    .filter((cap) => cap !== noDeviceInfo)
    .map((cap) => nextDnsProfile.exec(cap)?.[1])
    .filter((name) => name !== undefined)
    .sort()[0];
  const base = profile === undefined ? configured : `${nextDns}/${profile}`;
  if (noDeviceInfo in caps) {
    return base;
  }
  const address = node.ipv4 ?? node.ipv6;
  const query = new URLSearchParams({
    ...(address === null ? {} : { device_ip: formatAddr(address) }),
    device_model: node.hostinfo.OS ?? "",
    device_name: node.hostinfo.Hostname ?? node.givenName,
  });
  return `${base}?${query.toString()}`;
}
