// The engine for "no policy": every node sees every other with all its routes and may send it anything.
// One view and one filter for all; changes cost what it takes to keep the sorted list of nodes.
import type { NodeId } from "../wire/ids.ts";
import type { CapMap, FilterRule, SSHRule } from "../wire/tailcfg.ts";
import type { PolicyChange, PolicyEffect, PolicyEngine, PolicyNode, PolicyUser, PolicyView } from "./engine.ts";
import { Roster } from "./roster.ts";
import { isTagName, maySetAnyTag } from "./tag-names.ts";
import { nextViewId } from "./view-ids.ts";
import { wholeRoutes } from "./whole-routes.ts";

export interface PolicyPopulation {
  readonly users: Iterable<PolicyUser>;
  readonly nodes: Iterable<PolicyNode>;
}

/** What headscale sends where there is no policy at all. */
const allowAllFilter: readonly FilterRule[] = [
  { SrcIPs: ["*"], DstPorts: [{ IP: "*", Ports: { First: 0, Last: 65535 } }] },
];
/** Who is known to which engine without a policy: explanations look nodes up by name. */
const rosters = new WeakMap<PolicyEngine, Roster>();

/** The population of an engine made here; undefined for every other engine. */
export function allowAllPopulation(engine: PolicyEngine): PolicyPopulation | undefined {
  const roster = rosters.get(engine);
  return roster === undefined ? undefined : { users: [...roster.users()], nodes: [...roster.nodes()] };
}

const noRules: readonly SSHRule[] = [];
const noCaps: CapMap = {};

export function createAllowAll({ users, nodes }: PolicyPopulation): PolicyEngine {
  const roster = new Roster(users, nodes);
  const view: PolicyView = {
    id: nextViewId(),
    peers: () => roster.ids(),
    sees: (peer) => roster.node(peer) !== undefined,
    routesOf: (peer) => {
      const node = roster.node(peer);
      if (node === undefined) {
        throw new Error(`routes asked of node ${peer}, which is not seen`);
      }
      return wholeRoutes(node);
    },
  };
  const engine: PolicyEngine = {
    apply: (changes) => applyTo(roster, changes),
    viewOf: () => view,
    filterOf: () => allowAllFilter,
    sshOf: () => noRules,
    selfCaps: () => noCaps,
    peerCaps: () => undefined,
    autoApproved: () => [],
    mayTag: (owner, tag) => isTagName(tag) && maySetAnyTag(roster.roleOf(owner.user)),
    tagExists: isTagName,
    ipPools: () => [],
    sshCheckPeriod: () => undefined,
  };
  rosters.set(engine, roster);
  return engine;
}

/** Only who is there and with which routes shows; users decide nothing. */
function applyTo(roster: Roster, changes: readonly PolicyChange[]): PolicyEffect {
  const touched = new Set<NodeId>();
  for (const change of changes) {
    roster.apply(change);
    if (change.kind === "node") {
      touched.add(change.node.id);
    } else if (change.kind === "node-removed") {
      touched.add(change.id);
    }
  }
  const peers = [...touched];
  return { everything: false, nodes: peers.filter((id) => roster.node(id) !== undefined), peers };
}
