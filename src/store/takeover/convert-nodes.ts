// Nodes of a headscale database, 0.25 to 0.29 (headscale.md §5). Ids, stable ids (headscale's are the decimal id), keys
// and addresses stay as they are, because clients store them. A damaged row is mended or set aside, never fatal.
import { comparePrefix, formatAddr, isExitRoute, parseAddr, parsePrefix } from "../../ip/index.ts";
import type { Addr, Prefix } from "../../ip/index.ts";
import type { NodeRecord, PreAuthKey, Presence, RegisterMethod } from "../../tailnet/model.ts";
import { parseDiscoKey, parseMachineKey, parseNodeKey } from "../../wire/ids.ts";
import type { MachineKey, NodeId, NodeKey, UserId } from "../../wire/ids.ts";
import type { Hostinfo } from "../../wire/tailcfg.ts";
import { tagsOf } from "./convert-keys.ts";
import { convertNames } from "./convert-names.ts";
import type { StoredName } from "./convert-names.ts";
import { deadlineOf, flagOf, idOf, jsonOf, listOf, textOf, timeOf, year1 } from "./legacy-values.ts";
import type { Row } from "./legacy-values.ts";
import type { Report } from "./report.ts";

export interface NodeSurroundings {
  readonly users: ReadonlySet<number>;
  readonly preAuthKeys: ReadonlyMap<number, PreAuthKey>;
  /** Rows of the `routes` table that 0.25 still had. */
  readonly routes: readonly Row[];
  /** Reads a Hostinfo as the wire's decoder does; undefined when it is not one. */
  readonly decodeHostinfo: (value: unknown) => Hostinfo | undefined;
  /** May a node of this owner carry the tag? Decides about tags that older clients requested (§5.3, 0.28). */
  readonly mayTag: (user: UserId | null, tags: readonly string[], tag: string) => boolean;
  /** Why that cannot be decided. */
  readonly tagProblem: string | undefined;
}

export interface ConvertedNode {
  readonly record: NodeRecord;
  readonly presence: Presence;
}

interface Taken {
  readonly nodeKeys: Map<string, number>;
  /** Machine key and user. */
  readonly machines: Map<string, number>;
  readonly addresses: Map<string, number>;
}

/** All but its name, which depends on those of the others. */
interface Unnamed {
  readonly record: Omit<NodeRecord, "givenName" | "nameFixed">;
  readonly presence: Presence;
  readonly name: StoredName;
}

export function convertNodes(rows: readonly Row[], around: NodeSurroundings, report: Report): readonly ConvertedNode[] {
  const taken: Taken = { nodeKeys: new Map(), machines: new Map(), addresses: new Map() };
  const routes = legacyRoutes(around.routes, report);
  // Of two rows with one key or address the one seen last is the live one, so it is taken first.
  const newestFirst = [...rows].sort((a, b) => (timeOf(b["last_seen"]) ?? 0) - (timeOf(a["last_seen"]) ?? 0));
  const nodes = newestFirst.flatMap((row) => convertNode(row, around, routes, taken, report) ?? []);
  const names = convertNames(
    nodes.map(({ name }) => name),
    report,
  );
  return nodes
    .flatMap(({ record, presence }, index): readonly ConvertedNode[] => {
      const name = names[index];
      return name === undefined ? [] : [{ record: { ...record, ...name }, presence }];
    })
    .sort((a, b) => a.record.id - b.record.id);
}

function convertNode(
  row: Row,
  around: NodeSurroundings,
  routes: LegacyRoutes,
  taken: Taken,
  report: Report,
): Unnamed | undefined {
  const keys = identityOf(row, taken, report);
  if (keys === undefined) {
    return undefined;
  }
  const { id, subject } = keys;
  const hostinfo = hostinfoOf(row, routes.advertised.get(id), around, subject, report);
  const owner = ownerOf(row, hostinfo, around, subject, report);
  if (owner.userId !== null) {
    const machine = `${owner.userId} ${keys.machineKey}`;
    const twin = taken.machines.get(machine);
    if (twin !== undefined) {
      report.add("set-aside", subject, `is the same machine of the same user as node ${twin}, which was seen later`);
      return undefined;
    }
    taken.machines.set(machine, id);
  }
  const hostname = textOf(row["hostname"]);
  return {
    name: { subject, stored: textOf(row["given_name"]), hostname },
    record: {
      id: id as NodeId,
      stableId: String(id),
      machineKey: keys.machineKey,
      nodeKey: keys.nodeKey,
      nodeLockKey: null,
      userId: owner.userId,
      tags: owner.tags,
      ipv4: addressOf(row["ipv4"], 4, id, taken, subject, report),
      ipv6: addressOf(row["ipv6"], 6, id, taken, subject, report),
      registerMethod: methodOf(row["register_method"]),
      authKeyId: owner.key?.id ?? null,
      ephemeral: owner.key?.ephemeral ?? false,
      createdAt: deadlineOf(row["created_at"]) ?? year1,
      expiry: expiryOf(row, subject, report),
      approvedRoutes: approvedRoutesOf(row, routes.enabled.get(id), subject, report),
    },
    presence: {
      hostinfo: hostinfo.Hostname === undefined && hostname !== "" ? { ...hostinfo, Hostname: hostname } : hostinfo,
      discoKey: parseDiscoKey(textOf(row["disco_key"])) ?? null,
      endpoints: listOf(row["endpoints"]) ?? [],
      homeDerp: hostinfo.NetInfo?.PreferredDERP ?? 0,
      capVersion: 0,
      lastSeen: timeOf(row["last_seen"]) ?? null,
    },
  };
}

