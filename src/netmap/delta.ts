// The difference between what a session knows and what it should know, as an ordered list of messages. It depends on
// the view and the cursor alone, so all sessions with the same two share it; a session whose own node is among the
// changed ones gets it without that node.
//
// First what makes a client rebuild its netmap, then, in a message of its own, what it applies in place (§4.5). One id
// is never both removed and changed in one message (quirk 42): each is looked at once, as it was and as it is.
import type { RouteShare } from "../policy/engine.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { changed, type Changes, cheapPatch, dearPatch } from "./change-log.ts";
import { type Messages, type Part, SharedMessage } from "./message.ts";
import type { PeerBook } from "./peer-book.ts";
import { pairs, sameShare, type View } from "./view.ts";

/** Long lists are cut into parts of this many, so that a list without one of its items is mostly shared. */
const partSize = 64;

interface Upsert {
  readonly id: NodeId;
  readonly share: RouteShare;
}
interface Patch {
  readonly id: NodeId;
  readonly bits: number;
}

/** What differs, as ids. Ascending. */
export interface Difference {
  readonly removed: readonly NodeId[];
  readonly upserts: readonly Upsert[];
  readonly dear: readonly Patch[];
  readonly cheap: readonly Patch[];
  /** Whose profiles have to be told. */
  readonly users: readonly UserId[];
  /** All ids above. */
  readonly ids: ReadonlySet<NodeId>;
}

class Collector {
  readonly removed: NodeId[] = [];
  readonly upserts: Upsert[] = [];
  readonly dear: Patch[] = [];
  readonly cheap: Patch[] = [];
  readonly ids = new Set<NodeId>();

  add(id: NodeId, before: RouteShare | null, now: RouteShare | null, bits: number): void {
    if (now === null) {
      if (before !== null) {
        this.ids.add(id);
        this.removed.push(id);
      }
      return;
    }
    if (before === null || (bits & changed.body) !== 0 || !sameShare(before, now)) {
      this.ids.add(id);
      this.upserts.push({ id, share: now });
      if (before !== null && (bits & changed.online) !== 0) {
        // A client may take the upsert apart into a patch, which loses LastSeen.
        this.cheap.push({ id, bits: changed.online });
      }
      return;
    }
    if (bits === 0) {
      return;
    }
    this.ids.add(id);
    if ((bits & dearPatch) === 0) {
      this.cheap.push({ id, bits: bits & cheapPatch });
      return;
    }
    this.dear.push({ id, bits: bits & ~changed.online });
    if ((bits & changed.online) !== 0) {
      this.cheap.push({ id, bits: changed.online });
    }
  }
}

/**
 * What a session that was in view `was` at `cursor` has to be told to be in view `now`. `ownerOf` is undefined for a
 * node that is gone.
 */
export function differenceBetween(
  was: View,
  now: View,
  cursor: number,
  changes: Changes,
  ownerOf: (id: NodeId) => UserId | undefined,
): Difference {
  const found = new Collector();
  if (was === now) {
    const moved = now.changesSince(cursor);
    const ids = [...new Set([...moved.keys(), ...changes.nodes.keys()])].sort((a, b) => a - b);
    for (const id of ids) {
      const share = now.shareOf(id) ?? null;
      const before = moved.get(id);
      found.add(id, before === undefined ? share : before, share, changes.nodes.get(id) ?? 0);
    }
  } else {
    const then = was.asOf(cursor);
    const next = now.asOf(Infinity);
    for (const { id, before, now: share } of pairs(then.ids, then.shares, next.ids, next.shares)) {
      found.add(id, before, share, changes.nodes.get(id) ?? 0);
    }
  }
  const users = new Set<UserId>();
  for (const { id } of found.upserts) {
    const owner = ownerOf(id);
    if (owner !== undefined && !was.knows(owner, cursor)) {
      users.add(owner);
    }
  }
  // From now on the session counts as knowing everybody its view was told of.
  for (const user of was === now ? now.toldSince(cursor) : now.told) {
    if (!was.knows(user, cursor)) {
      users.add(user);
    }
  }
  for (const user of changes.users) {
    if (now.knows(user, Infinity)) {
      users.add(user);
    }
  }
  const { removed, upserts, dear, cheap, ids } = found;
  return { removed, upserts, dear, cheap, ids, users: [...users].sort((a, b) => a - b) };
}

/** A list whose parts are made once and shared by all messages that have them whole. */
class ListParts {
  readonly #messages: Messages;
  readonly #items: readonly { readonly id: NodeId; readonly text: string }[];
  readonly #made = new Map<number, Part>();

  constructor(messages: Messages, items: readonly { readonly id: NodeId; readonly text: string }[]) {
    this.#messages = messages;
    this.#items = items;
  }

  get size(): number {
    return this.#items.length;
  }

  without(self: NodeId | null): readonly { readonly id: NodeId; readonly text: string }[] {
    return self === null ? this.#items : this.#items.filter(({ id }) => id !== self);
  }

