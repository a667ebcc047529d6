// The engine for a server that has never had a good policy although it is told to have one: nobody sees anybody.
import type { PolicyEngine, PolicyView } from "./engine.ts";
import { nextViewId } from "./view-ids.ts";

const none: readonly never[] = [];

export function createDenyAll(): PolicyEngine {
  const view: PolicyView = {
    id: nextViewId(),
    peers: () => none,
    sees: () => false,
    routesOf: (peer) => {
      throw new Error(`routes asked of node ${peer}, which is not seen`);
    },
  };
  return {
    apply: () => ({ everything: false, nodes: none, peers: none }),
    viewOf: () => view,
    filterOf: () => none,
    sshOf: () => none,
    selfCaps: () => ({}),
    peerCaps: () => undefined,
    autoApproved: () => none,
    mayTag: () => false,
    tagExists: () => false,
    ipPools: () => none,
    sshCheckPeriod: () => undefined,
  };
}