interface Identity {
  readonly id: number;
  readonly subject: string;
  readonly machineKey: MachineKey;
  readonly nodeKey: NodeKey;
}

/** What makes the row a node at all: id and keys. Without them it is set aside. */
function identityOf(row: Row, taken: Taken, report: Report): Identity | undefined {
  const id = idOf(row["id"]);
  const subject = `node ${id ?? "?"} (${textOf(row["given_name"]) || textOf(row["hostname"])})`;
  if (row["deleted_at"] !== null && row["deleted_at"] !== undefined) {
    report.add("set-aside", subject, "was deleted in headscale");
    return undefined;
  }
  const machineKey = parseMachineKey(textOf(row["machine_key"]));
  const nodeKey = parseNodeKey(textOf(row["node_key"]));
  if (id === undefined || machineKey === undefined || nodeKey === undefined) {
    report.add("set-aside", subject, "its id or one of its keys is damaged; the machine has to log in again");
    return undefined;
  }
  const twin = taken.nodeKeys.get(nodeKey);
  if (twin !== undefined) {
    report.add("set-aside", subject, `has the same node key as node ${twin}, which was seen later`);
    return undefined;
  }
  taken.nodeKeys.set(nodeKey, id);
  return { id, subject, machineKey, nodeKey };
}

interface Owner {
  readonly userId: UserId | null;
  readonly tags: readonly string[];
  readonly key: PreAuthKey | undefined;
}

/** Tags or a user, never both; an orphan that came with a key regains the key's owner (0.29's repair). */
function ownerOf(row: Row, hostinfo: Hostinfo, around: NodeSurroundings, subject: string, report: Report): Owner {
  const keyId = idOf(row["auth_key_id"]);
  const key = keyId === undefined ? undefined : around.preAuthKeys.get(keyId);
  if (keyId !== undefined && key === undefined) {
    report.add("repaired", subject, `was tied to pre-auth key ${keyId}, which does not exist`);
  }
  const stored = idOf(row["user_id"]);
  const known = stored !== undefined && around.users.has(stored) ? (stored as UserId) : null;
  if (stored !== undefined && known === null) {
    report.add("repaired", subject, `belonged to user ${stored}, who does not exist`);
  }
  const tags = effectiveTags(row, hostinfo, known, around, subject, report);
  if (tags.length > 0) {
    if (known !== null) {
      report.add("changed", subject, `is tagged (${tags.join(", ")}), so it no longer belongs to user ${known}`);
    }
    return { userId: null, tags, key };
  }
  if (known === null && key !== undefined && key.userId !== null) {
    report.add(
      "repaired",
      subject,
      `had lost its owner; it belongs to user ${key.userId} again, as its pre-auth key says`,
    );
    return { userId: key.userId, tags, key };
  }
  if (known === null) {
    report.add(
      "odd",
      subject,
      "has neither owner nor tags; give it one with: hawser nodes move --identifier ID --user USER",
    );
  }
  return { userId: known, tags, key };
}

/** `tags` (0.28 on) or `forced_tags`; before 0.28 permitted tags that the client asked for counted as well. */
function effectiveTags(
  row: Row,
  hostinfo: Hostinfo,
  user: UserId | null,
  around: NodeSurroundings,
  subject: string,
  report: Report,
): readonly string[] {
  if ("tags" in row) {
    return tagsOf(row["tags"], subject, report);
  }
  const forced = tagsOf(row["forced_tags"], subject, report);
  const asked = (hostinfo.RequestTags ?? []).filter((tag) => !forced.includes(tag));
  const requested = asked.filter((tag) => around.mayTag(user, forced, tag));
  if (asked.length > 0 && around.tagProblem !== undefined) {
    report.add("odd", subject, `asks for ${asked.join(", ")} and does not get it: ${around.tagProblem}`);
  }
  if (requested.length > 0) {
    report.add("changed", subject, `keeps the tags it asked for and was allowed: ${requested.join(", ")}`);
  }
  return [...new Set([...forced, ...requested])].sort();
}

