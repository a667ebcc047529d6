// What a case expects against what the engine gives, as the captures' README says to compare. A difference is a line.
import { formatAddr, formatPrefix, hostPrefix, isExitRoute } from "../src/ip/index.ts";
import { compilePolicy, formatProblems, type PolicyEngine, type PolicyNode } from "../src/policy/index.ts";
import type { FilterRule, SSHRule } from "../src/wire/tailcfg.ts";
import { worldOf, type CaseWorld, type Expectation, type PolicyCase } from "./conformance-case.ts";

/** Depends on the hosted product, not on the policy. */
const productCaps = new Set([
  "https://tailscale.com/cap/is-admin",
  "https://tailscale.com/cap/is-owner",
  "https://tailscale.com/cap/tailnet-lock",
  "https://tailscale.com/cap/warn-funnel-no-https",
  "service-host",
  "store-appc-routes",
  "tailnet-display-name",
  "tailnet.maxKeyDuration",
  "native-ipv4",
  "probe-udp-lifetime",
  "ssh-behavior-v1",
  "ssh-env-vars",
]);
const productCapPrefix = "https://tailscale.com/cap/funnel-ports?";

/**
 * Empty when all is equal. `exitRoutes: "ignore"`: who is told exit routes is not compared, for headscale tells them to
 * everybody who may reach anything.
 */
export function compareCase(
  one: PolicyCase,
  category: string,
  exitRoutes: "compare" | "ignore" = "compare",
): readonly string[] {
  const world = worldOf(one);
  const compiled = compilePolicy(one.policy, {
    users: world.users,
    nodes: world.nodes,
    settings: { serverUrl: "https://unused", associatedDomains: one.associated_domains ?? [] },
  });
  if (one.rejected !== null && one.rejected !== undefined) {
    if (compiled.ok) {
      return [`accepted, but must be refused with ${JSON.stringify(one.rejected)}`];
    }
    const text = formatProblems(compiled.errors);
    const byText = category !== "nodeattrs";
    return !byText || text.includes(one.rejected)
      ? []
      : [`refused with ${JSON.stringify(text)}, not ${JSON.stringify(one.rejected)}`];
  }
  if (!compiled.ok) {
    return [`refused: ${formatProblems(compiled.errors)}`];
  }
  const { engine } = compiled;
  return [
    ...Object.entries(one.expect ?? {}).flatMap(([name, expected]) =>
      compareNode({ one, world, engine, category, exitRoutes }, name, expected).map((line) => `${name}: ${line}`),
    ),
    ...(category === "routes" ? compareApprovals(one, world, engine) : []),
  ];
}

interface Run {
  readonly one: PolicyCase;
  readonly world: CaseWorld;
  readonly engine: PolicyEngine;
  readonly category: string;
  readonly exitRoutes: "compare" | "ignore";
}

function compareNode(run: Run, name: string, expected: Expectation): readonly string[] {
  const node = run.world.byName.get(name);
  if (node === undefined) {
    return ["is not among the nodes"];
  }
  const ssh = run.category === "ssh" || run.category === "sshtest" || (expected.ssh ?? []).length > 0;
  return [
    ...difference("filter", normalFilter(run.engine.filterOf(node.id)), normalFilter(expected.filter ?? [])),
    ...(ssh ? difference("ssh", normalSsh(run.engine.sshOf(node.id)), normalSsh(expected.ssh ?? [])) : []),
    ...comparePeers(run, node, expected),
    ...(run.category === "nodeattrs"
      ? difference("selfCapMap", normalCaps(selfCaps(run, node)), normalCaps(expected.selfCapMap ?? {}))
      : []),
  ];
}

function difference(what: string, got: unknown, wanted: unknown): readonly string[] {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  return left === right ? [] : [`${what}\n       got    ${left}\n       wanted ${right}`];
}

type AnyFilter = readonly (FilterRule | NonNullable<Expectation["filter"]>[number])[];

function normalFilter(rules: AnyFilter): unknown {
  return rules.map((rule) => ({
    src: [...(rule.SrcIPs ?? [])].sort(),
    dst: (rule.DstPorts ?? []).map(({ IP, Ports }) => `${IP} ${Ports.First} ${Ports.Last}`).sort(),
    protocols: [...(rule.IPProto ?? [])].sort((x, y) => x - y),
    caps: (rule.CapGrant ?? []).map(({ Dsts, CapMap }) => ({ dst: [...Dsts].sort(), caps: normalCaps(CapMap) })),
  }));
}

type AnySsh = readonly (SSHRule | NonNullable<Expectation["ssh"]>[number])[];

