// Says things to sessions: a full map, what is new of a session's own, and the delta that brings it up to now. Holds
// the log, the peers' texts and the views that some session has; decides nothing about when.
import type { Node } from "../tailnet/model.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { changed, ChangeLog } from "./change-log.ts";
import type { MapEdge, MapMessage, SessionId } from "./contract.ts";
import type { NetmapCounters } from "./counters.ts";
import { Delta, type DeltaRoom, differenceBetween } from "./delta.ts";
import { type Compression, frameMessage, Messages, type Part, SharedMessage } from "./message.ts";
import { isExpired, ownerOf, profileOf, selfNode } from "./node-picture.ts";
import { OwnTexts } from "./own-texts.ts";
import { PeerBook } from "./peer-book.ts";
import type { PendingChanges } from "./pending.ts";
import { type Audience, own, type Session } from "./session.ts";
import type { NetmapSettings, NetmapTailnet } from "./settings.ts";
import { Snapshot, type SnapshotRoom } from "./snapshot.ts";
import { timeText } from "./texts.ts";
import { View } from "./view.ts";

/** Changes that the log holds before sessions behind it start over. */
const defaultHorizon = 100_000;
/** Peers in all snapshots together; beyond, those not used for longest go. A peer takes about 0.8 KB. */
const maxSnapshotPeers = 60_000;

export interface TellerOptions {
  readonly tailnet: NetmapTailnet;
  readonly edge: MapEdge;
  readonly settings: NetmapSettings;
  readonly counters: NetmapCounters;
  readonly now: () => number;
  readonly horizon?: number;
}

export class Teller {
  readonly log: ChangeLog;
  readonly book: PeerBook;
  readonly texts: OwnTexts;
  readonly #tailnet: NetmapTailnet;
  readonly #edge: MapEdge;
  readonly #settings: NetmapSettings;
  readonly #messages: Messages;
  readonly #counters: NetmapCounters;
  readonly #now: () => number;
  readonly #room: SnapshotRoom & DeltaRoom;
  /** By the id of the policy's view. */
  readonly #audiences = new Map<number, Audience>();
  /** In the order of their last use. */
  readonly #snapshots = new Set<Audience>();
  readonly #profiles = new Map<UserId, string>();
  /** Of the newest step, by views and cursor. */
  readonly #deltas = new Map<string, Delta>();
  readonly #interned = new Map<string, SharedMessage>();

  constructor({ tailnet, edge, settings, counters, now, horizon = defaultHorizon }: TellerOptions) {
    this.#tailnet = tailnet;
    this.#edge = edge;
    this.#settings = settings;
    this.#counters = counters;
    this.#now = now;
    this.#messages = new Messages(counters);
    this.log = new ChangeLog(horizon);
    this.texts = new OwnTexts(this.#messages, settings);
    this.book = new PeerBook(
      { node: (id) => tailnet.node(id), peerCaps: (id) => tailnet.policy.peerCaps(id) },
      settings,
      counters,
    );
    this.#room = {
      messages: this.#messages,
      book: this.book,
      counters,
      profile: (user) => this.#profile(user),
      ownerOf: (id) => this.#owner(id),
      isOnline: (id) => tailnet.node(id)?.online === true,
      intern: (text, make) => this.#intern(text, make),
    };
  }

  get audiences(): Iterable<Audience> {
    return this.#audiences.values();
  }

