// What follows from a node's record and from what it tells of itself: advertised and effective routes, and the small
// picture of it that policy sees.
import type { Prefix } from "../ip/index.ts";
import { comparePrefix, equalPrefix, isExitRoute, maskPrefix, parsePrefix } from "../ip/index.ts";
import type { PolicyNode, PolicyUser } from "../policy/engine.ts";
import type { Hostinfo } from "../wire/tailcfg.ts";
import type { Node, NodeRecord, Presence, User } from "./model.ts";

const none: readonly Prefix[] = [];
/** More advertised routes than this are not looked at. */
const maxRoutes = 4096;

/** A node of which nothing was heard. */
export const nothingSaidYet: Presence = {
  hostinfo: {},
  discoKey: null,
  endpoints: [],
  homeDerp: 0,
  capVersion: 0,
  lastSeen: null,
};

/** Sorted, without host bits and repetitions. */
export function sortedPrefixes(prefixes: readonly Prefix[]): readonly Prefix[] {
  if (prefixes.length === 0) {
    return none;
  }
  const sorted = prefixes.map(maskPrefix).sort(comparePrefix);
  return sorted.filter((prefix, i) => {
    const before = sorted[i - 1];
    return before === undefined || !equalPrefix(before, prefix);
  });
}

/** The prefixes a machine advertises; what is no prefix is passed over. */
export function advertisedBy(hostinfo: Hostinfo): readonly Prefix[] {
  const texts = hostinfo.RoutableIPs;
  if (texts === undefined || texts.length === 0) {
    return none;
  }
  return sortedPrefixes(texts.slice(0, maxRoutes).flatMap((text) => parsePrefix(text) ?? []));
}

/** advertised ∩ approved; of the exit routes both or none, since clients use them as a pair (protocol §12, 13). */
export function effectiveRoutes(advertised: readonly Prefix[], approved: readonly Prefix[]): readonly Prefix[] {
  if (advertised.length === 0 || approved.length === 0) {
    return none;
  }
  const routes: Prefix[] = [];
  let exits = 0;
  for (let i = 0, k = 0; i < advertised.length && k < approved.length;) {
    const left = advertised[i];
    const right = approved[k];
    if (left === undefined || right === undefined) {
      break;
    }
    const order = comparePrefix(left, right);
    if (order === 0) {
      routes.push(left);
      exits += isExitRoute(left) ? 1 : 0;
    }
    i += order <= 0 ? 1 : 0;
    k += order >= 0 ? 1 : 0;
  }
  return exits === 1 ? routes.filter((prefix) => !isExitRoute(prefix)) : routes;
}

export function samePrefixes(left: readonly Prefix[], right: readonly Prefix[]): boolean {
  return (
    left === right ||
    (left.length === right.length &&
      left.every((prefix, i) => {
        const other = right[i];
        return other !== undefined && equalPrefix(prefix, other);
      }))
  );
}

/** A node as the model holds it; keeps what is not in `record` and `presence` from the node before. */
export function makeNode(record: NodeRecord, presence: Presence, before: Node | undefined): Node {
  const advertised =
    before !== undefined && before.hostinfo === presence.hostinfo
      ? before.advertised
      : keptIfSame(before?.advertised, advertisedBy(presence.hostinfo));
  const routes = keptIfSame(before?.routes, effectiveRoutes(advertised, record.approvedRoutes));
  return {
    ...record,
    ...presence,
    online: before?.online ?? false,
    advertised,
    routes,
    primaryRoutes: before?.primaryRoutes ?? none,
  };
}

/** The earlier array when it says the same, so that comparing by identity is enough further on. */
export function keptIfSame(before: readonly Prefix[] | undefined, after: readonly Prefix[]): readonly Prefix[] {
  return before !== undefined && samePrefixes(before, after) ? before : after;
}

/** Tagged or a user's; an imported node may have lost its owner and be neither. */
export function isTagged(node: { readonly tags: readonly string[] }): boolean {
  return node.tags.length > 0;
}

export function recordOf(node: Node): NodeRecord {
  return {
    id: node.id,
    stableId: node.stableId,
    machineKey: node.machineKey,
    nodeKey: node.nodeKey,
    nodeLockKey: node.nodeLockKey,
    userId: node.userId,
    tags: node.tags,
    givenName: node.givenName,
    nameFixed: node.nameFixed,
    ipv4: node.ipv4,
    ipv6: node.ipv6,
    registerMethod: node.registerMethod,
    authKeyId: node.authKeyId,
    ephemeral: node.ephemeral,
    createdAt: node.createdAt,
    expiry: node.expiry,
    approvedRoutes: node.approvedRoutes,
  };
}

export function presenceOf(node: Node): Presence {
  return {
    hostinfo: node.hostinfo,
    discoKey: node.discoKey,
    endpoints: node.endpoints,
    homeDerp: node.homeDerp,
    capVersion: node.capVersion,
    lastSeen: node.lastSeen,
  };
}

export function policyUserOf(user: User): PolicyUser {
  return {
    id: user.id,
    name: user.name,
    email: user.email,
    providerId: user.providerId,
    role: user.role,
    groups: user.groups,
  };
}

export function policyNodeOf(node: Node): PolicyNode {
  return {
    id: node.id,
    name: node.givenName,
    user: node.userId,
    tags: node.tags,
    ipv4: node.ipv4,
    ipv6: node.ipv6,
    routes: node.routes,
    posture: postureOf(node.hostinfo),
  };
}

/** The attributes every node has, as Tailscale names them; absent where the client did not say. */
function postureOf(hostinfo: Hostinfo): Readonly<Record<string, string | boolean>> {
  const posture: Record<string, string | boolean> = {};
  if (hostinfo.OS !== undefined) {
    posture["node:os"] = hostinfo.OS;
  }
  if (hostinfo.OSVersion !== undefined) {
    posture["node:osVersion"] = hostinfo.OSVersion;
  }
  if (hostinfo.IPNVersion !== undefined) {
    // The long form carries the commit (`1.98.3-t1234-g5678`); policies compare the number alone.
    const version = /^[0-9]+(?:\.[0-9]+)*/.exec(hostinfo.IPNVersion)?.[0] ?? hostinfo.IPNVersion;
    posture["node:tsVersion"] = version;
    const minor = /^[0-9]+\.([0-9]+)/.exec(version)?.[1];
    posture["node:tsReleaseTrack"] = minor !== undefined && Number(minor) % 2 === 1 ? "unstable" : "stable";
  }
  if (hostinfo.StateEncrypted !== undefined) {
    posture["node:tsStateEncrypted"] = hostinfo.StateEncrypted;
  }
  return posture;
}

/** Does policy see the two alike? */
export function samePolicyNode(left: PolicyNode, right: PolicyNode): boolean {
  return (
    left.name === right.name &&
    left.user === right.user &&
    left.tags === right.tags &&
    left.ipv4 === right.ipv4 &&
    left.ipv6 === right.ipv6 &&
    left.routes === right.routes &&
    left.precedence === right.precedence &&
    sameRecord(left.posture, right.posture)
  );
}

/** The picture with the parts of the earlier one that say the same, so that comparing by identity is enough further on. */
export function withPartsOf(before: PolicyNode | undefined, picture: PolicyNode): PolicyNode {
  return before !== undefined && sameRecord(before.posture, picture.posture)
    ? { ...picture, posture: before.posture }
    : picture;
}

function sameRecord(left: Readonly<Record<string, unknown>>, right: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => left[key] === right[key]);
}
