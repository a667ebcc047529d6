// Every room's counters as metrics, under one prefix.
import type { ControlCounters } from "../control/counters.ts";
import { latencyBounds } from "../control/latency.ts";
import type { Netmap } from "../netmap/netmap.ts";
import { createMetrics, type Metrics, type Sample } from "../ops/metrics.ts";
import type { RelayCounters } from "../relay/counters.ts";
import type { Tailnet } from "../tailnet/contract.ts";

export function createServerMetrics(rooms: {
  readonly tailnet: Tailnet;
  readonly control: ControlCounters;
  readonly netmap: Pick<Netmap, "counters" | "sessionCount" | "blockedCount" | "viewCount" | "rememberedCount">;
  readonly relay: RelayCounters;
  readonly pendingLogins: () => number;
  readonly policyProblem: () => string | undefined;
  readonly now: () => number;
  readonly version: string;
}): Metrics {
  const { tailnet, now } = rooms;
  const metrics = createMetrics();
  metrics.gauge("hawser_info", "The running version.", () => [{ labels: { version: rooms.version }, value: 1 }]);
  metrics.gauge("hawser_nodes", "Nodes by state; a node may be counted in several.", () => {
    const nodes = tailnet.nodes();
    const states = {
      all: nodes.length,
      online: nodes.filter((node) => node.online).length,
      expired: nodes.filter((node) => node.expiry !== null && node.expiry <= now()).length,
      ephemeral: nodes.filter((node) => node.ephemeral).length,
      tagged: nodes.filter((node) => node.userId === null).length,
    };
    return Object.entries(states).map(([state, value]) => ({ labels: { state }, value }));
  });
  metrics.gauge("hawser_users", "Users.", () => tailnet.users().length);
  metrics.gauge(
    "hawser_tailnet_version",
    "Version of the tailnet; each batch of changes moves it on.",
    () => tailnet.version,
  );
  metrics.gauge("hawser_policy_problem", "1 while something else is in force than the policy that was written.", () =>
    rooms.policyProblem() === undefined ? 0 : 1,
  );
  metrics.gauge("hawser_pending_logins", "Machines and SSH sessions that wait for a person.", rooms.pendingLogins);
  metrics.object("hawser_control", "Node-facing edge", rooms.control, ["connectionsOpen", "streamsOpen"]);
  metrics.object("hawser_netmap", "Netmap engine", rooms.netmap.counters, []);
  metrics.gauge("hawser_netmap_sessions", "Open map streams.", () => rooms.netmap.sessionCount);
  metrics.gauge(
    "hawser_netmap_sessions_blocked",
    "Map streams that wait for their client to read.",
    () => rooms.netmap.blockedCount,
  );
  metrics.gauge(
    "hawser_netmap_views",
    "Different sets of peers that open map streams see.",
    () => rooms.netmap.viewCount,
  );
  metrics.gauge(
    "hawser_netmap_changes_remembered",
    "Changes kept for sessions that may be behind.",
    () => rooms.netmap.rememberedCount,
  );
  metrics.counts(
    "hawser_propagation_seconds",
    "From a change's acceptance to its bytes handed to the system, for each session whose socket took them at once.",
    latencyBounds,
    () => rooms.control.propagation,
  );
  metrics.object("hawser_relay", "Relay", rooms.relay, ["connections", "clients", "homeClients", "watchers"]);
  const byReason = (counts: Readonly<Record<string, number>>) => (): Sample[] =>
    Object.entries(counts).map(([reason, value]) => ({ labels: { reason }, value }));
  metrics.counter("hawser_relay_dropped_total", "Packets not relayed, by reason.", byReason(rooms.relay.dropped));
  metrics.counter(
    "hawser_relay_refused_total",
    "Relay connections refused or ended, by reason.",
    byReason(rooms.relay.refused),
  );
  return metrics;
}