  #owner(id: NodeId): UserId | undefined {
    const node = this.#tailnet.node(id);
    return node === undefined ? undefined : ownerOf(node);
  }

  #profile(user: UserId): string | undefined {
    let text = this.#profiles.get(user);
    if (text === undefined) {
      const profile = profileOf(user, this.#tailnet.user(user));
      if (profile === undefined) {
        return undefined;
      }
      text = JSON.stringify(profile);
      this.#profiles.set(user, text);
    }
    return text;
  }

  userChanged(user: UserId, gone: boolean): void {
    this.#profiles.delete(user);
    for (const { view, snapshot } of this.#audiences.values()) {
      snapshot?.profilesChanged();
      if (gone) {
        view.forgetUser(user);
      }
    }
  }

  #intern(text: string, make: () => SharedMessage): SharedMessage {
    let message = this.#interned.get(text);
    if (message === undefined) {
      message = make();
      this.#counters.distinctDeltas++;
      this.#interned.set(text, message);
    }
    return message;
  }

  // Sending.

  send(message: MapMessage, sessions: readonly Session[]): void {
    const now = this.#now();
    for (const session of sessions) {
      session.lastSent = now;
    }
    this.#counters.messages += sessions.length;
    this.#counters.bytes += message.length * sessions.length;
    this.#edge.deliver(
      message,
      sessions.map(({ id }) => id),
    );
  }

  sendShared(message: SharedMessage, sessions: readonly Session[]): void {
    for (const compression of ["zstd", ""] as const) {
      const same = sessions.filter((session) => session.compression === compression);
      if (same.length > 0) {
        this.send(message.framed(compression), same);
      }
    }
  }

  #sendText(text: string, session: Session): void {
    this.send(frameMessage([this.#messages.single(text)], session.compression), [session]);
  }

  end(session: SessionId): void {
    this.#edge.end(session);
  }

  // Audiences.

  audienceOf(node: NodeId): Audience {
    const policy = this.#tailnet.policy.viewOf(node);
    let audience = this.#audiences.get(policy.id);
    if (audience === undefined) {
      const view = new View(policy, (id) => this.#tailnet.node(id) !== undefined);
      this.#tellOwners(view, view.ids);
      audience = { view, due: undefined, sessions: new Set(), snapshot: undefined };
      this.#audiences.set(policy.id, audience);
    }
    return this.#fresh(audience);
  }

  /** Notes whose profiles everybody with this view has from this step on. */
  #tellOwners(view: View, peers: Iterable<NodeId>): void {
    for (const id of peers) {
      const owner = this.#owner(id);
      if (owner !== undefined && view.shareOf(id) !== undefined) {
        view.tell(owner, this.log.current);
      }
    }
  }

  /** Moves the log on by one step; the views follow when they are needed. */
  step(changes: PendingChanges): void {
    for (const audience of this.#audiences.values()) {
      // One that nobody needed at the last step, because all its sessions are blocked.
      this.#fresh(audience);
      audience.due = changes;
    }
    this.log.append(changes.nodes, changes.users);
    this.#deltas.clear();
    this.#interned.clear();
  }

  /** Brings a view to the newest step. Before, no session of it can have been told anything of that step. */
  #fresh(audience: Audience): Audience {
    const { view, due } = audience;
    if (due === undefined) {
      return audience;
    }
    audience.due = undefined;
    const step = this.log.current;
    if (due.everyone) {
      view.refreshAll(step);
      this.#tellOwners(view, view.ids);
    } else {
      view.refresh(step, due.peers);
      this.#tellOwners(view, due.peers);
    }
    for (const [id, bits] of due.nodes) {
      if ((bits & changed.body) !== 0) {
        this.#tellOwners(view, [id]);
      }
    }
    view.forget(this.log.horizon);
    return audience;
  }

  join(session: Session, audience: Audience | null): void {
    if (session.audience !== audience) {
      session.audience?.sessions.delete(session);
      session.audience = audience;
      audience?.sessions.add(session);
    }
  }

  /** Lets go of views that nobody has. */
  sweep(): void {
    for (const [id, audience] of this.#audiences) {
      if (audience.sessions.size === 0) {
        this.#audiences.delete(id);
        this.#snapshots.delete(audience);
      }
    }
  }

  #snapshotOf(audience: Audience): Snapshot {
    const { current } = this.log;
    if (audience.snapshot === undefined) {
      audience.snapshot = new Snapshot(this.#room, audience.view, current);
    } else {
      audience.snapshot.renew(this.log);
    }
    this.#snapshots.delete(audience);
    this.#snapshots.add(audience);
    let held = 0;
    for (const { view } of this.#snapshots) {
      held += view.ids.length;
    }
    for (const oldest of this.#snapshots) {
      if (held <= maxSnapshotPeers || oldest === audience) {
        break;
      }
      held -= oldest.view.ids.length;
      oldest.snapshot = undefined;
      this.#snapshots.delete(oldest);
    }
    return audience.snapshot;
  }

  // Full maps.

  /** Everything, from nothing; then what the shared blocks do not know yet. False when the session is better ended. */
  tellAll(session: Session, node: Node, fresh: boolean): boolean {
    const now = this.#now();
    session.stale = 0;
    session.expired = isExpired(node, now);
    this.join(session, session.expired || session.omitPeers ? null : this.audienceOf(node.id));
    const snapshot = session.audience === null ? undefined : this.#snapshotOf(session.audience);
    const peers = snapshot?.peers(node.id) ?? [];
    if (!fresh && peers.length === 0) {
      // An empty list does not clear what the client has (quirk 6): it has to begin anew.
      return false;
    }
    const parts = [...this.#ownParts(session, node), ...this.#peerParts(node, snapshot, peers)];
    session.cursor = snapshot?.step ?? this.log.current;
    this.#counters.fullMaps++;
    this.send(frameMessage(parts, session.compression), [session]);
    return true;
  }

  #ownParts(session: Session, node: Node): Part[] {
    const policy = this.#tailnet.policy;
    const caps = policy.selfCaps(node.id);
    const derp = this.texts.derpMap(session.capVersion);
    const dns = this.texts.dns(node, caps);
    const filter = this.texts.filter(session.expired ? [] : policy.filterOf(node.id));
    const ssh = this.texts.ssh(session.expired ? [] : policy.sshOf(node.id));
    session.derp = derp.json;
    session.dns = dns.json;
    session.filter = filter.json;
    session.ssh = ssh.json;
    session.caps = JSON.stringify(caps);
    const head =
      `{"Node":${JSON.stringify(selfNode(node, caps, this.#settings))},"ControlTime":"${timeText(this.#now())}",` +
      this.texts.constant(session.capVersion);
    return [this.#messages.single(head), derp.part, dns.part, filter.part, ssh.part];
  }

  #peerParts(node: Node, snapshot: Snapshot | undefined, peers: readonly Part[]): Part[] {
    const owner = ownerOf(node);
    const profiles = snapshot?.profiles;
    const profile = snapshot?.hasProfileOf(owner) === true ? undefined : this.#profile(owner);
    const between = profile !== undefined && profiles !== undefined ? "," : "";
    const tail = peers.length === 0 ? "]}" : '],"Peers":[';
    return [
      this.#messages.single(`"UserProfiles":[${profile ?? ""}${between}`),
      ...(profiles === undefined ? [] : [profiles]),
      this.#messages.single(tail),
      ...peers,
      ...(peers.length === 0 ? [] : [this.#messages.single("]}")]),
    ];
  }

  /** One message with everything as it is now, for a request that is not a stream. */
  once(session: Session, node: Node): MapMessage {
    session.expired = isExpired(node, this.#now());
    let snapshot: Snapshot | undefined;
    if (!session.expired && !session.omitPeers) {
      const view = new View(this.#tailnet.policy.viewOf(node.id), (id) => this.#tailnet.node(id) !== undefined);
      snapshot = new Snapshot(this.#room, view, this.log.current);
    }
    const peers = snapshot?.peers(node.id) ?? [];
    const parts = [...this.#ownParts(session, node), ...this.#peerParts(node, snapshot, peers)];
    return frameMessage(parts, session.compression);
  }

  // What is new.

  /**
   * What changed of the session's own. "expired": it has no peers any more. "restarted": its key is valid again and it
   * was told everything, as of the session's cursor.
   */
  tellOwn(session: Session, node: Node): "same" | "expired" | "restarted" {
    const { stale } = session;
    if (stale === 0) {
      return "same";
    }
    session.stale = 0;
    const expired = isExpired(node, this.#now());
    if (session.expired && !expired) {
      this.tellAll(session, node, true);
      return "restarted";
    }
    const caps = this.#tailnet.policy.selfCaps(node.id);
    this.#tellMembers(session, node, expired);
    const capsText = (stale & own.policy) === 0 ? session.caps : JSON.stringify(caps);
    if ((stale & own.record) !== 0 || capsText !== session.caps) {
      session.caps = capsText;
      const profile = this.#profile(ownerOf(node));
      const profiles = profile === undefined ? "" : `,"UserProfiles":[${profile}]`;
      this.#counters.selfUpdates++;
      this.#sendText(`{"Node":${JSON.stringify(selfNode(node, caps, this.#settings))}${profiles}}`, session);
    } else if ((stale & own.user) !== 0) {
      // Its peers' owners are told with its peers; it need not be among them.
      const profile = this.#profile(ownerOf(node));
      if (profile !== undefined) {
        this.#counters.selfUpdates++;
        this.#sendText(`{"UserProfiles":[${profile}]}`, session);
      }
    }
    if (expired && !session.expired) {
      session.expired = true;
      this.#takePeers(session);
      return "expired";
    }
    return "same";
  }

  /** Filter, ssh rules, DNS, DERP map: those that differ from what the session has. */
  #tellMembers(session: Session, node: Node, expired: boolean): void {
    const { policy } = this.#tailnet;
    const members: string[] = [];
    const filter = this.texts.filter(expired ? [] : policy.filterOf(node.id)).json;
    if (filter !== session.filter) {
      session.filter = filter;
      members.push(filter);
    }
    const ssh = this.texts.ssh(expired ? [] : policy.sshOf(node.id)).json;
    if (ssh !== session.ssh) {
      session.ssh = ssh;
      members.push(ssh);
    }
    const dns = this.texts.dns(node, policy.selfCaps(node.id)).json;
    if (dns !== session.dns) {
      session.dns = dns;
      members.push(dns);
    }
    const derp = this.texts.derpMap(session.capVersion).json;
    if (derp !== session.derp) {
      session.derp = derp;
      members.push(derp);
    }
    if (members.length > 0) {
      const text = `{${members.join(",")}}`;
      const message = this.#intern(text, () => new SharedMessage([this.#messages.shared(text)]));
      this.#counters.selfUpdates++;
      this.sendShared(message, [session]);
    }
  }

  /** An expired node is told of no peers. */
  #takePeers(session: Session): void {
    const audience = session.audience === null ? undefined : this.#fresh(session.audience);
    const ids = audience?.view.asOf(session.cursor).ids.filter((id) => id !== session.node) ?? [];
    this.join(session, null);
    if (ids.length > 0) {
      this.#counters.deltas++;
      this.#sendText(`{"PeersRemoved":[${ids.join(",")}]}`, session);
    }
  }

  /** What brings sessions of `was` with this cursor to `now`; undefined behind the horizon. */
  deltaFor(from: Audience, to: Audience, cursor: number): Delta | undefined {
    const was = this.#fresh(from).view;
    const now = this.#fresh(to).view;
    const key = `${was.key} ${now.key} ${cursor}`;
    let delta = this.#deltas.get(key);
    if (delta === undefined) {
      const changes = this.log.since(cursor, now.ids);
      if (changes === undefined) {
        return undefined;
      }
      delta = new Delta(
        this.#room,
        differenceBetween(was, now, cursor, changes, (id) => this.#owner(id)),
      );
      this.#deltas.set(key, delta);
    }
    return delta;
  }

  /** Brings one session up to now: just opened, or drained. Ends it when that is not possible. */
  catchUp(session: Session): void {
    const node = this.#tailnet.node(session.node);
    if (node === undefined || session.blocked || session.closed) {
      // A deleted node's session is told so by the next round; nothing else is due to it.
      session.stale = node === undefined ? 0 : session.stale;
      return;
    }
    const { current, horizon } = this.log;
    if (session.audience !== null && session.cursor < horizon) {
      this.#counters.restarts++;
      if (this.tellAll(session, node, false)) {
        this.catchUp(session);
      } else {
        this.end(session.id);
      }
      return;
    }
    const moves = (session.stale & own.policy) !== 0;
    if (this.tellOwn(session, node) === "restarted") {
      this.catchUp(session);
      return;
    }
    if (session.audience === null) {
      session.cursor = current;
      return;
    }
    const audience = moves ? this.audienceOf(node.id) : session.audience;
    if (session.audience === audience && session.cursor === current) {
      return;
    }
    const delta = this.deltaFor(session.audience, audience, session.cursor);
    this.join(session, audience);
    session.cursor = current;
    this.#counters.catchUps++;
    for (const message of delta?.for(session.node) ?? []) {
      this.#counters.deltas++;
      this.sendShared(message, [session]);
    }
  }

  /** The node was deleted: its client learns it from a key that expired, and asks for a login (§4.2). */
  tellDeleted(session: Session, last: Node): void {
    const now = this.#now();
    const gone = { ...last, expiry: Math.min(last.expiry ?? Infinity, now - 60_000) };
    const profile = this.#profile(ownerOf(last));
    const profiles = profile === undefined ? "" : `,"UserProfiles":[${profile}]`;
    this.#counters.selfUpdates++;
    this.#sendText(`{"Node":${JSON.stringify(selfNode(gone, {}, this.#settings))}${profiles}}`, session);
    this.end(session.id);
  }
}

export function newSession(
  id: SessionId,
  options: {
    readonly node: NodeId;
    readonly capVersion: number;
    readonly compress: Compression;
    readonly omitPeers: boolean;
  },
): Session {
  return {
    id,
    node: options.node,
    capVersion: options.capVersion,
    compression: options.compress,
    omitPeers: options.omitPeers,
    audience: null,
    cursor: 0,
    stale: 0,
    expired: false,
    blocked: false,
    closed: false,
    filter: "",
    ssh: "",
    dns: "",
    derp: "",
    caps: "",
    lastSent: 0,
    pings: [],
  };
}
