// Says things to sessions: a full map, what is new of a session's own, and the delta that brings it up to now. Decides
// nothing about when.
import type { Node } from "../tailnet/model.ts";
import type { Audiences } from "./audiences.ts";
import type { MapEdge, MapMessage, SessionId } from "./contract.ts";
import type { NetmapCounters } from "./counters.ts";
import { frameMessage, type Messages, type Part, SharedMessage } from "./message.ts";
import { isExpired, ownerOf, selfNode } from "./node-picture.ts";
import { OwnTexts } from "./own-texts.ts";
import { own, type Session } from "./session.ts";
import type { NetmapSettings, NetmapTailnet } from "./settings.ts";
import type { Snapshot } from "./snapshot.ts";
import { timeText } from "./texts.ts";

export interface TellerOptions {
  readonly tailnet: NetmapTailnet;
  readonly edge: MapEdge;
  readonly settings: NetmapSettings;
  readonly messages: Messages;
  readonly counters: NetmapCounters;
  readonly audiences: Audiences;
  readonly now: () => number;
}

export class Teller {
  readonly audiences: Audiences;
  readonly texts: OwnTexts;
  /** When the oldest change of the round under way was accepted; undefined outside of rounds. */
  newsSince: number | undefined;
  readonly #tailnet: NetmapTailnet;
  readonly #edge: MapEdge;
  readonly #settings: NetmapSettings;
  readonly #messages: Messages;
  readonly #counters: NetmapCounters;
  readonly #now: () => number;

  constructor({ tailnet, edge, settings, messages, counters, audiences, now }: TellerOptions) {
    this.#tailnet = tailnet;
    this.#edge = edge;
    this.#settings = settings;
    this.#counters = counters;
    this.#now = now;
    this.#messages = messages;
    this.audiences = audiences;
    this.texts = new OwnTexts(messages, settings);
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
      this.newsSince,
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

  // Full maps.

  /** Everything, from nothing; then what the shared blocks do not know yet. False when the session is better ended. */
  tellAll(session: Session, node: Node, fresh: boolean): boolean {
    const now = this.#now();
    session.stale = 0;
    session.expired = isExpired(node, now);
    this.audiences.join(session, session.expired || session.omitPeers ? null : this.audiences.of(node.id));
    const snapshot = session.audience === null ? undefined : this.audiences.snapshotOf(session.audience);
    const peers = snapshot?.peers(node.id) ?? [];
    if (!fresh && peers.length === 0) {
      // An empty list does not clear what the client has (quirk 6): it has to begin anew.
      return false;
    }
    const parts = [...this.#ownParts(session, node), ...this.#peerParts(node, snapshot, peers)];
    session.cursor = snapshot?.step ?? this.audiences.log.current;
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
    const profile = snapshot?.hasProfileOf(owner) === true ? undefined : this.audiences.profile(owner);
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
    const snapshot = session.expired || session.omitPeers ? undefined : this.audiences.freshSnapshotOf(node.id);
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
      const profile = this.audiences.profile(ownerOf(node));
      const profiles = profile === undefined ? "" : `,"UserProfiles":[${profile}]`;
      this.#counters.selfUpdates++;
      this.#sendText(`{"Node":${JSON.stringify(selfNode(node, caps, this.#settings))}${profiles}}`, session);
    } else if ((stale & own.user) !== 0) {
      // Its peers' owners are told with its peers; it need not be among them.
      const profile = this.audiences.profile(ownerOf(node));
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
      const message = this.audiences.intern(text, () => new SharedMessage([this.#messages.shared(text)]));
      this.#counters.selfUpdates++;
      this.sendShared(message, [session]);
    }
  }

  /** An expired node is told of no peers. */
  #takePeers(session: Session): void {
    const audience = session.audience === null ? undefined : this.audiences.fresh(session.audience);
    const ids = audience?.view.asOf(session.cursor).ids.filter((id) => id !== session.node) ?? [];
    this.audiences.join(session, null);
    if (ids.length > 0) {
      this.#counters.deltas++;
      this.#sendText(`{"PeersRemoved":[${ids.join(",")}]}`, session);
    }
  }

  /** Brings one session up to now: just opened, or drained. Ends it when that is not possible. */
  catchUp(session: Session): void {
    const node = this.#tailnet.node(session.node);
    if (node === undefined || session.blocked || session.closed) {
      // A deleted node's session is told so by the next round; nothing else is due to it.
      session.stale = node === undefined ? 0 : session.stale;
      return;
    }
    const { current, horizon } = this.audiences.log;
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
    const audience = moves ? this.audiences.of(node.id) : session.audience;
    if (session.audience === audience && session.cursor === current) {
      return;
    }
    const delta = this.audiences.deltaFor(session.audience, audience, session.cursor);
    this.audiences.join(session, audience);
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
    const profile = this.audiences.profile(ownerOf(last));
    const profiles = profile === undefined ? "" : `,"UserProfiles":[${profile}]`;
    this.#counters.selfUpdates++;
    this.#sendText(`{"Node":${JSON.stringify(selfNode(gone, {}, this.#settings))}${profiles}}`, session);
    this.end(session.id);
  }
}
