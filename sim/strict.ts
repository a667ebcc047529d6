// A strict eye on what a server sends: the shapes that official clients decode (strict-schema.ts), and the rules that
// they rely on without saying so (protocol §4, §12). Every fault is a sentence; an empty list is a good message.
import type { MapNode, MapResponse } from "../src/wire/tailcfg.ts";
import type { NetmapModel } from "./netmap-model.ts";
import { mapResponse } from "./strict-schema.ts";

/** What is wrong with one message by itself. */
export function messageFaults(message: MapResponse): string[] {
  const faults: string[] = [];
  mapResponse(message, "", faults);
  if (faults.length > 0) {
    return faults;
  }
  if (message.KeepAlive && Object.keys(message).length === 1) {
    faults.push("a bare keep-alive arms a client bug (quirk 55)");
  }
  if (message.Peers !== undefined && message.Peers.length === 0) {
    faults.push("an empty Peers says nothing (quirk 6)");
  }
  const told = [...(message.Peers ?? []), ...(message.PeersChanged ?? [])];
  const ids = told.map(({ ID }) => ID);
  if (new Set(ids).size !== ids.length) {
    faults.push("an ID occurs twice");
  }
  const removed = new Set(message.PeersRemoved);
  for (const id of ids.filter((one) => removed.has(one))) {
    faults.push(`peer ${id} is removed and changed in one message (quirk 42)`);
  }
  for (const peer of told) {
    nodeFaults(peer, `peer ${peer.ID}`, faults);
    if (typeof peer.Online !== "boolean") {
      faults.push(`peer ${peer.ID}: Online is not explicit (quirk 17)`);
    }
  }
  if (message.Node) {
    nodeFaults(message.Node, "self", faults);
    if (typeof message.Node.MachineAuthorized !== "boolean") {
      faults.push("self: MachineAuthorized is missing (quirk 25)");
    }
  }
  return faults;
}

function nodeFaults(node: MapNode, who: string, faults: string[]): void {
  const allowed = new Set(node.AllowedIPs);
  if (node.Addresses.some((one) => !/\/(32|128)$/.test(one))) {
    faults.push(`${who}: an address is no single one`);
  }
  if (node.AllowedIPs && node.AllowedIPs.length > 0 && node.Addresses.some((one) => !allowed.has(one))) {
    faults.push(`${who}: AllowedIPs lack an own address (quirk 12)`);
  }
  if (allowed.has("0.0.0.0/0") !== allowed.has("::/0") && node.Addresses.length > 1) {
    faults.push(`${who}: half an exit node (quirk 13)`);
  }
  for (const route of node.PrimaryRoutes ?? []) {
    if (!allowed.has(route) || route.endsWith("/0")) {
      faults.push(`${who}: primary route ${route} is not allowed, or an exit route (quirk 14)`);
    }
  }
}

/** What is wrong with all that a client knows after a message. */
export function netmapFaults(netmap: NetmapModel): string[] {
  const faults: string[] = [];
  const known = [...(netmap.self === undefined ? [] : [netmap.self]), ...netmap.peers.values()];
  const keys = new Map<string, number>();
  const primaries = new Map<string, number>();
  for (const node of known) {
    if (!netmap.users.has(node.User)) {
      faults.push(`node ${node.ID}: its user ${node.User} has no profile (quirk 26)`);
    }
    const other = keys.get(node.Key);
    if (other !== undefined) {
      faults.push(`nodes ${other} and ${node.ID} have one key (quirk 40)`);
    }
    keys.set(node.Key, node.ID);
    for (const route of node.Online === true ? (node.PrimaryRoutes ?? []) : []) {
      const rival = primaries.get(route);
      if (rival !== undefined) {
        faults.push(`nodes ${rival} and ${node.ID} are both primary for ${route} (quirk 14)`);
      }
      primaries.set(route, node.ID);
    }
  }
  if (netmap.self !== undefined && netmap.peers.has(netmap.self.ID)) {
    faults.push("the node is its own peer");
  }
  return faults;
}
