// The commonest answer to "which routes of this peer is a viewer told": all of them, subnet routes as elected, exit
// routes always. One object per state of a node.
import { isExitRoute } from "../ip/index.ts";
import type { PolicyNode, RouteShare } from "./engine.ts";

const shares = new WeakMap<PolicyNode, RouteShare>();

/** Share 0 of a node. */
export function wholeRoutes(node: PolicyNode): RouteShare {
  let share = shares.get(node);
  if (share === undefined) {
    share = {
      id: 0,
      ifPrimary: node.routes.filter((route) => !isExitRoute(route)),
      always: node.routes.filter(isExitRoute),
      withoutIPv4: false,
    };
    shares.set(node, share);
  }
  return share;
}