function normalSsh(rules: AnySsh): unknown {
  return rules.map((rule) => ({
    principals: (rule.principals ?? []).map((principal) => JSON.stringify(principal)).sort(),
    users: sortedObject(rule.sshUsers ?? {}),
    action: sortedObject(rule.action ?? {}),
    env: rule.acceptEnv ?? [],
  }));
}

function sortedObject(value: object): unknown {
  return Object.entries(value)
    .filter(([, item]) => item !== false)
    .sort(([x], [y]) => (x < y ? -1 : 1));
}

/** `[]` and null are both a plain flag. */
function normalCaps(caps: Readonly<Record<string, unknown>>): unknown {
  return Object.entries(caps)
    .filter(([name]) => !productCaps.has(name) && !name.startsWith(productCapPrefix))
    .map(([name, value]) => [name, Array.isArray(value) && value.length === 0 ? null : sortKeys(value)] as const)
    .sort(([x], [y]) => (x < y ? -1 : 1));
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(sortKeys);
  }
  return value !== null && typeof value === "object"
    ? Object.entries(value)
        .map(([name, item]) => [name, sortKeys(item)] as const)
        .sort(([x], [y]) => (x < y ? -1 : 1))
    : (value ?? null);
}

/** What every node has from the server itself, policy aside. */
function selfCaps({ one, engine }: Run, node: PolicyNode): Readonly<Record<string, unknown>> {
  return {
    "https://tailscale.com/cap/ssh": [],
    "https://tailscale.com/cap/file-sharing": [],
    "default-auto-update": [one.settings?.["devices_auto_updates_on"] === true],
    ...engine.selfCaps(node.id),
  };
}

function comparePeers(run: Run, node: PolicyNode, expected: Expectation): readonly string[] {
  const view = run.engine.viewOf(node.id);
  const got = view
    .peers()
    .filter((id) => id !== node.id)
    .flatMap((id) => run.world.nodes.find((each) => each.id === id) ?? [])
    .map((peer) => describePeer(run, view.routesOf(peer.id), peer));
  const wanted = (expected.peers ?? []).map((peer) => ({
    name: peer.name,
    allowedIPs: withoutExits(run, peer.allowedIPs ?? []).sort(),
    primaryRoutes: [...(peer.primaryRoutes ?? [])].sort(),
    caps: normalCaps(comparesCaps(run) ? (peer.capMap ?? {}) : {}),
  }));
  const byName = (x: { name: string }, y: { name: string }): number => (x.name < y.name ? -1 : 1);
  return difference("peers", got.sort(byName), wanted.sort(byName));
}

function withoutExits({ exitRoutes }: Run, allowed: readonly string[]): string[] {
  return allowed.filter((text) => exitRoutes === "compare" || (text !== "0.0.0.0/0" && text !== "::/0"));
}

function comparesCaps({ category }: Run): boolean {
  return category === "nodeattrs" || category === "routes" || category === "issue_3212";
}

function describePeer(
  run: Run,
  share: ReturnType<ReturnType<PolicyEngine["viewOf"]>["routesOf"]>,
  peer: PolicyNode,
): { name: string; allowedIPs: string[]; primaryRoutes: string[]; caps: unknown } {
  const own = [share.withoutIPv4 ? null : peer.ipv4, peer.ipv6].flatMap((addr) =>
    addr === null ? [] : [hostPrefix(addr)],
  );
  const told = [
    ...share.ifPrimary.filter((route) => run.world.elected.get(formatPrefix(route)) === peer.name),
    ...share.always,
  ];
  return {
    name: peer.name,
    allowedIPs: withoutExits(run, [
      ...own.map((each) => `${formatAddr(each.addr)}/${each.bits}`),
      ...told.map(formatPrefix),
    ]).sort(),
    primaryRoutes: told
      .filter((route) => !isExitRoute(route))
      .map(formatPrefix)
      .sort(),
    caps: normalCaps(comparesCaps(run) ? (run.engine.peerCaps(peer.id) ?? {}) : {}),
  };
}

/** In these captures nobody approved by hand. */
function compareApprovals(one: PolicyCase, world: CaseWorld, engine: PolicyEngine): readonly string[] {
  return one.nodes.flatMap((given) => {
    const node = world.byName.get(given.name);
    const advertised = world.advertised.get(given.name) ?? [];
    const got =
      node === undefined
        ? []
        : engine
            .autoApproved({ ...node, routes: [] }, advertised)
            .map(formatPrefix)
            .sort();
    const wanted = (given.approved_routes ?? []).filter((route) => (given.routable_ips ?? []).includes(route)).sort();
    return difference("approved", got, wanted).map((line) => `${given.name}: ${line}`);
  });
}