function hostinfoOf(
  row: Row,
  advertised: readonly string[] | undefined,
  around: NodeSurroundings,
  subject: string,
  report: Report,
): Hostinfo {
  const json = jsonOf(row["host_info"]);
  const hostinfo = json === null ? {} : around.decodeHostinfo(json);
  if (hostinfo === undefined) {
    report.add("repaired", subject, "its host information cannot be read; the client sends it again when it connects");
  }
  const base = hostinfo ?? {};
  return advertised === undefined || base.RoutableIPs !== undefined ? base : { ...base, RoutableIPs: advertised };
}

function addressOf(
  value: unknown,
  family: 4 | 6,
  id: number,
  taken: Taken,
  subject: string,
  report: Report,
): Addr | null {
  const text = textOf(value);
  if (text === "") {
    return null;
  }
  const addr = parseAddr(text);
  if (addr === undefined || addr.family !== family) {
    report.add(
      "repaired",
      subject,
      `its IPv${family} address ${JSON.stringify(text)} cannot be read; assign one with: hawser nodes backfillips`,
    );
    return null;
  }
  const twin = taken.addresses.get(formatAddr(addr));
  if (twin !== undefined) {
    report.add(
      "repaired",
      subject,
      `shared ${text} with node ${twin}, which was seen later; assign one with: hawser nodes backfillips`,
    );
    return null;
  }
  taken.addresses.set(formatAddr(addr), id);
  return addr;
}

function methodOf(value: unknown): RegisterMethod {
  const text = textOf(value);
  return text === "authkey" || text === "oidc" ? text : "cli";
}

function expiryOf(row: Row, subject: string, report: Report): number | null {
  const expiry = timeOf(row["expiry"]);
  if (expiry === undefined) {
    report.add("repaired", subject, "its key expiry cannot be read; the key counts as expired");
    return 0;
  }
  if (expiry === null && row["expiry"] !== null && row["expiry"] !== undefined && row["expiry"] !== "") {
    report.add("changed", subject, "its expiry at a time that cannot be meant (year 1, mostly) means never");
  }
  return expiry;
}

function approvedRoutesOf(
  row: Row,
  enabled: readonly string[] | undefined,
  subject: string,
  report: Report,
): readonly Prefix[] {
  const stored = "approved_routes" in row ? listOf(row["approved_routes"]) : [];
  if (stored === undefined) {
    report.add("repaired", subject, "its approved routes cannot be read; approve them again");
  }
  const prefixes = [...(stored ?? []), ...(enabled ?? [])].flatMap((text) => {
    const prefix = parsePrefix(text);
    if (prefix === undefined) {
      report.add("repaired", subject, `its approved route ${JSON.stringify(text)} is no prefix`);
    }
    return prefix ?? [];
  });
  const sorted = prefixes.sort(comparePrefix);
  return sorted.filter((prefix, index) => index === 0 || comparePrefix(prefix, sorted[index - 1] ?? prefix) !== 0);
}

interface LegacyRoutes {
  readonly advertised: ReadonlyMap<number, readonly string[]>;
  readonly enabled: ReadonlyMap<number, readonly string[]>;
}

function legacyRoutes(rows: readonly Row[], report: Report): LegacyRoutes {
  const advertised = new Map<number, string[]>();
  const enabled = new Map<number, string[]>();
  for (const row of rows) {
    const node = idOf(row["node_id"]);
    const text = textOf(row["prefix"]);
    if (node === undefined || (row["deleted_at"] !== null && row["deleted_at"] !== undefined)) {
      continue;
    }
    const prefix = parsePrefix(text);
    if (prefix === undefined) {
      report.add("set-aside", `route ${JSON.stringify(text)} of node ${node}`, "is no prefix");
      continue;
    }
    if (flagOf(row["advertised"])) {
      push(advertised, node, text);
    }
    if (flagOf(row["enabled"])) {
      push(enabled, node, text);
      // Exit routes were enabled one by one; they only work as a pair.
      if (isExitRoute(prefix)) {
        push(enabled, node, text === "::/0" ? "0.0.0.0/0" : "::/0");
      }
    }
  }
  return { advertised, enabled };
}

function push(map: Map<number, string[]>, key: number, value: string): void {
  const list = map.get(key);
  if (list === undefined) {
    map.set(key, [value]);
  } else {
    list.push(value);
  }
}
