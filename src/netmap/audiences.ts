// Who has which view: the sessions of a view, its blocks, and the deltas of the newest step, each made once for all
// who need it. Views that nobody has are let go, and blocks that were not used for longest.
import type { PolicyView } from "../policy/engine.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { changed, ChangeLog } from "./change-log.ts";
import type { NetmapCounters } from "./counters.ts";
import { Delta, type DeltaRoom, differenceBetween } from "./delta.ts";
import type { Messages, SharedMessage } from "./message.ts";
import { ownerOf, profileOf } from "./node-picture.ts";
import { PeerBook } from "./peer-book.ts";
import type { PendingChanges } from "./pending.ts";
import type { Audience, Session } from "./session.ts";
import type { NetmapSettings, NetmapTailnet } from "./settings.ts";
import { Snapshot, type SnapshotRoom } from "./snapshot.ts";
import { View } from "./view.ts";

/**
 * Changes that the log holds before sessions behind it start over: when every node has changed ten times, a full map is
 * as good as a delta. What views remember of their peers reaches back as far.
 */
const changesPerSession = 10;
const leastHorizon = 10_000;
const mostHorizon = 100_000;
/**
 * Changes of which nobody asks who still needs them; and in how many the sessions are looked at again for the one that is
 * furthest behind: all of them, so not at every step.
 */
const leastKept = 1024;
/** Peers in all snapshots together; beyond, those not used for longest go. A peer takes about 0.8 KB. */
const maxSnapshotPeers = 60_000;

export interface AudiencesOptions {
  readonly tailnet: NetmapTailnet;
  readonly settings: Pick<NetmapSettings, "baseDomain">;
  readonly messages: Messages;
  readonly counters: NetmapCounters;
  readonly horizon?: number;
  readonly kept?: number;
}

export class Audiences {
  readonly log: ChangeLog;
  readonly book: PeerBook;
  readonly #tailnet: NetmapTailnet;
  readonly #counters: NetmapCounters;
  readonly #room: SnapshotRoom & DeltaRoom;
  /** By the id of the policy's view. */
  readonly #audiences = new Map<number, Audience>();
  /** Those that have blocks, in the order of their last use. */
  readonly #snapshots = new Set<Audience>();
  readonly #profiles = new Map<UserId, string>();
  /** Of the newest step, by views and cursor. */
  readonly #deltas = new Map<string, Delta>();
  readonly #interned = new Map<string, SharedMessage>();
  readonly #kept: number;
  /** Of all changes, after how many it was last looked who still needs them. */
  #looked = 0;

  constructor({ tailnet, settings, messages, counters, horizon, kept = leastKept }: AudiencesOptions) {
    this.#tailnet = tailnet;
    this.#counters = counters;
    this.#kept = kept;
    this.log = new ChangeLog(horizon ?? (() => this.#horizon()));
    this.book = new PeerBook(
      { node: (id) => tailnet.node(id), peerCaps: (id) => tailnet.policy.peerCaps(id) },
      settings,
      counters,
    );
    this.#room = {
      messages,
      book: this.book,
      counters,
      profile: (user) => this.profile(user),
      ownerOf: (id) => this.#owner(id),
      isOnline: (id) => tailnet.node(id)?.online === true,
      intern: (text, make) => this.intern(text, make),
    };
  }

  #horizon(): number {
    let sessions = 0;
    for (const audience of this.#audiences.values()) {
      sessions += audience.sessions.size;
    }
    return Math.min(mostHorizon, Math.max(leastHorizon, sessions * changesPerSession));
  }

  get count(): number {
    return this.#audiences.size;
  }

  get all(): Iterable<Audience> {
    return this.#audiences.values();
  }

  #owner(id: NodeId): UserId | undefined {
    const node = this.#tailnet.node(id);
    return node === undefined ? undefined : ownerOf(node);
  }

  /** JSON of a user's profile, undefined when the user is gone. */
  profile(user: UserId): string | undefined {
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

  /** A user's profile changed, or the user is gone. */
  userChanged(user: UserId, gone: boolean): void {
    this.#profiles.delete(user);
    for (const { view, snapshot } of this.#audiences.values()) {
      snapshot?.profilesChanged();
      if (gone) {
        view.forgetUser(user);
      }
    }
  }

  /** The same text as before in this step is the same message. */
  intern(text: string, make: () => SharedMessage): SharedMessage {
    let message = this.#interned.get(text);
    if (message === undefined) {
      message = make();
      this.#counters.distinctDeltas++;
      this.#interned.set(text, message);
    }
    return message;
  }

  /** The sessions that have the view that this node has now. */
  of(node: NodeId): Audience {
    const policy = this.#tailnet.policy.viewOf(node);
    let audience = this.#audiences.get(policy.id);
    if (audience === undefined) {
      const view = this.#viewFrom(policy);
      this.#tellOwners(view, view.ids);
      audience = { view, due: undefined, sessions: new Set(), snapshot: undefined };
      this.#audiences.set(policy.id, audience);
    }
    return this.fresh(audience);
  }

  #viewFrom(policy: PolicyView): View {
    return new View(policy, (id) => this.#tailnet.node(id) !== undefined);
  }

  /** Blocks for one message, of the node's view as it is now. */
  freshSnapshotOf(node: NodeId): Snapshot {
    return new Snapshot(this.#room, this.#viewFrom(this.#tailnet.policy.viewOf(node)), this.log.current);
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
      this.fresh(audience);
      audience.due = changes;
    }
    this.log.append(changes.nodes, changes.users);
    this.#forgetUnneeded();
    this.#deltas.clear();
    this.#interned.clear();
  }

  /** While nobody is behind, what the log and the views remember serves nobody. */
  #forgetUnneeded(): void {
    if (this.log.total - this.#looked > this.#kept) {
      this.#looked = this.log.total;
      this.log.forget(this.#oldestCursor());
    }
  }

  /**
   * Of sessions, and of blocks that are not better made anew: sessions that get them start with that cursor. Whoever is
   * behind the horizon starts over and needs nothing.
   */
  #oldestCursor(): number {
    const { horizon } = this.log;
    let oldest = this.log.current;
    for (const { sessions, snapshot } of this.#audiences.values()) {
      for (const { cursor } of sessions) {
        oldest = cursor < horizon ? oldest : Math.min(oldest, cursor);
      }
      const step = snapshot?.step ?? -1;
      if (step >= horizon && this.log.countSince(step) <= leastHorizon) {
        oldest = Math.min(oldest, step);
      }
    }
    return oldest;
  }

  /** Changes that are remembered for those who are behind, by the log and by each view. */
  get remembered(): number {
    let count = this.log.held;
    for (const { view } of this.#audiences.values()) {
      count += view.remembered;
    }
    return count;
  }

  /** Brings a view to the newest step. Before, no session of it can have been told anything of that step. */
  fresh(audience: Audience): Audience {
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

  /** Moves a session to a view, or to none; one that is closed has none. */
  join(session: Session, to: Audience | null): void {
    const audience = session.closed ? null : to;
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

  /** The blocks of a view, not too old. */
  snapshotOf(audience: Audience): Snapshot {
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

  /** What brings sessions of `was` with this cursor to `now`; undefined behind the horizon. */
  deltaFor(from: Audience, to: Audience, cursor: number): Delta | undefined {
    const was = this.fresh(from).view;
    const now = this.fresh(to).view;
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
}
