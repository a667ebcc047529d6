// A captured case as its file holds it, and as the engine takes it: users, nodes and who is elected for which prefix.
import { z } from "zod";
import {
  comparePrefix,
  formatPrefix,
  isExitRoute,
  parseAddr,
  parsePrefix,
  type Addr,
  type Prefix,
} from "../src/ip/index.ts";
import type { PolicyNode, PolicyUser, UserRole } from "../src/policy/engine.ts";
import type { NodeId, UserId } from "../src/wire/ids.ts";

const capMap = z.record(z.string(), z.unknown());
const portRule = z.object({ IP: z.string(), Ports: z.object({ First: z.number(), Last: z.number() }) });
const filterRule = z.object({
  SrcIPs: z.array(z.string()).nullish(),
  DstPorts: z.array(portRule).nullish(),
  IPProto: z.array(z.number()).nullish(),
  CapGrant: z.array(z.object({ Dsts: z.array(z.string()), CapMap: capMap })).nullish(),
});
const sshRule = z.object({
  principals: z.array(z.object({ nodeIP: z.string().optional() }).loose()).nullish(),
  sshUsers: z.record(z.string(), z.string()).nullish(),
  action: z.record(z.string(), z.unknown()).nullish(),
  acceptEnv: z.array(z.string()).nullish(),
});
const expectedPeer = z.object({
  name: z.string(),
  allowedIPs: z.array(z.string()).nullish(),
  primaryRoutes: z.array(z.string()).nullish(),
  capMap: capMap.nullish(),
});
const expectation = z.object({
  filter: z.array(filterRule).nullish(),
  ssh: z.array(sshRule).nullish(),
  peers: z.array(expectedPeer).nullish(),
  selfCapMap: capMap.nullish(),
});
const role = z.enum(["owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor", "member"]);
const caseSchema = z.object({
  id: z.string(),
  policy: z.string(),
  users: z.array(z.object({ id: z.number(), name: z.string(), email: z.string(), role: role.catch("member") })),
  associated_domains: z.array(z.string()).nullish(),
  nodes: z.array(
    z.object({
      name: z.string(),
      user: z.string().nullish(),
      tags: z.array(z.string()).nullish(),
      ipv4: z.string().nullish(),
      ipv6: z.string().nullish(),
      routable_ips: z.array(z.string()).nullish(),
      approved_routes: z.array(z.string()).nullish(),
    }),
  ),
  settings: z.record(z.string(), z.unknown()).nullish(),
  rejected: z.string().nullish(),
  expect: z.record(z.string(), expectation).nullish(),
});

export type PolicyCase = z.infer<typeof caseSchema>;
export type Expectation = z.infer<typeof expectation>;

/** Throws where the file is not such a case. */
export function parseCase(value: unknown): PolicyCase {
  return caseSchema.parse(value);
}

export interface CaseWorld {
  readonly users: readonly PolicyUser[];
  readonly nodes: readonly PolicyNode[];
  readonly byName: ReadonlyMap<string, PolicyNode>;
  readonly advertised: ReadonlyMap<string, readonly Prefix[]>;
  /** Prefix → name of the router elected for it. */
  readonly elected: ReadonlyMap<string, string>;
}

/** The engine's view of a case. */
export function worldOf(one: PolicyCase): CaseWorld {
  const users = one.users.map((user): PolicyUser => ({
    id: user.id as UserId,
    name: user.name,
    email: user.email,
    providerId: "",
    role: user.role satisfies UserRole,
    groups: [],
  }));
  const elected = elect(one);
  const winners = new Set(elected.values());
  // Ids decide nothing but ties; who was elected came first.
  const order = [...one.nodes].sort((x, y) => Number(winners.has(y.name)) - Number(winners.has(x.name)));
  const nodes = order.map((node, index): PolicyNode => ({
    id: (index + 1) as NodeId,
    name: node.name,
    user: users.find((user) => user.name === node.user)?.id ?? null,
    tags: [...(node.tags ?? [])].sort(),
    ipv4: address(node.ipv4),
    ipv6: address(node.ipv6),
    routes: prefixes(node.approved_routes).filter((route) => (node.routable_ips ?? []).includes(formatPrefix(route))),
    posture: {},
  }));
  return {
    users,
    nodes,
    byName: new Map(nodes.map((node) => [node.name, node])),
    advertised: new Map(one.nodes.map((node) => [node.name, prefixes(node.routable_ips)])),
    elected,
  };
}

function address(text: string | null | undefined): Addr | null {
  return text === null || text === undefined || text === "" ? null : must(parseAddr(text), text);
}

function prefixes(texts: readonly string[] | null | undefined): readonly Prefix[] {
  return (texts ?? []).map((text) => must(parsePrefix(text), text)).sort(comparePrefix);
}

function must<Value>(value: Value | undefined, text: string): Value {
  if (value === undefined) {
    throw new Error(`cannot read ${JSON.stringify(text)}`);
  }
  return value;
}

/**
 * Which of several routers serves a prefix is the tailnet's state, not the policy's, and the captures do not say it. It
 * shows in what viewers were told: the router that most of them were given (steered viewers may differ).
 */
function elect(one: PolicyCase): ReadonlyMap<string, string> {
  const votes = new Map<string, Map<string, number>>();
  for (const expected of Object.values(one.expect ?? {})) {
    for (const peer of expected.peers ?? []) {
      for (const route of peer.primaryRoutes ?? []) {
        const forRoute = votes.get(route) ?? new Map<string, number>();
        votes.set(route, forRoute.set(peer.name, (forRoute.get(peer.name) ?? 0) + 1));
      }
    }
  }
  const elected = new Map<string, string>();
  for (const node of one.nodes) {
    for (const route of prefixes(node.approved_routes)) {
      const text = formatPrefix(route);
      const best = [...(votes.get(text) ?? [])].sort(([, x], [, y]) => y - x)[0]?.[0];
      if (!isExitRoute(route) && !elected.has(text)) {
        elected.set(text, best ?? node.name);
      }
    }
  }
  return elected;
}
