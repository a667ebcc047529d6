// What the debug pages show: the rooms as they are now, in headscale's shapes where headscale has the page (§4.3).
import packageJson from "../../package.json" with { type: "json" };
import { formatAddr, formatPrefix, parsePrefix } from "../ip/index.ts";
import { createDebug, type DebugAnswer, type DebugHandler, type DebugPage } from "../ops/debug.ts";
import type { LogLevel } from "../ops/logger.ts";
import type { TailnetReader } from "../tailnet/contract.ts";
import type { Node } from "../tailnet/model.ts";
import type { NodeId } from "../wire/ids.ts";
import { shownConfig } from "./debug-config.ts";
import type { NodeSide } from "./node-side.ts";
import type { RelayPart } from "./relay-part.ts";
import type { Startup } from "./startup.ts";
import type { TailnetPart } from "./tailnet-part.ts";

interface Rooms {
  readonly tailnetPart: TailnetPart;
  readonly relay: RelayPart;
  readonly nodes: NodeSide;
}

const clientPrefixes = ["100.64.0.0/10", "fd7a:115c:a1e0::/48"].flatMap((text) => parsePrefix(text) ?? []);
const nodeUsage = "?node=ID|NAME|ADDRESS";

export function debugPart(startup: Startup, rooms: Rooms): DebugHandler {
  const { config } = startup;
  const { tailnet } = rooms.tailnetPart;
  const began = Date.now();
  const { v4, v6 } = config.prefixes;
  const ofNode = (show: (node: Node) => DebugAnswer | string) => (query: URLSearchParams) =>
    withNode(tailnet, query, show);
  const pages = new Map<string, DebugPage>([
    [
      "overview",
      { about: "nodes, users, policy, relays, and what does not work", answer: () => overview(startup, rooms, began) },
    ],
    [
      "config",
      { about: "the configuration in effect, without secrets", answer: () => ({ value: shownConfig(config) }) },
    ],
    [
      "policy",
      { about: "the policy in force", answer: () => policyInForce(tailnet, rooms.tailnetPart.policy.problem()) },
    ],
    [
      "filter",
      {
        about: "the packet filter of a node",
        usage: nodeUsage,
        answer: ofNode((node) => ({ value: tailnet.policy.filterOf(node.id) })),
      },
    ],
    [
      "ssh",
      {
        about: "the SSH rules of a node",
        usage: nodeUsage,
        answer: ofNode((node) => ({ value: tailnet.policy.sshOf(node.id) })),
      },
    ],
    [
      "peers",
      {
        about: "who a node is told of, and which routes",
        usage: nodeUsage,
        answer: ofNode((node) => peers(tailnet, node)),
      },
    ],
    [
      "map",
      {
        about: "the network map a node would be sent now, decoded",
        usage: `${nodeUsage}[&version=N]`,
        answer: (query) => withNode(tailnet, query, (node) => currentMap(rooms.nodes, node, query.get("version"))),
      },
    ],
    ["sessions", { about: "open map streams, and how far behind each is", answer: () => sessions(rooms) }],
    ["batcher", { about: "the same in headscale's shape", answer: () => batcher(rooms) }],
    ["derp", { about: "relays as clients are told of them", answer: () => derp(rooms.relay) }],
    [
      "relay",
      { about: "the relay in this server: who is connected, what it counted", answer: () => relayState(rooms.relay) },
    ],
    ["routes", { about: "routes by node, and who serves each", answer: () => routes(tailnet) }],
    [
      "registration-cache",
      { about: "machines and SSH sessions that wait for a person", answer: () => waiting(rooms.nodes) },
    ],
    ["log-level", logLevel(startup)],
  ]);
  return createDebug({
    pages,
    tailnet: [...clientPrefixes, v4, v6].filter((prefix) => prefix !== null),
    hosts: [new URL(config.serverUrl).hostname, config.dns.baseDomain],
  });
}

/** By id, address, or name, as headscale's ping page takes it. */
function withNode(
  tailnet: TailnetReader,
  query: URLSearchParams,
  show: (node: Node) => DebugAnswer | string,
): DebugAnswer | string {
  const wanted = query.get("node") ?? "";
  if (wanted === "") {
    return `say which node: ${nodeUsage}`;
  }
  const node = tailnet
    .nodes()
    .find(
      ({ id, givenName, ipv4, ipv6 }) =>
        String(id) === wanted ||
        givenName === wanted.toLowerCase() ||
        [ipv4, ipv6].some((addr) => addr !== null && formatAddr(addr) === wanted.toLowerCase()),
    );
  return node === undefined ? "there is no such node" : show(node);
}

