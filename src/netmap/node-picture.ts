// A node as it is told to itself and to its peers (protocol §4.6). Pure functions of the record, of what the policy
// shares, and of the settings; lists come out in one order, because clients compare them element by element.
import { comparePrefix, hostPrefix, isExitRoute, type Prefix } from "../ip/index.ts";
import type { RouteShare } from "../policy/engine.ts";
import type { Node, User } from "../tailnet/model.ts";
import { taggedDevicesUserId, type UserId } from "../wire/ids.ts";
import type { CapMap, MapNode, TimeText, UserProfile } from "../wire/tailcfg.ts";
import { peerHostinfo, selfHostinfo } from "./hostinfo.ts";
import type { NetmapSettings } from "./settings.ts";
import { prefixText, timeText } from "./texts.ts";

/** The owner that clients are told: tagged nodes belong to a pseudo-user. */
export function ownerOf(node: Node): UserId {
  return node.userId ?? taggedDevicesUserId;
}

export function profileOf(id: UserId, user: User | undefined): UserProfile | undefined {
  if (id === taggedDevicesUserId) {
    return { ID: id, LoginName: "tagged-devices", DisplayName: "Tagged Devices" };
  }
  if (user === undefined) {
    return undefined;
  }
  return {
    ID: id,
    LoginName: user.email === "" ? user.name : user.email,
    DisplayName: user.displayName === "" ? user.name : user.displayName,
    ...(user.profilePicUrl === "" ? {} : { ProfilePicURL: user.profilePicUrl }),
  };
}

export function isExpired(node: Node, now: number): boolean {
  return node.expiry !== null && node.expiry <= now;
}

/** The name with its trailing dot. */
export function fullName(node: Node, baseDomain: string): string {
  return baseDomain === "" ? `${node.givenName}.` : `${node.givenName}.${baseDomain}.`;
}

function addressesOf(node: Node, withoutIPv4: boolean): readonly Prefix[] {
  const addresses: Prefix[] = [];
  if (node.ipv4 !== null && !withoutIPv4) {
    addresses.push(hostPrefix(node.ipv4));
  }
  if (node.ipv6 !== null) {
    addresses.push(hostPrefix(node.ipv6));
  }
  return addresses;
}

/** Subnet routes as elected, and those that are told regardless of election; sorted, each once. */
function toldRoutes(node: Node, share: RouteShare): readonly Prefix[] {
  const elected = new Set(node.primaryRoutes.map(prefixText));
  const routes = new Map<string, Prefix>();
  for (const route of share.ifPrimary) {
    if (elected.has(prefixText(route))) {
      routes.set(prefixText(route), route);
    }
  }
  for (const route of share.always) {
    routes.set(prefixText(route), route);
  }
  return [...routes.values()].sort(comparePrefix);
}

function primaryPart(routes: readonly Prefix[]): { readonly PrimaryRoutes?: readonly string[] } {
  const primary = routes.filter((route) => !isExitRoute(route));
  return primary.length === 0 ? {} : { PrimaryRoutes: primary.map(prefixText) };
}

function common(node: Node, settings: Pick<NetmapSettings, "baseDomain">) {
  return {
    ID: node.id,
    StableID: node.stableId,
    Name: fullName(node, settings.baseDomain),
    User: ownerOf(node),
    Key: node.nodeKey,
    ...(node.expiry === null ? {} : { KeyExpiry: timeText(node.expiry) }),
    ...(node.discoKey === null ? {} : { DiscoKey: node.discoKey }),
  };
}

/**
 * A node as a viewer with this share is told of it, without Online and LastSeen (`presenceOf`): those change far more
 * often than the rest. Endpoints are always there, because a client keeps old ones when they are left out (§4.5).
 */
export function peerBody(
  node: Node,
  share: RouteShare,
  caps: CapMap | undefined,
  settings: Pick<NetmapSettings, "baseDomain">,
): MapNode {
  const addresses = addressesOf(node, share.withoutIPv4);
  const routes = toldRoutes(node, share);
  return {
    ...common(node, settings),
    Addresses: addresses.map(prefixText),
    AllowedIPs: [...addresses, ...routes].sort(comparePrefix).map(prefixText),
    Endpoints: node.endpoints,
    ...(node.homeDerp > 0 ? { HomeDERP: node.homeDerp } : {}),
    Hostinfo: peerHostinfo(node.hostinfo),
    Created: timeText(node.createdAt),
    ...(node.capVersion > 0 ? { Cap: node.capVersion } : {}),
    ...(node.tags.length === 0 ? {} : { Tags: node.tags }),
    ...primaryPart(routes),
    ...(caps === undefined ? {} : { CapMap: caps }),
  };
}

/** Online is always explicit; LastSeen only of a peer that is offline (quirk 17). */
export function presenceOf(node: Node): { readonly Online: boolean; readonly LastSeen?: TimeText } {
  return node.online || node.lastSeen === null
    ? { Online: node.online }
    : { Online: false, LastSeen: timeText(node.lastSeen) };
}

/** The server's own attributes of every node, under those of the policy (headscale §6.7). */
export function selfCapMap(policyCaps: CapMap, settings: Pick<NetmapSettings, "taildrop" | "autoUpdate">): CapMap {
  return {
    "https://tailscale.com/cap/is-admin": [],
    "https://tailscale.com/cap/ssh": [],
    ...(settings.taildrop ? { "https://tailscale.com/cap/file-sharing": [] } : {}),
    "default-auto-update": [settings.autoUpdate],
    ...policyCaps,
  };
}

/** A node as it is told of itself. */
export function selfNode(
  node: Node,
  policyCaps: CapMap,
  settings: Pick<NetmapSettings, "baseDomain" | "taildrop" | "autoUpdate">,
): MapNode {
  const addresses = addressesOf(node, "disable-ipv4" in policyCaps);
  const routes = [...node.primaryRoutes, ...node.routes.filter(isExitRoute)].sort(comparePrefix);
  return {
    ...common(node, settings),
    Addresses: addresses.map(prefixText),
    AllowedIPs: [...addresses, ...routes].sort(comparePrefix).map(prefixText),
    Endpoints: node.endpoints,
    ...(node.homeDerp > 0 ? { HomeDERP: node.homeDerp } : {}),
    Hostinfo: selfHostinfo(node.hostinfo),
    Created: timeText(node.createdAt),
    Cap: node.capVersion,
    ...(node.tags.length === 0 ? {} : { Tags: node.tags }),
    ...primaryPart(routes),
    MachineAuthorized: true,
    CapMap: selfCapMap(policyCaps, settings),
  };
}
