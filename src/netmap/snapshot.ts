// The peers of a view as blocks of about 64, compressed once, from which every full map of that view is glued. A
// snapshot stands at the step it was made at: a session that gets it starts with that cursor, and the ordinary delta
// brings it up to now. Only when that delta would become long are the blocks that changed made again.
//
// Presence is in the blocks too, as of the step: coming online is one word in the delta, so it weighs next to nothing,
// and the first message already says of every peer whether it is online. What a block says may be newer than its
// step, never older: telling something twice does no harm, leaving it out does.
import type { NodeId, UserId } from "../wire/ids.ts";
import { changed, type ChangeLog } from "./change-log.ts";
import type { NetmapCounters } from "./counters.ts";
import type { Messages, Part } from "./message.ts";
import type { PeerBook } from "./peer-book.ts";
import type { View } from "./view.ts";

const blockSize = 64;
/** A block that grew beyond this is cut. */
const maxBlock = 96;
/** A delta that costs more than this part of the whole is worth making blocks again. */
const maxDelta = 1 / 8;
/** Rough sizes of what a delta says, in peers: whole, a patch, a word. */
const weight = { body: 1, patch: 0.3, online: 0.03 };
const smallDelta = 4;

interface Block {
  /** Holds the peers above the block before and up to this one; null is the last block, without a bound. */
  upTo: NodeId | null;
  /** As the first block of a list, and as a later one, which begins with a comma. */
  first: Part | undefined;
  later: Part | undefined;
  /** Who stands in `first` and `later`: those of the view when they were made, which may have left it since. */
  holds: ReadonlySet<NodeId>;
}

const nobody: ReadonlySet<NodeId> = new Set();

export interface SnapshotRoom {
  readonly messages: Messages;
  readonly book: PeerBook;
  readonly counters: NetmapCounters;
  profile(user: UserId): string | undefined;
  ownerOf(id: NodeId): UserId | undefined;
}

export class Snapshot {
  readonly #room: SnapshotRoom;
  readonly #view: View;
  #blocks: Block[] = [];
  #step: number;
  /** The step for which `renew` decided last. */
  #checked: number;
  readonly #owners = new Set<UserId>();
  #profiles: { readonly part: Part | undefined; readonly owners: number } | undefined;

  constructor(room: SnapshotRoom, view: View, step: number) {
    this.#room = room;
    this.#view = view;
    this.#step = step;
    this.#checked = step;
    this.#cutAll();
    this.#moveTo(step);
  }

  /** Sessions that get this snapshot have this cursor. */
  get step(): number {
    return this.#step;
  }

  /** Makes again what changed, when catching up from the snapshot has become dearer than that. */
  renew(log: ChangeLog): void {
    const step = log.current;
    if (step === this.#checked) {
      return;
    }
    this.#checked = step;
    const moved = this.#view.changesSince(this.#step);
    const allowed = smallDelta + this.#view.ids.length * maxDelta;
    const changes = log.since(this.#step, this.#view.ids);
    if (changes === undefined) {
      this.#cutAll();
      this.#moveTo(step);
      return;
    }
    let cost = moved.size + changes.users.size * weight.patch;
    for (const [id, bits] of changes.nodes) {
      if (!moved.has(id) && this.#view.shareOf(id) !== undefined) {
        cost += (bits & changed.body) !== 0 ? weight.body : bits === changed.online ? weight.online : weight.patch;
      }
    }
    if (cost > allowed) {
      this.#remake([...moved.keys(), ...changes.nodes.keys()]);
      this.#moveTo(step);
    }
  }

  #moveTo(step: number): void {
    this.#step = step;
    this.#owners.clear();
    for (const user of this.#view.told) {
      this.#owners.add(user);
    }
    this.#profiles = undefined;
  }

