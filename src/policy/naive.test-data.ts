// A second opinion: the language's definition evaluated rule by rule and address by address, with nothing shared with
// the engine but addresses and the shapes of users and nodes. Slow, and meant to be read beside docs/policy.md.
import {
  equalPrefix,
  isExitRoute,
  parsePrefixOrAddr,
  prefixContains,
  prefixOverlaps,
  type Addr,
  type Prefix,
} from "../ip/index.ts";
import type { PolicyNode, PolicyUser } from "./engine.ts";

export interface NaivePolicy {
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  readonly hosts?: Readonly<Record<string, string>>;
  readonly tagOwners?: Readonly<Record<string, readonly string[]>>;
  /** Posture → the one value of custom:tier it asks for. */
  readonly postures?: Readonly<Record<string, readonly string[]>>;
  readonly acls?: readonly NaiveAcl[];
  readonly grants?: readonly NaiveGrant[];
  readonly ssh?: readonly NaiveSsh[];
}
export interface NaiveAcl {
  readonly action: "accept";
  readonly src: readonly string[];
  readonly dst: readonly string[];
  readonly proto?: string;
  readonly srcPosture?: readonly string[];
}
export interface NaiveGrant {
  readonly src: readonly string[];
  readonly dst: readonly string[];
  readonly ip?: readonly string[];
  readonly app?: Readonly<Record<string, readonly unknown[]>>;
  readonly via?: readonly string[];
  readonly srcPosture?: readonly string[];
}
export interface NaiveSsh {
  readonly action: "accept" | "check";
  readonly src: readonly string[];
  readonly dst: readonly string[];
  readonly users: readonly string[];
}

export interface NaiveWorld {
  readonly users: readonly PolicyUser[];
  readonly nodes: readonly PolicyNode[];
  readonly policy: NaivePolicy;
}

export interface Packet {
  readonly src: Addr;
  readonly dst: Addr;
  readonly protocol: number;
  readonly port: number;
}

interface NaiveRule {
  readonly src: readonly string[];
  readonly dst: readonly {
    readonly name: string;
    readonly ports: readonly string[];
    readonly protocol: string | undefined;
  }[];
  readonly via: readonly string[];
  readonly posture: readonly string[];
  /** Gives reachability, but opens no port. */
  readonly appOnly: boolean;
}

const p = (text: string): Prefix => {
  const parsed = parsePrefixOrAddr(text);
  if (parsed === undefined) {
    throw new Error(text);
  }
  return parsed;
};
const tailnet = [p("100.64.0.0/10"), p("fd7a:115c:a1e0::/48")];
const chromeOs = p("100.115.92.0/23");
const privateNets = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"].map(p);
const global6 = p("2000::/3");

export function isPublic(addr: Addr): boolean {
  return addr.family === 4 ? !privateNets.some((net) => prefixContains(net, addr)) : prefixContains(global6, addr);
}

const isTailnet = (addr: Addr): boolean =>
  tailnet.some((net) => prefixContains(net, addr)) && !prefixContains(chromeOs, addr);

export const ownAddresses = (node: PolicyNode): readonly Addr[] =>
  [node.ipv4, node.ipv6].flatMap((addr) => (addr === null ? [] : [addr]));
const subnetsOf = (node: PolicyNode): readonly Prefix[] => node.routes.filter((route) => !isExitRoute(route));
const isExit = (node: PolicyNode): boolean => node.routes.some(isExitRoute);

function rulesOf(policy: NaivePolicy): readonly NaiveRule[] {
  if (policy.acls === undefined && policy.grants === undefined) {
    return [
      { src: ["*"], dst: [{ name: "*", ports: ["*"], protocol: undefined }], via: [], posture: [], appOnly: false },
    ];
  }
  const fromAcls = (policy.acls ?? []).map((acl): NaiveRule => ({
    src: acl.src,
    dst: acl.dst.map((text) => {
      const colon = text.lastIndexOf(":");
      return { name: text.slice(0, colon), ports: text.slice(colon + 1).split(","), protocol: acl.proto };
    }),
    via: [],
    posture: acl.srcPosture ?? [],
    appOnly: false,
  }));
  const fromGrants = (policy.grants ?? []).flatMap((grant): readonly NaiveRule[] => {
    const common = { src: grant.src, via: grant.via ?? [], posture: grant.srcPosture ?? [] };
    const ports = (grant.ip ?? []).map((entry): NaiveRule => {
      const colon = entry.indexOf(":");
      const protocol = colon === -1 ? undefined : entry.slice(0, colon);
      return {
        ...common,
        dst: grant.dst.map((name) => ({ name, ports: entry.slice(colon + 1).split(","), protocol })),
        appOnly: false,
      };
    });
    const app =
      grant.app === undefined || common.via.length > 0
        ? []
        : [{ ...common, dst: grant.dst.map((name) => ({ name, ports: [], protocol: undefined })), appOnly: true }];
    return [...ports, ...app];
  });
  return [...fromGrants, ...fromAcls];
}

