// What the server's configuration says about the netmaps it serves. Everything that differs between tailnets or may be
// changed while the server runs stands here; nothing here depends on a node.
import type { Prefix } from "../ip/index.ts";
import type { TailnetReader } from "../tailnet/contract.ts";
import type { DERPMap, DNSRecord } from "../wire/tailcfg.ts";

export interface DnsSettings {
  readonly magicDns: boolean;
  /** Global resolvers: IP, IP:port, or the DoH address of a provider that clients know. */
  readonly nameservers: readonly string[];
  /** Suffix → resolvers (split DNS). */
  readonly split: Readonly<Record<string, readonly string[]>>;
  /** Search domains after the base domain. */
  readonly search: readonly string[];
  /** True: global resolvers replace those of the system; false: they are a fallback. */
  readonly overrideLocal: boolean;
  readonly extraRecords: readonly DNSRecord[];
}

export interface NetmapSettings {
  /** Display name of the tailnet; free text (protocol §12 quirk 39). */
  readonly domain: string;
  /** MagicDNS suffix without dots at its ends: a node is `<given name>.<base domain>.`. */
  readonly baseDomain: string;
  readonly dns: DnsSettings;
  readonly derpMap: DERPMap;
  readonly taildrop: boolean;
  /** False: clients are told not to upload logs. */
  readonly logtail: boolean;
  readonly autoUpdate: boolean;
  /** Where node addresses come from; their reverse zones are answered by MagicDNS. */
  readonly prefixes: readonly Prefix[];
}

/** All that netmap asks of a tailnet. */
export type NetmapTailnet = Pick<TailnetReader, "policy" | "node" | "user" | "subscribe">;
