// A policy view as it was told: which peers, each with the share of its routes, as of a step. The policy's views are
// live; this one moves with the log, and remembers what each step did to it, so that any cursor within the horizon can
// be compared with now. Invariant: `ids` ascend, and `shares` runs parallel to them.
import type { PolicyView, RouteShare } from "../policy/engine.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import { prefixText } from "./texts.ts";

/** The same routes under the same conditions; then the same JSON. */
export function sameShare(x: RouteShare, y: RouteShare): boolean {
  return (
    x === y ||
    (x.withoutIPv4 === y.withoutIPv4 && sameRoutes(x.ifPrimary, y.ifPrimary) && sameRoutes(x.always, y.always))
  );
}

function sameRoutes(x: RouteShare["always"], y: RouteShare["always"]): boolean {
  return x.length === y.length && x.every((route, index) => prefixText(route) === prefixTextAt(y, index));
}

function prefixTextAt(routes: RouteShare["always"], index: number): string | undefined {
  const route = routes[index];
  return route === undefined ? undefined : prefixText(route);
}

interface Entry {
  readonly step: number;
  readonly id: NodeId;
  /** The share before this step, or null when the peer was not seen. */
  readonly before: RouteShare | null;
}

let views = 0;

export class View {
  /** Distinguishes views in the keys of caches; never used twice. */
  readonly key: number = ++views;
  readonly policy: PolicyView;
  #ids: NodeId[];
  #shares: RouteShare[];
  #entries: Entry[] = [];
  /** So many of the first entries are behind the horizon; the array is cut now and then. */
  #gone = 0;
  /** Owners that sessions of this view were told a profile of, and since which step. Only ever grows, as clients' own. */
  readonly #told = new Map<UserId, number>();
  /** The same in the order it happened. */
  #tellings: { readonly user: UserId; readonly step: number }[] = [];
  readonly #exists: (id: NodeId) => boolean;

  /** `exists`: is the node still in the tailnet? What a policy says of others is not asked. */
  constructor(policy: PolicyView, exists: (id: NodeId) => boolean) {
    this.policy = policy;
    this.#exists = exists;
    this.#ids = policy.peers().filter(exists);
    this.#shares = this.#ids.map((id) => policy.routesOf(id));
  }

  /** Ascending. */
  get ids(): readonly NodeId[] {
    return this.#ids;
  }