/** Is the node one of those that a name means by owner or tags? Undefined: the name does not mean nodes. */
export function nodeIsNamed(world: NaiveWorld, node: PolicyNode, name: string): boolean | undefined {
  const owner = node.tags.length > 0 ? undefined : world.users.find((user) => user.id === node.user);
  const isUser = (token: string): boolean => {
    const text = token.endsWith("@") ? token.slice(0, -1) : token;
    const providers = world.users.filter((user) => user.providerId === text);
    const means =
      providers.length > 0 ? providers : world.users.filter((user) => user.email === text || user.name === text);
    return means.length === 1 && means[0]?.id === owner?.id;
  };
  if (name === "autogroup:member") {
    return owner !== undefined;
  }
  if (name === "autogroup:tagged") {
    return node.tags.length > 0;
  }
  if (name === "autogroup:admin") {
    return owner?.role === "admin";
  }
  if (name.startsWith("tag:")) {
    return node.tags.includes(name);
  }
  if (name.startsWith("group:")) {
    return owner !== undefined && ((world.policy.groups?.[name] ?? []).some(isUser) || owner.groups.includes(name));
  }
  if (name.startsWith("user:*@")) {
    return owner?.email.endsWith(name.slice("user:*".length)) === true;
  }
  return name.includes("@") ? owner !== undefined && isUser(name) : undefined;
}

function literal(world: NaiveWorld, name: string): Prefix | undefined {
  return parsePrefixOrAddr(name) ?? parsePrefixOrAddr(world.policy.hosts?.[name] ?? "");
}

function meets(world: NaiveWorld, rule: NaiveRule, node: PolicyNode): boolean {
  return (
    rule.posture.length === 0 ||
    rule.posture.some((name) =>
      (world.policy.postures?.[name] ?? []).every(
        (condition) => condition === `custom:tier == '${String(node.posture["custom:tier"])}'`,
      ),
    )
  );
}

/** May packets with this source address use the rule? */
function sourceAllows(world: NaiveWorld, rule: NaiveRule, src: Addr): boolean {
  const senders = world.nodes.filter((node) => ownAddresses(node).some((addr) => sameAddr(addr, src)));
  if (rule.posture.length > 0 && !senders.some((node) => meets(world, rule, node))) {
    return false;
  }
  return rule.src.some((name) => {
    if (name === "*") {
      return (
        isTailnet(src) ||
        (rule.posture.length === 0 &&
          world.nodes.some((node) => subnetsOf(node).some((route) => prefixContains(route, src))))
      );
    }
    if (name === "autogroup:danger-all") {
      return true;
    }
    const prefix = literal(world, name);
    if (prefix !== undefined) {
      return prefixContains(prefix, src);
    }
    return senders.some((node) => meets(world, rule, node) && nodeIsNamed(world, node, name) === true);
  });
}

function portAllowed(ports: readonly string[], port: number): boolean {
  return ports.some((text) => {
    if (text === "*") {
      return true;
    }
    const [first = 0, last = first] = text.split("-").map(Number);
    return first <= port && port <= last;
  });
}

function protocolAllowed(name: string | undefined, protocol: number): boolean {
  const number = { tcp: 6, udp: 17, icmp: 1 }[name ?? ""];
  return number === undefined ? [1, 6, 17, 58].includes(protocol) : number === protocol;
}

/** Does the policy let this packet through when it arrives at the node? */
export function allows(world: NaiveWorld, node: PolicyNode, packet: Packet): boolean {
  return rulesOf(world.policy).some(
    (rule) =>
      !rule.appOnly &&
      sourceAllows(world, rule, packet.src) &&
      rule.dst.some(
        (dst) =>
          portAllowed(dst.ports, packet.port) &&
          protocolAllowed(dst.protocol, packet.protocol) &&
          destinationHolds(world, rule, dst.name, node, packet),
      ),
  );
}

