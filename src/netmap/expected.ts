// The netmap of a node computed plainly from the tailnet and its policy, without views, cursors, blocks or anything
// remembered. It is what every session must have arrived at once all messages were delivered; tests and simulations
// compare with it.
import type { NodeId, UserId } from "../wire/ids.ts";
import type { DERPMap, DNSConfig, FilterRule, MapNode, SSHRule, UserProfile } from "../wire/tailcfg.ts";
import { dnsConfig, dnsConfigFor } from "./dns.ts";
import { isExpired, ownerOf, peerBody, presenceOf, profileOf, selfNode } from "./node-picture.ts";
import type { NetmapSettings, NetmapTailnet } from "./settings.ts";

export interface ExpectedNetmap {
  readonly self: MapNode;
  /** Ascending by id. */
  readonly peers: readonly MapNode[];
  readonly filter: readonly FilterRule[];
  readonly ssh: readonly SSHRule[];
  readonly dns: DNSConfig;
  readonly derp: DERPMap;
  /** Of the owners of the node and of all its peers; a client may know more. */
  readonly profiles: readonly UserProfile[];
}

/** Undefined when the node does not exist. */
export function expectedNetmap(
  tailnet: NetmapTailnet,
  settings: NetmapSettings,
  viewer: { readonly node: NodeId; readonly capVersion: number; readonly omitPeers: boolean },
  now: number,
): ExpectedNetmap | undefined {
  const { policy } = tailnet;
  const node = tailnet.node(viewer.node);
  if (node === undefined) {
    return undefined;
  }
  const caps = policy.selfCaps(node.id);
  const expired = isExpired(node, now);
  const owners = new Set<UserId>([ownerOf(node)]);
  const peers: MapNode[] = [];
  const view = policy.viewOf(node.id);
  for (const id of expired || viewer.omitPeers ? [] : view.peers()) {
    const peer = tailnet.node(id);
    if (peer !== undefined && id !== node.id) {
      owners.add(ownerOf(peer));
      peers.push({ ...peerBody(peer, view.routesOf(id), policy.peerCaps(id), settings), ...presenceOf(peer) });
    }
  }
  const regions = Object.entries(settings.derpMap.Regions).filter(
    ([, region]) => viewer.capVersion >= 115 || region.NoMeasureNoHome !== true,
  );
  return {
    self: selfNode(node, caps, settings),
    peers: peers.sort((a, b) => a.ID - b.ID),
    filter: expired ? [] : policy.filterOf(node.id),
    ssh: expired ? [] : policy.sshOf(node.id),
    dns: dnsConfigFor(dnsConfig(settings.dns, settings), node, caps),
    derp: { ...settings.derpMap, Regions: Object.fromEntries(regions) },
    profiles: [...owners].map((id) => profileOf(id, tailnet.user(id))).filter((profile) => profile !== undefined),
  };
}
