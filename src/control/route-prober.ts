// Finds subnet routers that are connected but no longer answer, so that another one takes over. Only nodes that share a
// prefix with another one are asked; a router that fails twice in a row is unhealthy, one that answers twice in a row
// is healthy again, and a new stream clears the verdict. A silent router is out at the latest after
// interval + 2 × timeout (5 s and 4 s: 13 s). The tailnet keeps a healthy primary where it is, so nothing flaps.
import type { Clock } from "../identity/clock.ts";
import { formatPrefix, isExitRoute } from "../ip/index.ts";
import type { SessionId } from "../netmap/contract.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { NodeId } from "../wire/ids.ts";
import { type Log } from "./log.ts";
import type { NodeCalls } from "./node-calls.ts";
import type { Sessions } from "./sessions.ts";

export interface RouteProber {
  stop(): void;
}

export interface RouteProberRoom {
  readonly tailnet: Pick<Tailnet, "nodes" | "node" | "setRouteHealth">;
  readonly calls: Pick<NodeCalls, "probe">;
  readonly sessions: Pick<Sessions, "of">;
  readonly clock: Clock;
  readonly log: Log;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

interface Verdict {
  session: SessionId;
  healthy: boolean;
  /** Outcomes in a row that speak against `healthy`. */
  against: number;
}

const strikes = 2;

export function startRouteProber(room: RouteProberRoom): RouteProber {
  const { tailnet, calls, sessions, clock, log } = room;
  const verdicts = new Map<NodeId, Verdict>();
  const asking = new Set<NodeId>();
  let stopped = false;
  let cancel = clock.after(room.intervalMs, cycle);

  function cycle(): void {
    cancel = clock.after(room.intervalMs, cycle);
    const routers = new Set(sharedRouters(tailnet));
    for (const [node, verdict] of verdicts) {
      if (!verdict.healthy) {
        // Also when it is alone now: only an answer or a new stream clears the verdict.
        routers.add(node);
      } else if (!routers.has(node)) {
        verdicts.delete(node);
      }
    }
    for (const node of routers) {
      if (!asking.has(node)) {
        asking.add(node);
        void ask(node, strikes - 1).finally(() => asking.delete(node));
      }
    }
  }

  /** After a first failure the second question follows at once. */
  async function ask(node: NodeId, again: number): Promise<void> {
    const session = sessions.of(node);
    if (session === undefined) {
      if (tailnet.node(node) === undefined) {
        verdicts.delete(node);
      }
      return;
    }
    const outcome = await calls.probe(node, room.timeoutMs);
    // A stream that began meanwhile is a fresh start; the answer says nothing about it.
    if (stopped || sessions.of(node) !== session) {
      return;
    }
    if (!outcome.ok && outcome.failure !== "timeout") {
      return;
    }
    const verdict = verdictOf(node, session);
    if (verdict.healthy === outcome.ok) {
      verdict.against = 0;
      return;
    }
    verdict.against++;
    if (verdict.against >= strikes) {
      verdict.healthy = outcome.ok;
      verdict.against = 0;
      decide(node, outcome.ok);
    } else if (!outcome.ok && again > 0) {
      await ask(node, again - 1);
    }
  }

  function verdictOf(node: NodeId, session: SessionId): Verdict {
    const known = verdicts.get(node);
    if (known !== undefined && known.session === session) {
      return known;
    }
    if (known !== undefined && !known.healthy) {
      decide(node, true);
    }
    const fresh: Verdict = { session, healthy: true, against: 0 };
    verdicts.set(node, fresh);
    return fresh;
  }

  function decide(node: NodeId, healthy: boolean): void {
    const name = tailnet.node(node)?.givenName;
    if (healthy) {
      log.info({ node, name }, "subnet router answers again");
    } else {
      log.warn({ node, name }, "subnet router is connected but does not answer; another one takes its routes");
    }
    tailnet.setRouteHealth(node, healthy);
  }

  return {
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** Online nodes that share a subnet route with another online node. */
export function sharedRouters(tailnet: Pick<Tailnet, "nodes">): ReadonlySet<NodeId> {
  const routers = new Map<string, NodeId[]>();
  for (const node of tailnet.nodes()) {
    if (!node.online) {
      continue;
    }
    for (const route of node.routes) {
      if (!isExitRoute(route)) {
        const key = formatPrefix(route);
        const known = routers.get(key);
        if (known === undefined) {
          routers.set(key, [node.id]);
        } else {
          known.push(node.id);
        }
      }
    }
  }
  const shared = new Set<NodeId>();
  for (const nodes of routers.values()) {
    if (nodes.length > 1) {
      nodes.forEach((node) => shared.add(node));
    }
  }
  return shared;
}