function destinationHolds(world: NaiveWorld, rule: NaiveRule, name: string, node: PolicyNode, packet: Packet): boolean {
  const own = ownAddresses(node).some((addr) => sameAddr(addr, packet.dst));
  const prefix = literal(world, name);
  if (rule.via.length > 0) {
    if (!rule.via.some((tag) => node.tags.includes(tag))) {
      return false;
    }
    if (name === "autogroup:internet") {
      return isExit(node) && isPublic(packet.dst);
    }
    return (
      prefix !== undefined &&
      prefixContains(prefix, packet.dst) &&
      subnetsOf(node).some((route) => prefixOverlaps(route, prefix))
    );
  }
  if (name === "*") {
    return true;
  }
  if (name === "autogroup:internet") {
    return isExit(node) && isPublic(packet.dst);
  }
  if (name === "autogroup:self") {
    const owner = node.tags.length > 0 ? undefined : world.users.find((user) => user.id === node.user);
    return (
      own &&
      owner !== undefined &&
      world.nodes.some(
        (sender) =>
          sender.tags.length === 0 &&
          sender.user === owner.id &&
          ownAddresses(sender).some((addr) => sameAddr(addr, packet.src)),
      )
    );
  }
  if (prefix !== undefined) {
    return prefixContains(prefix, packet.dst);
  }
  return own && nodeIsNamed(world, node, name) === true;
}

/** May the one reach the other, whatever the port: itself, or what lies behind it? */
export function mayReach(world: NaiveWorld, from: PolicyNode, to: PolicyNode): boolean {
  return rulesOf(world.policy).some(
    (rule) => rule.dst.some((dst) => reachesThrough(world, rule, dst.name, from, to)) && sourceHolds(world, rule, from),
  );
}

/** Is the node, or a network behind it, among the source of the rule? */
function sourceHolds(world: NaiveWorld, rule: NaiveRule, node: PolicyNode): boolean {
  if (ownAddresses(node).some((addr) => sourceAllows(world, rule, addr))) {
    return true;
  }
  return (
    rule.posture.length === 0 &&
    subnetsOf(node).some((route) =>
      rule.src.some((name) => {
        const prefix = literal(world, name);
        return (
          name === "*" || name === "autogroup:danger-all" || (prefix !== undefined && prefixOverlaps(prefix, route))
        );
      }),
    )
  );
}

function reachesThrough(world: NaiveWorld, rule: NaiveRule, name: string, from: PolicyNode, to: PolicyNode): boolean {
  const prefix = literal(world, name);
  const wholeInternet = name === "*" || name === "autogroup:internet" || (prefix !== undefined && prefix.bits === 0);
  if (rule.via.length > 0) {
    return (
      rule.via.some((tag) => to.tags.includes(tag)) &&
      ((isExit(to) && wholeInternet) ||
        (prefix !== undefined && subnetsOf(to).some((route) => prefixOverlaps(route, prefix))))
    );
  }
  if (name === "autogroup:self") {
    return (
      from.tags.length === 0 &&
      to.tags.length === 0 &&
      from.user !== null &&
      from.user === to.user &&
      world.users.some((user) => user.id === from.user)
    );
  }
  if (name === "*" || (wholeInternet && isExit(to))) {
    return true;
  }
  if (prefix !== undefined) {
    return (
      ownAddresses(to).some((addr) => prefixContains(prefix, addr)) ||
      subnetsOf(to).some((route) => prefixOverlaps(route, prefix))
    );
  }
  return nodeIsNamed(world, to, name) === true;
}

/** May anybody on `from` log in to `to` under this name? */
export function mayLogin(world: NaiveWorld, from: PolicyNode, to: PolicyNode, login: string): boolean {
  return (world.policy.ssh ?? []).some((rule) => {
    const named = rule.src.some((name) => nodeIsNamed(world, from, name) === true);
    const own = from.tags.length === 0 && to.tags.length === 0 && from.user !== null && from.user === to.user;
    const there = rule.dst.some((name) => (name === "autogroup:self" ? own : nodeIsNamed(world, to, name) === true));
    const user = rule.users.some((name) => (name === "autogroup:nonroot" ? login !== "root" : name === login));
    return named && there && user;
  });
}

function sameAddr(x: Addr, y: Addr): boolean {
  return equalPrefix({ addr: x, bits: 0 }, { addr: y, bits: 0 });
}
