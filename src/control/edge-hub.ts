// All edges as one: the core and netmap speak of sessions and do not know on which edge they are. The edge's index is
// part of the session's number, so that finding it takes no table.
import type { MapEdge, MapMessage, SessionId } from "../netmap/contract.ts";
import type { EdgeLink } from "./edge-link.ts";

/** Edges that one server may have. */
export const maxEdges = 64;

export interface EdgeHub extends MapEdge {
  /** The index of the new edge. */
  attach(link: EdgeLink): number;
  /** A number never given before for a stream on this edge. */
  newSession(edge: number): SessionId;
}

export function createEdgeHub(): EdgeHub {
  const links: EdgeLink[] = [];
  let sessions = 0;

  function deliver(message: MapMessage, targets: readonly SessionId[], acceptedAt?: number): void {
    const only = links[0];
    if (links.length === 1 && only !== undefined) {
      only.deliver(message, targets, acceptedAt);
      return;
    }
    const shares = new Map<number, SessionId[]>();
    for (const target of targets) {
      const edge = target % maxEdges;
      const share = shares.get(edge);
      if (share === undefined) {
        shares.set(edge, [target]);
      } else {
        share.push(target);
      }
    }
    for (const [edge, share] of shares) {
      links[edge]?.deliver(message, share, acceptedAt);
    }
  }

  return {
    attach(link) {
      if (links.length === maxEdges) {
        throw new RangeError(`a server has at most ${maxEdges} edges`);
      }
      links.push(link);
      return links.length - 1;
    },
    newSession(edge) {
      sessions++;
      return sessions * maxEdges + edge;
    },
    deliver,
    end(session) {
      links[session % maxEdges]?.end(session);
    },
  };
}
