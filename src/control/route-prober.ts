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

interface Decision {
  readonly node: NodeId;
  readonly healthy: boolean;
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
    const free = [...routers].filter((node) => !asking.has(node));
    free.forEach((node) => asking.add(node));
    const decisions: Decision[] = [];
    const answers = free.map((node) => ask(node, strikes - 1, decisions).finally(() => asking.delete(node)));
    void Promise.all(answers).then(() => carryOut(decisions));
  }

  /**
   * What was found in one cycle takes effect together, the primaries' silence last: when nobody answers, each route
   * stays where it is instead of wandering among the silent.
   */
  function carryOut(decisions: readonly Decision[]): void {
    const rank = ({ node, healthy }: Decision): number =>
      healthy ? 0 : (tailnet.node(node)?.primaryRoutes.length ?? 0) === 0 ? 1 : 2;
    if (!stopped) {
      decisions.toSorted((a, b) => rank(a) - rank(b)).forEach(decide);
    }
  }

  /** After a first failure the second question follows at once. */
  async function ask(node: NodeId, again: number, decisions: Decision[]): Promise<void> {
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
    const verdict = verdictOf(node, session, decisions);
    if (verdict.healthy === outcome.ok) {
      verdict.against = 0;
      return;
    }
    verdict.against++;
    if (verdict.against >= strikes) {
      verdict.healthy = outcome.ok;
      verdict.against = 0;
      decisions.push({ node, healthy: outcome.ok });
    } else if (!outcome.ok && again > 0) {
      await ask(node, again - 1, decisions);
    }
  }

  function verdictOf(node: NodeId, session: SessionId, decisions: Decision[]): Verdict {
    const known = verdicts.get(node);
    if (known !== undefined && known.session === session) {
      return known;
    }
    if (known !== undefined && !known.healthy) {
      decisions.push({ node, healthy: true });
    }
    const fresh: Verdict = { session, healthy: true, against: 0 };
    verdicts.set(node, fresh);
    return fresh;
  }

  function decide({ node, healthy }: Decision): void {
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
