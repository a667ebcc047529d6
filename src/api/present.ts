// The model's records as the interface shows them.
import { formatAddr, formatPrefix, isExitRoute } from "../ip/index.ts";
import type { TailnetReader } from "../tailnet/contract.ts";
import type { ApiKey, Node, PreAuthKey, RegisterMethod, User } from "../tailnet/model.ts";
import { taggedDevicesUserId } from "../wire/ids.ts";
import type { PreAuthKeyId, UserId } from "../wire/ids.ts";
import { RegisterMethod as registerMethods, User as UserType } from "./messages.ts";
import { neverNoted } from "./timestamp.ts";
import type { ApiKeyValue, NodeValue, PreAuthKeyValue, UserValue } from "./messages.ts";

/** As headscale shows a node that has not told its key yet. */
export const zeroDiscoKey = `discokey:${"0".repeat(64)}`;

/** Who owns tagged nodes, as headscale shows it. */
export const taggedDevices: UserValue = {
  ...UserType.unset,
  id: taggedDevicesUserId,
  name: "tagged-devices",
  createdAt: neverNoted,
  displayName: "Tagged Devices",
};

export function presentUser(user: User): UserValue {
  return {
    id: user.id,
    name: user.name,
    createdAt: user.createdAt,
    displayName: user.displayName,
    email: user.email,
    providerId: user.providerId,
    provider: user.provider,
    profilePicUrl: user.profilePicUrl,
    role: user.role === "member" ? "" : user.role,
  };
}

/** `secret` is the whole key, for the one answer that shows it. */
export function presentPreAuthKey(tailnet: TailnetReader, key: PreAuthKey, secret?: string): PreAuthKeyValue {
  const owner = key.userId === null ? undefined : tailnet.user(key.userId);
  return {
    user: owner === undefined ? null : presentUser(owner),
    id: key.id,
    key: secret ?? (key.prefix === "" ? "***" : `hskey-auth-${key.prefix}-***`),
    reusable: key.reusable,
    ephemeral: key.ephemeral,
    used: key.used,
    expiration: key.expiration,
    createdAt: key.createdAt,
    aclTags: key.tags,
  };
}

/** Keys of headscale before 0.28 have a shorter prefix and no `hskey-`. */
const prefixLength = 12;

export function presentApiKey(key: ApiKey): ApiKeyValue {
  return {
    id: key.id,
    prefix: key.prefix.length === prefixLength ? `hskey-api-${key.prefix}-***` : `${key.prefix}***`,
    expiration: key.expiration,
    createdAt: key.createdAt,
    lastSeen: key.lastSeen,
    description: key.description,
    scopes: key.scopes,
  };
}

const methodName: Readonly<Record<RegisterMethod, string>> = {
  authkey: registerMethods.names[1] ?? "",
  cli: registerMethods.names[2] ?? "",
  oidc: registerMethods.names[3] ?? "",
};

/** The model has routes sorted; people find them as the machine gave them. */
function inAdvertisedOrder(node: Node): readonly string[] {
  if (node.advertised.length < 2) {
    return node.advertised.map(formatPrefix);
  }
  const given = node.hostinfo.RoutableIPs ?? [];
  const place = (route: string): number => given.indexOf(route) + (given.includes(route) ? 0 : given.length + 1);
  return node.advertised.map(formatPrefix).sort((a, b) => place(a) - place(b));
}

/** What a node's row needs of other tables, looked up once for a whole list. */
export interface Presenter {
  readonly node: (node: Node) => NodeValue;
}

/**
 * headscale shows a tagged node's owner and the served routes differently in a list and alone; here both are as in its
 * list, which is the form that consoles read.
 */
export function createPresenter(tailnet: TailnetReader): Presenter {
  const users = new Map<UserId, UserValue | null>();
  let keys: ReadonlyMap<PreAuthKeyId, PreAuthKey> | undefined;

  function owner(id: UserId): UserValue | null {
    let shown = users.get(id);
    if (shown === undefined) {
      const user = tailnet.user(id);
      shown = user === undefined ? null : presentUser(user);
      users.set(id, shown);
    }
    return shown;
  }

  function authKey(id: PreAuthKeyId): PreAuthKeyValue | null {
    keys ??= new Map(tailnet.preAuthKeys().map((key) => [key.id, key]));
    const key = keys.get(id);
    return key === undefined ? null : presentPreAuthKey(tailnet, key);
  }

  return {
    node(node) {
      return {
        id: node.id,
        machineKey: node.machineKey,
        nodeKey: node.nodeKey,
        discoKey: node.discoKey ?? zeroDiscoKey,
        ipAddresses: [node.ipv4, node.ipv6].flatMap((addr) => (addr === null ? [] : [formatAddr(addr)])),
        name: node.hostinfo.Hostname ?? "",
        // An orphan, as old databases have them, is nobody's: neither a user's nor tagged.
        user: node.userId !== null ? owner(node.userId) : node.tags.length > 0 ? taggedDevices : null,
        lastSeen: node.lastSeen,
        expiry: node.expiry,
        preAuthKey: node.authKeyId === null ? null : authKey(node.authKeyId),
        createdAt: node.createdAt,
        registerMethod: methodName[node.registerMethod],
        givenName: node.givenName,
        online: node.online,
        approvedRoutes: node.approvedRoutes.map(formatPrefix),
        availableRoutes: inAdvertisedOrder(node),
        subnetRoutes: [...node.primaryRoutes, ...node.routes.filter(isExitRoute)].map(formatPrefix),
        tags: node.tags,
      };
    },
  };
}
