// A round: every session that is not blocked is brought from the last step to the next. Sessions with the same view are
// told the same bytes, in slices, so that a large tailnet does not hold up the loop. What changes while a round is
// under way belongs to the next.
import type { NetmapCounters } from "./counters.ts";
import type { Tally } from "./pace.ts";
import { type Audience, own, type Session } from "./session.ts";
import type { NetmapTailnet } from "./settings.ts";
import type { Teller } from "./teller.ts";

/** Sessions told, or views compared, in one turn of the loop. */
export const defaultSlice = 300;
/** A delta made for one session alone takes as long as so many messages that are shared. */
const ownVariant = 4;
/** So many peers are compared in the time that one message takes. */
const comparedPerMessage = 50;

/** Sessions that go the same way. */
interface Group {
  readonly was: Audience;
  readonly now: Audience;
  readonly sessions: Session[];
}

export interface RoundRoom {
  readonly tailnet: NetmapTailnet;
  readonly teller: Teller;
  readonly counters: NetmapCounters;
  readonly slice: number;
  /** Of this round. */
  readonly tally: Tally;
}

/** Yields after each slice. The log already stands at the new step; sessions stand at `from`. */
export function* tellEverybody(room: RoundRoom, from: number, sessions: Iterable<Session>): Generator<void> {
  const { teller } = room;
  let work = 0;
  for (const was of teller.audiences.all) {
    for (const group of groupsOf(teller, was)) {
      for (let next = 0; next < group.sessions.length;) {
        const slice = tellSlice(room, group, from, next, room.slice - work);
        work += 1 + slice.work;
        next = slice.next;
        if (work >= room.slice) {
          work = 0;
          yield;
        }
      }
      work += Math.ceil(group.now.view.ids.length / comparedPerMessage);
    }
  }
  // Those without peers: their own news is all there is.
  for (const session of [...sessions].filter(({ audience, stale }) => audience === null && stale !== 0)) {
    teller.catchUp(session);
    work++;
    if (work >= room.slice) {
      work = 0;
      yield;
    }
  }
  teller.audiences.sweep();
}

/** The sessions of one view, by the view that they have now. */
function groupsOf(teller: Teller, was: Audience): Iterable<Group> {
  const groups = new Map<Audience, Group>();
  for (const session of was.sessions) {
    if (session.blocked || session.cursor === teller.audiences.log.current) {
      continue;
    }
    const now = (session.stale & own.policy) === 0 ? was : teller.audiences.of(session.node);
    const group = groups.get(now);
    if (group === undefined) {
      groups.set(now, { was, now, sessions: [session] });
    } else {
      group.sessions.push(session);
    }
  }
  return groups.values();
}

/** Tells sessions from the `first` on, until about so much work is done. */
function tellSlice(
  room: RoundRoom,
  group: Group,
  from: number,
  first: number,
  budget: number,
): { readonly work: number; readonly next: number } {
  const { teller, counters, tally } = room;
  const delta = teller.audiences.deltaFor(group.was, group.now, from);
  const together: Session[] = [];
  let work = 0;
  let next = first;
  while (next < group.sessions.length && (next === first || work < budget)) {
    const session = group.sessions[next];
    next++;
    if (session === undefined) {
      continue;
    }
    if (session.closed || session.blocked || session.cursor === teller.audiences.log.current) {
      continue;
    }
    if (delta === undefined || session.cursor !== from || session.audience !== group.was) {
      teller.catchUp(session);
      work++;
      continue;
    }
    if (session.stale !== 0) {
      work++;
      if (!tellOwnFirst(room, group, session)) {
        continue;
      }
    }
    teller.audiences.join(session, group.now);
    session.cursor = teller.audiences.log.current;
    if (!delta.ids.has(session.node)) {
      together.push(session);
      work += delta.all.length;
      continue;
    }
    tally.sessions++;
    tally.changes += delta.ids.size;
    for (const message of delta.for(session.node)) {
      counters.deltas++;
      work += ownVariant;
      teller.sendShared(message, [session]);
    }
  }
  if (delta !== undefined && delta.ids.size > 0) {
    tally.sessions += together.length;
    tally.changes += together.length * delta.ids.size;
  }
  for (const message of together.length === 0 || delta === undefined ? [] : delta.all) {
    counters.deltas += together.length;
    teller.sendShared(message, together);
  }
  return { work, next };
}

/**
 * A session's own part goes before its peers: a filter or profile must not be later than the peers it is about. False
 * when that was all.
 */
function tellOwnFirst({ tailnet, teller }: RoundRoom, group: Group, session: Session): boolean {
  const node = tailnet.node(session.node);
  if (node === undefined) {
    session.stale = 0;
    return false;
  }
  const policyStale = (session.stale & own.policy) !== 0;
  switch (teller.tellOwn(session, node)) {
    case "expired":
      session.cursor = teller.audiences.log.current;
      return false;
    case "restarted":
      teller.catchUp(session);
      return false;
    case "same":
      break;
  }
  if (policyStale && teller.audiences.of(node.id) !== group.now) {
    // The policy moved on while this round was under way; the next one goes the rest of the way.
    session.stale |= own.policy;
  }
  return true;
}