function overview(startup: Startup, { tailnetPart, relay, nodes }: Rooms, began: number): DebugAnswer {
  const { tailnet } = tailnetPart;
  const { policy } = startup.config;
  const now = Date.now();
  const all = tailnet.nodes();
  const users = Object.fromEntries(
    tailnet.users().map(({ id, name }) => [name, all.filter(({ userId }) => userId === id).length]),
  );
  const value = {
    nodes: {
      total: all.length,
      online: all.filter(({ online }) => online).length,
      expired: all.filter(({ expiry }) => expiry !== null && expiry <= now).length,
      ephemeral: all.filter(({ ephemeral }) => ephemeral).length,
    },
    users,
    total_users: tailnet.users().length,
    policy: { mode: policy.mode, path: policy.path, problem: tailnetPart.policy.problem() ?? "" },
    derp: { configured: relay.derp !== undefined, regions: Object.keys(relay.map.current().Regions).length },
    primary_routes: tailnet.primaries().size,
    version: packageJson.version,
    uptime_seconds: Math.floor((now - began) / 1000),
    tailnet_version: tailnet.version,
    sessions: nodes.netmap.sessionCount,
    views: nodes.netmap.viewCount,
    waiting: nodes.pending.list().length,
    listening: startup.listening,
    not_working: startup.problems,
  };
  const lines = [
    `${packageJson.name} ${value.version}, up ${value.uptime_seconds} s, tailnet at version ${value.tailnet_version}`,
    `nodes: ${value.nodes.total} (${value.nodes.online} online, ${value.nodes.expired} expired, ${value.nodes.ephemeral} ephemeral)`,
    `sessions: ${value.sessions} with ${value.views} different views; ${value.waiting} logins wait`,
    `users: ${value.total_users}`,
    ...Object.entries(users).map(([name, count]) => `  ${name}: ${count}`),
    `policy: ${policy.mode}${policy.path === "" ? "" : ` ${policy.path}`}${value.policy.problem === "" ? "" : `; ${value.policy.problem}`}`,
    `relays: ${value.derp.regions} regions, ${value.derp.configured ? "one of them here" : "none here"}`,
    `primary routes: ${value.primary_routes}`,
    ...startup.listening.map((place) => `listening: ${place}`),
    ...startup.problems.map((problem) => `not working: ${problem}`),
  ];
  return { value, text: lines.join("\n") };
}

function policyInForce({ policyVersion }: TailnetReader, problem: string | undefined): DebugAnswer {
  return policyVersion === null
    ? { value: { id: 0, text: "" }, text: "no policy was ever set" }
    : {
        value: { ...policyVersion, problem: problem ?? "" },
        text: `${problem === undefined ? "" : `# ${problem}\n`}${policyVersion.text}`,
      };
}

function peers(tailnet: TailnetReader, node: Node): DebugAnswer {
  const view = tailnet.policy.viewOf(node.id);
  const value = view
    .peers()
    .filter((id) => id !== node.id)
    .flatMap((id) => {
      const peer = tailnet.node(id);
      const share = view.routesOf(id);
      return peer === undefined
        ? []
        : {
            id,
            name: peer.givenName,
            online: peer.online,
            addresses: [peer.ipv4, peer.ipv6].flatMap((addr) => (addr === null ? [] : formatAddr(addr))),
            routes_if_primary: share.ifPrimary.map(formatPrefix),
            routes_always: share.always.map(formatPrefix),
          };
    });
  const lines = value.map(({ id, name, online, addresses, routes_if_primary, routes_always }) =>
    [id, name, online ? "online" : "offline", addresses.join(","), [...routes_if_primary, ...routes_always].join(",")]
      .join("  ")
      .trimEnd(),
  );
  return { value: { node: node.id, view: view.id, peers: value }, text: lines.join("\n") };
}

/** What a client of today knows, where a node never said what it is. */
const usualVersion = 142;

function currentMap({ netmap }: NodeSide, node: Node, asked: string | null): DebugAnswer | string {
  const capVersion = asked === null ? node.capVersion || usualVersion : Number(asked);
  if (!Number.isInteger(capVersion) || capVersion < 1 || capVersion > 100_000) {
    return "version is a client's capability version, like 142";
  }
  const { chunks } = netmap.once({ node: node.id, capVersion, compress: "", omitPeers: false });
  const text = Buffer.concat(chunks).subarray(4).toString("utf8");
  return { value: JSON.parse(text) as unknown };
}

