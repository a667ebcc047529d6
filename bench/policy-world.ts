// A large tailnet with the policy such a tailnet has: teams, services by tag, subnet routers, a few hosts and networks,
// people's own devices. Made from a seed, so that two runs measure the same.
import { addrV4, addrV6, parsePrefix, type Prefix } from "../src/ip/index.ts";
import type { PolicyNode, PolicyUser } from "../src/policy/engine.ts";
import type { NodeId, UserId } from "../src/wire/ids.ts";

export interface WorldSize {
  readonly nodes: number;
  readonly users: number;
  readonly groups: number;
  readonly tags: number;
  readonly rules: number;
  /** Rules towards autogroup:self. */
  readonly self: boolean;
}

export interface BenchWorld {
  readonly users: readonly PolicyUser[];
  readonly nodes: readonly PolicyNode[];
  readonly text: string;
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const services = ["22", "80,443", "5432", "6443", "8080-8090", "9090", "3306", "25,587"];

export function makeWorld(size: WorldSize): BenchWorld {
  const random = generator(7);
  const below = (limit: number): number => Math.floor(random() * limit);
  const users = Array.from({ length: size.users }, (_, index): PolicyUser => ({
    id: (index + 1) as UserId,
    name: `user${index}`,
    email: `user${index}@corp.example`,
    providerId: "",
    role: index === 0 ? "owner" : index < 5 ? "admin" : "member",
    groups: [],
  }));
  const nodes = Array.from({ length: size.nodes }, (_, index) => makeNode(index, size, below));
  return { users, nodes, text: policyText(size, below) };
}

/** Six in ten nodes are people's; one in fifty of the others routes a network. */
function makeNode(index: number, size: WorldSize, below: (limit: number) => number): PolicyNode {
  const tagged = below(10) < 4;
  const routes = tagged && below(50) === 0 ? [network(index)] : [];
  return {
    id: (index + 1) as NodeId,
    name: `node${index}`,
    user: tagged ? null : ((below(size.users) + 1) as UserId),
    tags: tagged
      ? [...new Set([`tag:t${below(size.tags)}`, ...(below(4) === 0 ? [`tag:t${below(size.tags)}`] : [])])].sort()
      : [],
    // Spread like Tailscale's, not in a row: neighbours would fold into ranges and make it easier.
    ipv4: addrV4(0x64400000 + 2 + index * 97),
    ipv6: addrV6(0xfd7a115c, 0xa1e00000, 0, 2 + index * 97),
    routes,
    posture: {},
  };
}

function network(index: number): Prefix {
  const prefix = parsePrefix(`10.${(index >> 8) & 255}.${index & 255}.0/24`);
  if (prefix === undefined) {
    throw new Error(`no network for ${index}`);
  }
  return prefix;
}

function policyText(size: WorldSize, below: (limit: number) => number): string {
  const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
  const group = (): string => `group:g${below(size.groups)}`;
  const tag = (): string => `tag:t${below(size.tags)}`;
  const service = (): string => services[below(services.length)] ?? "22";
  const rule = (index: number): unknown => {
    switch (below(10)) {
      case 0:
        return { action: "accept", src: [`user${below(size.users)}@corp.example`], dst: [`${tag()}:${service()}`] };
      case 1:
        return { action: "accept", src: [tag(), tag()], dst: [`${tag()}:${service()}`], proto: "tcp" };
      case 2:
        return { action: "accept", src: [group()], dst: [`10.${below(40)}.${below(256)}.0/24:*`] };
      case 3:
        return { action: "accept", src: [group(), tag()], dst: [`host${below(50)}:${service()}`] };
      case 4:
        return index % 100 < 3
          ? { action: "accept", src: ["autogroup:member"], dst: [`${tag()}:443`] }
          : { action: "accept", src: [group()], dst: [`${tag()}:${service()}`, `${group()}:22`] };
      default:
        return { action: "accept", src: [group(), group()], dst: [`${tag()}:${service()}`, `${tag()}:${service()}`] };
    }
  };
  return JSON.stringify({
    groups: Object.fromEntries(
      range(size.groups).map((index) => [
        `group:g${index}`,
        range(12).map(() => `user${below(size.users)}@corp.example`),
      ]),
    ),
    hosts: Object.fromEntries(
      range(50).map((index) => [`host${index}`, `100.${64 + (index % 60)}.${below(256)}.${below(256)}`]),
    ),
    tagOwners: Object.fromEntries(
      range(size.tags).map((index) => [`tag:t${index}`, [`group:g${index % size.groups}`]]),
    ),
    acls: [
      ...range(size.rules).map(rule),
      ...(size.self ? [{ action: "accept", src: ["autogroup:member"], dst: ["autogroup:self:*"] }] : []),
    ],
    ssh: range(20).map(() => ({ action: "check", src: [group()], dst: [tag()], users: ["autogroup:nonroot"] })),
    nodeAttrs: [{ target: ["tag:t1"], attr: ["funnel"] }],
  });
}
