// Nodes as people see them.
import type { NodeValue } from "../../api/messages.ts";
import type { NodeDetailsValue } from "../../api/own-messages.ts";
import { tableTime } from "../durations.ts";
import type { Io } from "../io.ts";
import { renderTable, tableStyle } from "../table.ts";
import type { Cell, Column } from "../table.ts";

/** `[abcde]`: the first five characters of the key in base64, as Tailscale's tools print keys. Nothing for no key. */
export function shortKey(key: string): string {
  const start = key.indexOf(":") + 1;
  // Five characters hold 30 bits.
  const hex = key.slice(start, start + 8);
  const isZero = hex === "00000000" && /^0*$/.test(key.slice(start));
  return hex === "" || isZero ? "" : `[${Buffer.from(hex, "hex").toString("base64").slice(0, 5)}]`;
}

export function isExpired(node: NodeValue, now: number): boolean {
  return node.expiry !== null && node.expiry <= now;
}

const nodeHeader: readonly Column[] = [
  "ID",
  { title: "Hostname", drop: 4 },
  "Name",
  { title: "MachineKey", drop: 7 },
  { title: "NodeKey", drop: 6 },
  "User",
  "Tags",
  "IP addresses",
  { title: "Ephemeral", drop: 5 },
  { title: "Last seen", drop: 3 },
  { title: "Expiration", drop: 1 },
  "Connected",
  { title: "Expired", drop: 2 },
];

export function nodeTable(nodes: readonly NodeValue[], io: Io): string {
  const now = io.now();
  const rows = nodes.map((node): (Cell | string)[] => [
    String(node.id),
    node.name,
    node.givenName,
    shortKey(node.machineKey),
    shortKey(node.nodeKey),
    node.user?.name ?? "",
    node.tags.join("\n"),
    node.ipAddresses.join("\n"),
    String(node.preAuthKey?.ephemeral ?? false),
    tableTime(node.lastSeen, ""),
    expiryCell(node, now),
    node.online ? { text: "online", colour: "green" } : { text: "offline", colour: "red" },
    isExpired(node, now) ? { text: "yes", colour: "red" } : { text: "no", colour: "green" },
  ]);
  return renderTable(nodeHeader, rows, tableStyle(io));
}

function expiryCell(node: NodeValue, now: number): Cell {
  return node.expiry === null
    ? { text: "N/A" }
    : { text: tableTime(node.expiry), colour: isExpired(node, now) ? "red" : "green" };
}

export function routeTable(nodes: readonly NodeValue[], io: Io): string {
  const rows = nodes.map((node) => [
    String(node.id),
    node.givenName,
    node.approvedRoutes.join("\n"),
    node.availableRoutes.join("\n"),
    node.subnetRoutes.join("\n"),
  ]);
  return renderTable(["ID", "Hostname", "Approved", "Available", "Serving (Primary)"], rows, tableStyle(io));
}

/** One node, a line for each thing worth knowing. */
export function nodeDetails(node: NodeValue, details: NodeDetailsValue, io: Io): string {
  const now = io.now();
  const lines: (readonly [string, string])[] = [
    ["ID", String(node.id)],
    ["Name", node.givenName],
    ["Hostname", node.name],
    [node.tags.length > 0 ? "Tags" : "User", node.tags.length > 0 ? node.tags.join(", ") : (node.user?.name ?? "")],
    ["Addresses", node.ipAddresses.join(", ")],
    ["Connected", node.online ? "online" : `offline, last seen ${tableTime(node.lastSeen, "never")}`],
    [
      "Key expires",
      node.expiry === null ? "never" : `${tableTime(node.expiry)}${isExpired(node, now) ? " (expired)" : ""}`,
    ],
    ["Joined", tableTime(node.createdAt)],
    ["System", [details.os, details.osVersion].join(" ").trim()],
    ["Client", details.clientVersion],
    ["Home relay", details.homeRegion === 0 ? "" : `region ${details.homeRegion}`],
    ["Endpoints", details.endpoints.join(", ")],
    ["Ephemeral", details.ephemeral ? "yes" : ""],
    ["Routes advertised", node.availableRoutes.join(", ")],
    ["Routes approved", node.approvedRoutes.join(", ")],
    ["Routes served", node.subnetRoutes.join(", ")],
    ["Machine key", node.machineKey],
    ["Node key", node.nodeKey],
  ];
  const shown = lines.filter(([, text]) => text !== "");
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, text]) => `${`${name}:`.padEnd(width + 2)}${text}`).join("\n");
}
