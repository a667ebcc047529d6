// How the fields of a node's record come about: addresses, name, expiry, approved routes, stable id.
import type { Prefix } from "../ip/index.ts";
import { formatAddr, formatPrefix } from "../ip/index.ts";
import type { Registration, Result } from "./contract.ts";
import { advertisedBy, makeNode, policyNodeOf, samePrefixes, sortedPrefixes } from "./derive.ts";
import type { Grant } from "./grants.ts";
import type { Node, NodeRecord, Presence } from "./model.ts";
import { derivesFrom, sanitizeHostname } from "./names.ts";
import type { TailnetOptions } from "./options.ts";
import type { Plan } from "./plan.ts";

/** Tagged: never. Else the login's word, else what the client asks for within the default. */
export function expiryOf(
  plan: Plan,
  registration: Registration,
  grant: Grant,
  options: TailnetOptions,
): Result<number | null> {
  if ("tags" in grant.owner) {
    return { ok: true, value: null };
  }
  if (grant.expiry !== undefined) {
    return { ok: true, value: grant.expiry };
  }
  const standard = options.defaultNodeExpiry === null ? null : plan.now + options.defaultNodeExpiry;
  const { expiry } = registration;
  if (expiry === undefined) {
    return { ok: true, value: standard };
  }
  return expiry <= plan.now
    ? { ok: false, error: { code: "invalid", text: "requested key expiry is in the past" } }
    : { ok: true, value: standard === null ? expiry : Math.min(standard, expiry) };
}

/** Addresses of both families from the pools policy names, or from the configured prefixes. */
export function withAddresses(
  plan: Plan,
  options: TailnetOptions,
  record: NodeRecord,
  presence: Presence,
): Result<NodeRecord> {
  const pools = plan.policy.ipPools(policyNodeOf(makeNode(record, presence, undefined)));
  const draw = (family: 4 | 6, prefix: Prefix | null): Result<NodeRecord["ipv4"]> => {
    if (prefix === null) {
      return { ok: true, value: null };
    }
    const own = pools.filter((pool) => pool.addr.family === family);
    const addr = plan.takeAddress(own.length > 0 ? own : [prefix]);
    return addr === undefined
      ? { ok: false, error: { code: "exhausted", text: "failed to allocate IP" } }
      : { ok: true, value: addr };
  };
  const ipv4 = draw(4, options.prefixV4);
  if (!ipv4.ok) {
    return ipv4;
  }
  const ipv6 = draw(6, options.prefixV6);
  if (!ipv6.ok) {
    return ipv6;
  }
  return { ok: true, value: { ...record, ipv4: ipv4.value, ipv6: ipv6.value } };
}

/** The record with what auto-approvers grant; approval only ever adds. */
export function withAutoApproval(plan: Plan, record: NodeRecord, presence: Presence): NodeRecord {
  const advertised = advertisedBy(presence.hostinfo);
  if (advertised.length === 0) {
    return record;
  }
  const granted = plan.policy.autoApproved(policyNodeOf(makeNode(record, presence, undefined)), advertised);
  const approvedRoutes = sortedPrefixes([...record.approvedRoutes, ...granted]);
  return samePrefixes(approvedRoutes, record.approvedRoutes) ? record : { ...record, approvedRoutes };
}

/** The name after the machine called itself `hostname`: kept when an admin chose it or when it still fits. */
export function renamed(plan: Plan, node: Node, hostname: string | undefined): string {
  if (node.nameFixed || hostname === undefined || hostname === "") {
    return node.givenName;
  }
  const base = sanitizeHostname(hostname);
  return derivesFrom(node.givenName, base) ? node.givenName : plan.takeUniqueName(base);
}

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Shaped as Tailscale's (`n…CNTRL`); 65 random bits. */
export function newStableId(options: TailnetOptions): string {
  let text = "n";
  for (const byte of options.secrets.randomBytes(11)) {
    text += base58[byte % base58.length] ?? "";
  }
  return `${text}CNTRL`;
}

/** What the audit log says of a node. */
export function shown(node: NodeRecord): object {
  return {
    name: node.givenName,
    nodeKey: node.nodeKey,
    machineKey: node.machineKey,
    user: node.userId,
    tags: node.tags,
    addresses: [node.ipv4, node.ipv6].flatMap((addr) => (addr === null ? [] : formatAddr(addr))),
    expiry: node.expiry,
    ephemeral: node.ephemeral,
    approvedRoutes: node.approvedRoutes.map(formatPrefix),
    authKey: node.authKeyId,
  };
}
