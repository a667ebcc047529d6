// Two netmaps of one node, field by field: what a client has after thousands of deltas against what a fresh full map
// says. Any difference is a delta that was lost, doubled or wrong.
import type { MapNode } from "../src/wire/tailcfg.ts";
import type { NetmapModel } from "./netmap-model.ts";
import { sameValue } from "./netmap-model.ts";

export interface Difference {
  /** "self", "peer 17", "filter", … */
  readonly where: string;
  readonly field: string;
  readonly had: unknown;
  readonly fresh: unknown;
}

/**
 * All differences. Where protocol and clients know none, none is seen: null, empty and absent are alike, zero times are
 * absent, LastSeen counts only while offline and only as being there (clients set it by their own clock).
 */
export function compareNetmaps(had: NetmapModel, fresh: NetmapModel): Difference[] {
  const found: Difference[] = [];
  if (had.self !== undefined && fresh.self !== undefined) {
    for (const difference of nodeDifferences(toldByOthers(had.self), toldByOthers(fresh.self))) {
      found.push({ where: "self", ...difference });
    }
  } else if (had.self !== fresh.self) {
    found.push({ where: "self", field: "", had: had.self, fresh: fresh.self });
  }
  for (const id of new Set([...had.peers.keys(), ...fresh.peers.keys()])) {
    const [before, now] = [had.peers.get(id), fresh.peers.get(id)];
    if (before === undefined || now === undefined) {
      found.push({ where: `peer ${id}`, field: "", had: before?.Name, fresh: now?.Name });
    } else if (before !== now) {
      for (const difference of peerDifferences(before, now)) {
        found.push({ where: `peer ${id}`, ...difference });
      }
    }
  }
  const whole: readonly (readonly [string, unknown, unknown])[] = [
    ["filter", had.packetFilter(), fresh.packetFilter()],
    ["DERP map", had.derpMap, fresh.derpMap],
    ["DNS", had.dns, fresh.dns],
    ["domain", had.domain, fresh.domain],
    ["SSH policy", had.sshPolicy, fresh.sshPolicy],
  ];
  for (const [where, before, now] of whole) {
    if (!sameValue(before, now)) {
      found.push({ where, field: "", had: before, fresh: now });
    }
  }
  for (const [id, user] of fresh.users) {
    // Users are never taken back within a stream, so only those of the fresh map count.
    if (!sameValue(had.users.get(id), user)) {
      found.push({ where: `user ${id}`, field: "", had: had.users.get(id), fresh: user });
    }
  }
  return found;
}

type FieldDifference = Omit<Difference, "where">;

/** A thousand clients that share their peers' values share this work too. */
const compared = new WeakMap<MapNode, WeakMap<MapNode, readonly FieldDifference[]>>();

function peerDifferences(had: MapNode, fresh: MapNode): readonly FieldDifference[] {
  let ofHad = compared.get(had);
  if (ofHad === undefined) {
    ofHad = new WeakMap();
    compared.set(had, ofHad);
  }
  let found = ofHad.get(fresh);
  if (found === undefined) {
    found = nodeDifferences(had, fresh);
    ofHad.set(fresh, found);
  }
  return found;
}

function nodeDifferences(had: MapNode, fresh: MapNode): readonly FieldDifference[] {
  const before = comparable(had);
  const now = comparable(fresh);
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((field) => !sameValue(before[field], now[field]))
    .map((field) => ({ field, had: before[field], fresh: now[field] }));
}

/** A node need not be told its own endpoints, home and disco key: it is where they come from. */
function toldByOthers(self: MapNode): MapNode {
  const { Endpoints: _endpoints, HomeDERP: _home, DiscoKey: _disco, ...rest } = self;
  return rest;
}

const zeroTime = "0001-01-01T00:00:00Z";

function comparable(node: MapNode): Record<string, unknown> {
  const { LastSeen: lastSeen, KeyExpiry: keyExpiry, ...rest } = node;
  return {
    ...rest,
    KeyExpiry: keyExpiry === zeroTime ? undefined : keyExpiry,
    wasSeen: node.Online === false && lastSeen !== undefined,
  };
}