  /** Parts that together are the items, joined by commas. */
  parts(self: NodeId | null): Part[] {
    const parts: Part[] = [];
    for (let start = 0; start < this.#items.length; start += partSize) {
      const items = this.#items.slice(start, start + partSize);
      const rest = self === null ? items : items.filter(({ id }) => id !== self);
      if (rest.length === 0) {
        continue;
      }
      const first = parts.length === 0;
      if (rest.length === items.length && first === (start === 0)) {
        let part = this.#made.get(start);
        if (part === undefined) {
          part = this.#messages.shared(joined(rest, first));
          this.#made.set(start, part);
        }
        parts.push(part);
      } else {
        parts.push(this.#messages.shared(joined(rest, first)));
      }
    }
    return parts;
  }
}

function joined(items: readonly { readonly text: string }[], first: boolean): string {
  const text = items.map((item) => item.text).join(",");
  return first ? text : `,${text}`;
}

export interface DeltaRoom {
  readonly messages: Messages;
  readonly book: PeerBook;
  /** JSON of a user's profile, undefined when the user is gone. */
  profile(user: UserId): string | undefined;
  /** A peer is online; then a single word says so. */
  isOnline(id: NodeId): boolean;
  /** The same text as in another view's delta of this round is the same message. */
  intern(text: string, make: () => SharedMessage): SharedMessage;
}

/** The messages of one difference, with and without one of its nodes. */
export class Delta {
  readonly #room: DeltaRoom;
  readonly ids: ReadonlySet<NodeId>;
  readonly #removed: ListParts;
  readonly #upserts: ListParts;
  readonly #dear: ListParts;
  readonly #cheap: ListParts;
  readonly #online: ListParts;
  readonly #profiles: string;
  #all: readonly SharedMessage[] | undefined;

  constructor(room: DeltaRoom, difference: Difference) {
    this.#room = room;
    this.ids = difference.ids;
    const { book, messages } = room;
    const list = <Item extends { readonly id: NodeId }>(
      items: readonly Item[],
      text: (item: Item) => string | undefined,
    ) =>
      new ListParts(
        messages,
        items.flatMap((item) => {
          const json = text(item);
          return json === undefined ? [] : [{ id: item.id, text: json }];
        }),
      );
    const saysOnline = ({ id, bits }: Patch) => bits === changed.online && room.isOnline(id);
    this.#removed = list(
      difference.removed.map((id) => ({ id })),
      ({ id }) => String(id),
    );
    this.#upserts = list(difference.upserts, ({ id, share }) => book.peer(id, share));
    this.#dear = list(difference.dear, ({ id, bits }) => book.patch(id, bits));
    this.#cheap = list(
      difference.cheap.filter((patch) => !saysOnline(patch)),
      ({ id, bits }) => book.patch(id, bits),
    );
    this.#online = list(difference.cheap.filter(saysOnline), ({ id }) => `"${id}":true`);
    this.#profiles = difference.users
      .map((user) => room.profile(user))
      .filter((json) => json !== undefined)
      .join(",");
  }

  /** In the order they have to be sent; none when there is nothing to tell. */
  get all(): readonly SharedMessage[] {
    this.#all ??= this.#messagesWithout(null);
    return this.#all;
  }

  /** The same without a session's own node. */
  for(self: NodeId): readonly SharedMessage[] {
    return this.ids.has(self) ? this.#messagesWithout(self) : this.all;
  }

  #messagesWithout(self: NodeId | null): readonly SharedMessage[] {
    const dear = this.#message(self, [
      ["PeersRemoved", this.#removed, "[", "]"],
      ["PeersChanged", this.#upserts, "[", "]"],
      ["PeersChangedPatch", this.#dear, "[", "]"],
    ]);
    const cheap = this.#message(
      self,
      [
        ["PeersChangedPatch", this.#cheap, "[", "]"],
        ["OnlineChange", this.#online, "{", "}"],
      ],
      "",
    );
    return [dear, cheap].filter((message) => message !== undefined);
  }

  #message(
    self: NodeId | null,
    fields: readonly (readonly [name: string, list: ListParts, open: string, close: string])[],
    profiles: string = this.#profiles,
  ): SharedMessage | undefined {
    const members: { readonly head: string; readonly list: ListParts | null; readonly tail: string }[] = [];
    let total = 0;
    for (const [name, list, open, close] of fields) {
      const count = list.without(self).length;
      if (count > 0) {
        total += count;
        members.push({ head: `${members.length === 0 ? "{" : ","}"${name}":${open}`, list, tail: close });
      }
    }
    if (profiles !== "") {
      members.push({ head: `${members.length === 0 ? "{" : ","}"UserProfiles":[${profiles}`, list: null, tail: "]" });
    }
    if (members.length === 0) {
      return undefined;
    }
    const { messages } = this.#room;
    if (total <= partSize) {
      const text = `${members
        .map(({ head, list, tail }) => head + (list === null ? "" : joined(list.without(self), true)) + tail)
        .join("")}}`;
      return this.#room.intern(
        text,
        () => new SharedMessage([self === null ? messages.shared(text) : messages.single(text)]),
      );
    }
    const parts: Part[] = [];
    let between = "";
    for (const { head, list, tail } of members) {
      parts.push(messages.single(between + head), ...(list?.parts(self) ?? []));
      between = tail;
    }
    parts.push(messages.single(`${between}}`));
    return new SharedMessage(parts);
  }
}