function sessions({ nodes, tailnetPart }: Rooms): DebugAnswer {
  const now = Date.now();
  const value = nodes.netmap.sessionStates().map(({ lastSent, ...session }) => ({
    ...session,
    name: tailnetPart.tailnet.node(session.node)?.givenName ?? "",
    silent_ms: Math.max(0, Math.round(now - lastSent)),
  }));
  const lines = value.map(
    ({ session, node, name, capVersion, compression, behind, blocked, silent_ms }) =>
      `session ${session}  node ${node} (${name})  capver ${capVersion}  ${compression === "" ? "plain" : compression}  behind ${behind}${blocked ? ", its socket is full" : ""}  silent ${Math.round(silent_ms / 1000)} s`,
  );
  return { value, text: lines.length === 0 ? "no open sessions" : lines.join("\n") };
}

function batcher({ nodes, tailnetPart }: Rooms): DebugAnswer {
  const open = new Map<NodeId, number>();
  for (const { node } of nodes.netmap.sessionStates()) {
    open.set(node, (open.get(node) ?? 0) + 1);
  }
  const all = tailnetPart.tailnet.nodes();
  const connected = Object.fromEntries(
    all.map(({ id, online }) => [id, { connected: online, active_connections: open.get(id) ?? 0 }]),
  );
  const lines = all.map(
    ({ id, online }) => `node ${id}: ${online ? "connected" : "away"}, ${open.get(id) ?? 0} streams`,
  );
  return { value: { connected_nodes: connected, total_nodes: all.length }, text: lines.join("\n") };
}

function derp(relay: RelayPart): DebugAnswer {
  const regions = Object.values(relay.map.current().Regions);
  const value = {
    configured: relay.derp !== undefined,
    total_regions: regions.length,
    regions: Object.fromEntries(
      regions.map((region) => [
        region.RegionID,
        {
          region_id: region.RegionID,
          region_name: region.RegionName,
          nodes: (region.Nodes ?? []).map((node) => ({
            name: node.Name,
            hostname: node.HostName,
            derp_port: node.DERPPort ?? 443,
            stun_port: node.STUNPort ?? 3478,
          })),
        },
      ]),
    ),
    problems: relay.map.problems(),
  };
  const lines = Object.values(value.regions).flatMap(({ region_id, region_name, nodes }) => [
    `region ${region_id} (${region_name})`,
    ...nodes.map(
      ({ name, hostname, derp_port, stun_port }) => `  ${name}: ${hostname} TCP ${derp_port}, STUN ${stun_port}`,
    ),
  ]);
  return { value, text: [...lines, ...value.problems].join("\n") };
}

function relayState({ derp, counters, listening, problems }: RelayPart): DebugAnswer {
  return { value: { running: derp !== undefined, ...derp?.stats(), listening, problems, counters } };
}

function routes(tailnet: TailnetReader): DebugAnswer {
  const available = Object.fromEntries(
    tailnet.nodes().flatMap(({ id, routes: own }) => (own.length === 0 ? [] : [[id, own.map(formatPrefix)]])),
  );
  const primary = Object.fromEntries(tailnet.primaries());
  const unhealthy = tailnet.unhealthyRouters();
  const lines = [
    ...Object.entries(available).map(([id, own]) => `node ${id}: ${own.join(", ")}`),
    ...Object.entries(primary).map(([route, id]) => `${route}: served by node ${id}`),
    ...unhealthy.map((id) => `node ${id} does not answer the route prober`),
  ];
  return {
    value: { available_routes: available, primary_routes: primary, unhealthy_nodes: unhealthy },
    text: lines.length === 0 ? "no routes" : lines.join("\n"),
  };
}

/** Without the auth ids: who has one can approve. */
function waiting({ pending }: NodeSide): DebugAnswer {
  const value = pending.list().map((entry) => ({
    kind: entry.kind,
    from: entry.source,
    created_at: new Date(entry.createdAt).toISOString(),
    expires_at: new Date(entry.expiresAt).toISOString(),
    ...(entry.kind === "register"
      ? { hostname: entry.registration.hostinfo.Hostname ?? "" }
      : { source_node: entry.sourceNode, destination_node: entry.destinationNode, local_user: entry.localUser }),
  }));
  return value.length === 0 ? { value, text: "nobody waits" } : { value };
}

const levels: readonly LogLevel[] = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

function logLevel({ log }: Startup): DebugPage {
  const show = (): DebugAnswer => ({ value: { level: log.level }, text: log.level });
  return {
    about: "the log level; PUT sets another until the next start",
    answer: show,
    change(body, from) {
      const wanted = body.trim().replace(/^\{\s*"level"\s*:\s*"([a-z]+)"\s*\}$/, "$1");
      const level = levels.find((known) => known === wanted);
      if (level === undefined) {
        return `send one of ${levels.join(", ")}`;
      }
      log.warn({ from, was: log.level, now: level }, "the log level was changed");
      log.level = level;
      return show();
    },
  };
}