  /**
   * The profiles of all owners whose peers were put into blocks, and of those that sessions of this view are taken to
   * know; joined by commas, undefined when there is none.
   */
  get profiles(): Part | undefined {
    if (this.#profiles === undefined || this.#profiles.owners !== this.#owners.size) {
      const texts = [...this.#owners]
        .sort((a, b) => a - b)
        .map((user) => this.#room.profile(user))
        .filter((json) => json !== undefined);
      const part = texts.length === 0 ? undefined : this.#room.messages.shared(texts.join(","));
      this.#profiles = { part, owners: this.#owners.size };
    }
    return this.#profiles.part;
  }

  /** A user is called otherwise now: who opens a session from now on is told the new profile. */
  profilesChanged(): void {
    this.#profiles = undefined;
  }

  /** Is this user's profile among `profiles`? */
  hasProfileOf(user: UserId): boolean {
    return this.#owners.has(user);
  }

  #cutAll(): void {
    const { ids } = this.#view;
    this.#blocks = [];
    for (let start = 0; start < ids.length; start += blockSize) {
      const end = start + blockSize;
      this.#blocks.push({
        upTo: end < ids.length ? (ids[end - 1] ?? null) : null,
        first: undefined,
        later: undefined,
        holds: nobody,
      });
    }
  }

  #remake(ids: readonly NodeId[]): void {
    const touched = new Set<Block>();
    for (const id of ids) {
      const block = this.#blocks.find(({ upTo }) => upTo === null || id <= upTo);
      if (block !== undefined) {
        touched.add(block);
      }
    }
    const blocks: Block[] = [];
    let after: NodeId | null = null;
    for (const block of this.#blocks) {
      if (touched.has(block)) {
        blocks.push(...this.#cut(after, block.upTo));
      } else {
        blocks.push(block);
      }
      after = block.upTo;
    }
    if (blocks.length === 0 || blocks.length > 2 + (2 * this.#view.ids.length) / blockSize) {
      this.#cutAll();
    } else {
      this.#blocks = blocks;
    }
  }

  /** The blocks of a range of ids: one, or several when it has grown. */
  #cut(after: NodeId | null, upTo: NodeId | null): Block[] {
    const ids = this.#view.slice(after, upTo);
    const step = ids.length > maxBlock ? blockSize : maxBlock;
    const blocks: Block[] = [];
    for (let start = 0; start < Math.max(ids.length, 1); start += step) {
      const end = start + step;
      blocks.push({
        upTo: end < ids.length ? (ids[end - 1] ?? upTo) : upTo,
        first: undefined,
        later: undefined,
        holds: nobody,
      });
    }
    return blocks;
  }

  /** The peers without the viewer itself, joined by commas; empty when there is none. */
  peers(viewer: NodeId): Part[] {
    const parts: Part[] = [];
    let after: NodeId | null = null;
    for (const block of this.#blocks) {
      const { upTo } = block;
      const own = (after === null || viewer > after) && (upTo === null || viewer <= upTo);
      const first = parts.length === 0;
      if (own && (this.#view.shareOf(viewer) !== undefined || block.holds.has(viewer))) {
        const rest = this.#text(after, upTo, viewer, first);
        if (rest !== "") {
          this.#room.counters.blocks++;
          parts.push(this.#room.messages.shared(rest));
        }
      } else {
        const part = this.#blockPart(block, after, first);
        if (part !== undefined) {
          parts.push(part);
        }
      }
      after = upTo;
    }
    return parts;
  }

  /** Undefined when nobody is left in the block. */
  #blockPart(block: Block, after: NodeId | null, first: boolean): Part | undefined {
    const made = first ? block.first : block.later;
    if (made !== undefined) {
      return made;
    }
    const text = this.#text(after, block.upTo, null, first);
    if (text === "") {
      return undefined;
    }
    this.#room.counters.blocks++;
    const part = this.#room.messages.shared(text);
    block.holds = new Set([...block.holds, ...this.#view.slice(after, block.upTo)]);
    if (first) {
      block.first = part;
    } else {
      block.later = part;
    }
    return part;
  }

  #text(after: NodeId | null, upTo: NodeId | null, without: NodeId | null, first: boolean): string {
    const texts: string[] = [];
    for (const id of this.#view.slice(after, upTo)) {
      const share = this.#view.shareOf(id);
      const text = id === without || share === undefined ? undefined : this.#room.book.peer(id, share);
      if (text !== undefined) {
        texts.push(text);
        const owner = this.#room.ownerOf(id);
        if (owner !== undefined) {
          this.#owners.add(owner);
        }
      }
    }
    const text = texts.join(",");
    return text === "" || first ? text : `,${text}`;
  }
}
