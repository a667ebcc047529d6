// What headscale told the nodes, as a case like the captured ones, so that the conformance runner's eyes look at it.
import type { NetmapModel } from "../../sim/netmap-model.ts";
import { formatPrefix } from "../../src/ip/index.ts";
import { internetSet, internetTexts } from "../../src/policy/networks.ts";
import type { FilterRule } from "../../src/wire/tailcfg.ts";
import { parseCase, type PolicyCase } from "../conformance-case.ts";
import type { HeadscaleServer } from "./headscale-server.ts";

const internetPrefixes: ReadonlySet<string> = new Set(internetSet.prefixes().map(formatPrefix));

export function caseOf(server: HeadscaleServer, policy: string, told: ReadonlyMap<string, NetmapModel>): PolicyCase {
  return parseCase({
    id: "differential",
    policy,
    users: server.users.map((user) => ({ ...user, role: "member" })),
    associated_domains: ["example.com", "example.org"],
    nodes: server.nodes.map(({ name, user, tags, ipv4, ipv6, routes }) => ({
      name,
      user,
      tags,
      ipv4,
      ipv6,
      routable_ips: routes,
      approved_routes: routes,
    })),
    expect: Object.fromEntries([...told].map(([name, netmap]) => [name, expectation(netmap)])),
  });
}

function expectation(netmap: NetmapModel): unknown {
  return {
    filter: netmap.packetFilter().map(rangesOfInternet),
    ssh: (netmap.sshPolicy?.rules ?? []).map(atUnused),
    peers: [...netmap.peers.values()].map((peer) => ({
      name: (peer.Name ?? "").split(".")[0],
      allowedIPs: peer.AllowedIPs,
      primaryRoutes: peer.PrimaryRoutes,
    })),
  };
}

/** headscale writes autogroup:internet as prefixes, Tailscale as ranges. */
function rangesOfInternet(rule: FilterRule): FilterRule {
  const inside = (rule.DstPorts ?? []).filter(({ IP }) => internetPrefixes.has(IP));
  if (inside.length < internetPrefixes.size) {
    return rule;
  }
  const ports = new Map(inside.map(({ Ports }) => [JSON.stringify(Ports), Ports]));
  const rest = (rule.DstPorts ?? []).filter(({ IP }) => !internetPrefixes.has(IP));
  return {
    ...rule,
    DstPorts: [...rest, ...[...ports.values()].flatMap((Ports) => internetTexts.map((IP) => ({ IP, Ports })))],
  };
}

/** The base of check actions is the server's own. */
function atUnused<Rule extends { readonly action: { readonly holdAndDelegate?: string } }>(rule: Rule): Rule {
  const { holdAndDelegate } = rule.action;
  return holdAndDelegate === undefined
    ? rule
    : {
        ...rule,
        action: { ...rule.action, holdAndDelegate: holdAndDelegate.replace(/^http:\/\/[^/]+/, "https://unused") },
      };
}
