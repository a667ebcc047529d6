// What a session is told beside its peers: the DERP map, DNS, its filter and ssh rules, profiles, the tailnet's name.
// Each is a JSON text made once for all sessions that are told the same, and a part of full maps compressed once.
import type { Node } from "../tailnet/model.ts";
import type { CapMap, DERPMap, DNSConfig, FilterRule, SSHRule } from "../wire/tailcfg.ts";
import { dnsConfig, dnsConfigFor, isPerNode } from "./dns.ts";
import type { Messages, Part } from "./message.ts";
import type { DnsSettings, NetmapSettings } from "./settings.ts";

/**
 * From here on (1.82) clients leave regions with NoMeasureNoHome alone, where older ones might make one their home, and
 * accept a relay by the hash of its certificate (§7, §4.8).
 */
const knowsNoHome = 115;
/** Shown by `tailscale status` of a client that cannot use a pinned certificate. */
const pinTooNew =
  "this client is older than 1.82 and cannot use the server's relay, whose certificate is self-signed and pinned: " +
  "update the client, or give the server a TLS certificate";
/** From here on default-auto-update is an attribute; before, it was a field (§7). */
const autoUpdateIsAttribute = 131;

/** A member of a message: its JSON, and a part that says it in a full map, with a comma behind. */
export interface Member {
  readonly json: string;
  readonly part: Part;
}

export class OwnTexts {
  readonly #messages: Messages;
  readonly #settings: NetmapSettings;
  #dns: DNSConfig;
  #dnsIsPerNode: boolean;
  #dnsMember: Member;
  #olderWereWarned = false;
  #derp: readonly [older: Member, current: Member];
  readonly #filters = new WeakMap<readonly FilterRule[], Member>();
  readonly #sshRules = new WeakMap<readonly SSHRule[], Member>();

  constructor(messages: Messages, settings: NetmapSettings) {
    this.#messages = messages;
    this.#settings = settings;
    this.#dns = dnsConfig(settings.dns, settings);
    this.#dnsIsPerNode = isPerNode(this.#dns);
    this.#dnsMember = this.#member("DNSConfig", this.#dns);
    this.#derp = this.#derpMembers(settings.derpMap);
  }

  setDns(dns: DnsSettings): void {
    this.#dns = dnsConfig(dns, this.#settings);
    this.#dnsIsPerNode = isPerNode(this.#dns);
    this.#dnsMember = this.#member("DNSConfig", this.#dns);
  }

  setDerpMap(map: DERPMap): void {
    this.#derp = this.#derpMembers(map);
  }

  #derpMembers(map: DERPMap): readonly [Member, Member] {
    const regions = Object.entries(map.Regions);
    const measured = regions.filter(([, region]) => region.NoMeasureNoHome !== true);
    const current = this.#member("DERPMap", map);
    const isPinned = regions.some(([, region]) =>
      region.Nodes.some((node) => node.CertName?.startsWith("sha256-raw:")),
    );
    this.#olderWereWarned ||= isPinned;
    if (measured.length === regions.length && !this.#olderWereWarned) {
      return [current, current];
    }
    const older = `"DERPMap":${JSON.stringify({ ...map, Regions: Object.fromEntries(measured) })}`;
    // A warning stays until it is taken back.
    const json = this.#olderWereWarned ? `${older},"Health":${JSON.stringify(isPinned ? [pinTooNew] : [])}` : older;
    return [{ json, part: this.#messages.shared(`${json},`) }, current];
  }

  #member(name: string, value: object): Member {
    const json = `"${name}":${JSON.stringify(value)}`;
    return { json, part: this.#messages.shared(`${json},`) };
  }

  /** DNS differs from node to node. */
  get dnsIsPerNode(): boolean {
    return this.#dnsIsPerNode;
  }

  dns(node: Node, caps: CapMap): Member {
    if (!this.#dnsIsPerNode) {
      return this.#dnsMember;
    }
    const json = `"DNSConfig":${JSON.stringify(dnsConfigFor(this.#dns, node, caps))}`;
    return { json, part: this.#messages.single(`${json},`) };
  }

  derpMap(capVersion: number): Member {
    return this.#derp[capVersion < knowsNoHome ? 0 : 1];
  }

  filter(rules: readonly FilterRule[]): Member {
    let member = this.#filters.get(rules);
    if (member === undefined) {
      member = this.#member("PacketFilters", { base: rules });
      this.#filters.set(rules, member);
    }
    return member;
  }

  ssh(rules: readonly SSHRule[]): Member {
    let member = this.#sshRules.get(rules);
    if (member === undefined) {
      member = this.#member("SSHPolicy", { rules });
      this.#sshRules.set(rules, member);
    }
    return member;
  }

  /** Members that never change during a session, each with a comma behind. */
  constant(capVersion: number): string {
    const { domain, logtail, autoUpdate } = this.#settings;
    return (
      `"Domain":${JSON.stringify(domain)},"CollectServices":false,` +
      (logtail ? "" : `"Debug":{"DisableLogTail":true},`) +
      (capVersion < autoUpdateIsAttribute ? `"DefaultAutoUpdate":${autoUpdate},` : "")
    );
  }
}