  shareOf(id: NodeId): RouteShare | undefined {
    const index = indexOf(this.#ids, id);
    return this.#ids[index] === id ? this.#shares[index] : undefined;
  }

  /** The part of `ids` with `after < id <= upTo`. */
  slice(after: NodeId | null, upTo: NodeId | null): readonly NodeId[] {
    const start = after === null ? 0 : upperBound(this.#ids, after);
    return this.#ids.slice(start, upTo === null ? undefined : upperBound(this.#ids, upTo));
  }

  /** Asks the policy again about these peers. */
  refresh(step: number, peers: Iterable<NodeId>): void {
    for (const id of peers) {
      const index = indexOf(this.#ids, id);
      const held = this.#ids[index] === id;
      const before = held ? (this.#shares[index] ?? null) : null;
      const now = this.#exists(id) && this.policy.sees(id) ? this.policy.routesOf(id) : null;
      if (before === null ? now === null : now !== null && sameShare(before, now)) {
        if (now !== null) {
          this.#shares[index] = now;
        }
        continue;
      }
      this.#entries.push({ step, id, before });
      if (now === null) {
        this.#ids.splice(index, 1);
        this.#shares.splice(index, 1);
      } else {
        this.#ids.splice(index, held ? 1 : 0, id);
        this.#shares.splice(index, held ? 1 : 0, now);
      }
    }
  }

  /** Asks the policy again about everybody. */
  refreshAll(step: number): void {
    const ids = this.policy.peers().filter(this.#exists);
    const shares = ids.map((id) => this.policy.routesOf(id));
    for (const { id, before, now } of pairs(this.#ids, this.#shares, ids, shares)) {
      if (before === null || now === null || !sameShare(before, now)) {
        this.#entries.push({ step, id, before });
      }
    }
    this.#ids = ids;
    this.#shares = shares;
  }

  /** Who came, went or is shared otherwise since `cursor`, with the share it had then. */
  changesSince(cursor: number): ReadonlyMap<NodeId, RouteShare | null> {
    const then = new Map<NodeId, RouteShare | null>();
    let start = this.#entries.length;
    while (start > 0 && (this.#entries[start - 1]?.step ?? 0) > cursor) {
      start--;
    }
    for (let index = start; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && !then.has(entry.id)) {
        then.set(entry.id, entry.before);
      }
    }
    return then;
  }

  /** The view as a session with this cursor knows it. */
  asOf(cursor: number): { readonly ids: readonly NodeId[]; readonly shares: readonly RouteShare[] } {
    const then = this.changesSince(cursor);
    if (then.size === 0) {
      return { ids: this.#ids, shares: this.#shares };
    }
    const shares = new Map(this.#ids.map((id, index) => [id, this.#shares[index]] as const));
    for (const [id, before] of then) {
      if (before === null) {
        shares.delete(id);
      } else {
        shares.set(id, before);
      }
    }
    const ids = [...shares.keys()].sort((a, b) => a - b);
    return { ids, shares: ids.map((id) => shares.get(id)).filter((share) => share !== undefined) };
  }

  /** How much is remembered of the past. */
  get remembered(): number {
    return this.#entries.length + this.#tellings.length;
  }

  /** Forgets what no cursor can ask for any more. */
  forget(horizon: number): void {
    while (this.#gone < this.#entries.length && (this.#entries[this.#gone]?.step ?? horizon) <= horizon) {
      this.#gone++;
    }
    if (this.#gone > 64 && this.#gone * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#gone);
      this.#gone = 0;
    }
    // One for each user who was ever seen: few, and looked at only when there is something to forget.
    if ((this.#tellings[0]?.step ?? Infinity) <= horizon) {
      this.#tellings = this.#tellings.filter(({ step }) => step > horizon);
    }
  }

  /** Sessions of this view are told this user's profile at `step`, which is the newest. */
  tell(user: UserId, step: number): void {
    if (!this.#told.has(user)) {
      this.#told.set(user, step);
      this.#tellings.push({ user, step });
    }
  }

  /** Whom sessions of this view were told of after this cursor, a user who is gone included. */
  toldSince(cursor: number): readonly UserId[] {
    let start = this.#tellings.length;
    while (start > 0 && (this.#tellings[start - 1]?.step ?? 0) > cursor) {
      start--;
    }
    return this.#tellings.slice(start).map(({ user }) => user);
  }

  /** Does a session of this view with this cursor know the user? */
  knows(user: UserId, cursor: number): boolean {
    const since = this.#told.get(user);
    return since !== undefined && since <= cursor;
  }

  get told(): Iterable<UserId> {
    return this.#told.keys();
  }

  forgetUser(user: UserId): void {
    this.#told.delete(user);
  }
}

/** Walks two ascending lists side by side. */
export function* pairs(
  beforeIds: readonly NodeId[],
  beforeShares: readonly RouteShare[],
  nowIds: readonly NodeId[],
  nowShares: readonly RouteShare[],
): Generator<{ readonly id: NodeId; readonly before: RouteShare | null; readonly now: RouteShare | null }> {
  let left = 0;
  let right = 0;
  while (left < beforeIds.length || right < nowIds.length) {
    const before = beforeIds[left];
    const now = nowIds[right];
    if (before !== undefined && (now === undefined || before < now)) {
      yield { id: before, before: beforeShares[left] ?? null, now: null };
      left++;
    } else if (now !== undefined && (before === undefined || now < before)) {
      yield { id: now, before: null, now: nowShares[right] ?? null };
      right++;
    } else if (now !== undefined) {
      yield { id: now, before: beforeShares[left] ?? null, now: nowShares[right] ?? null };
      left++;
      right++;
    }
  }
}

/** Where `id` stands, or would stand. */
function indexOf(ids: readonly NodeId[], id: NodeId): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? id) < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** How many ids are at most `id`. */
function upperBound(ids: readonly NodeId[], id: NodeId): number {
  const index = indexOf(ids, id);
  return ids[index] === id ? index + 1 : index;
}
