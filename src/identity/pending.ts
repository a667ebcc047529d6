// What waits for a person: machines that asked to join without a key, and SSH sessions that need a fresh confirmation.
// An entry is known by its auth id, which is the only secret of the link that a user opens. Nobody has to be trusted to
// get an entry, so the room for them is bounded, and it is the greediest source that loses its own entries first.
import type { Node } from "../tailnet/model.ts";
import type { Registration } from "../tailnet/contract.ts";
import type { MachineKey, NodeId } from "../wire/ids.ts";
import type { Clock } from "./clock.ts";
import { weightOf } from "./weight.ts";

declare const authIdBrand: unique symbol;
/** `hskey-authreq-` and 24 characters of URL-safe base64 (18 random bytes). */
export type AuthId = string & { readonly [authIdBrand]: true };

const authIdPattern = /^hskey-authreq-[A-Za-z0-9_-]{24}$/;

/** The id, or undefined when the text does not have its form. */
export function parseAuthId(text: string): AuthId | undefined {
  return authIdPattern.test(text) ? (text as AuthId) : undefined;
}

interface Waiting {
  readonly id: AuthId;
  /** Client address (or its /64) that opened it; "" when unknown. */
  readonly source: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** A machine that asked to join and shows its user a link. */
export interface PendingRegistration extends Waiting {
  readonly kind: "register";
  readonly registration: Registration;
}

/** An SSH session that the policy lets through only after its user has confirmed it. */
export interface SshCheck {
  readonly sourceNode: NodeId;
  readonly destinationNode: NodeId;
  readonly localUser: string;
}
export interface PendingCheck extends Waiting, SshCheck {
  readonly kind: "ssh-check";
}

export type PendingEntry = PendingRegistration | PendingCheck;

export type Settlement =
  | { readonly kind: "approved"; readonly node: Node }
  | { readonly kind: "rejected"; readonly text?: string };

export type WaitOutcome =
  | Settlement
  /** No such entry (any more), or it belongs to another machine: the caller may not learn which. */
  | { readonly kind: "unknown" }
  | { readonly kind: "timeout" }
  /** The caller's signal fired. */
  | { readonly kind: "aborted" };

export interface Pending {
  /** The same machine with the same node key keeps its id, and its link stays good; what it said last is what counts. */
  open(registration: Registration, source: string): AuthId;
  /** Like `open` with an id the caller chose (`debug create-node`); undefined when an entry has that id already. */
  openAs(id: AuthId, registration: Registration, source: string): AuthId | undefined;
  openCheck(check: SshCheck, source: string): AuthId;
  /** The entry while it is undecided. */
  get(id: string): PendingEntry | undefined;
  /** Undecided entries, oldest first. */
  list(): readonly PendingEntry[];
  /** Decides an entry and wakes who waits for it; false when there is none undecided. The decision stays readable to `wait` until the entry's time is over. */
  settle(id: string, settlement: Settlement): boolean;
  /** The decision on a registration of this machine, or that there is none yet. */
  look(id: string, machineKey: MachineKey): Settlement | { readonly kind: "unknown" } | { readonly kind: "undecided" };
  /** Waits for it. Of many who wait for one entry the last few do; the others are told that their time is over. */
  wait(id: string, machineKey: MachineKey, signal: AbortSignal, timeoutMs: number): Promise<WaitOutcome>;
  /** Waits for the decision on exactly this SSH check; an id that was given for another one is unknown here. */
  waitCheck(id: string, check: SshCheck, signal: AbortSignal, timeoutMs: number): Promise<WaitOutcome>;
}

export interface PendingOptions {
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Entries in all; 1024. */
  readonly capacity?: number;
  /** Undecided registrations of one machine key; 8. */
  readonly perMachine?: number;
  /** What all entries together may weigh, as bytes of the heap; 32 MiB. */
  readonly capacityBytes?: number;
  /** Milliseconds an entry lives; 15 minutes. */
  readonly ttlMs?: number;
}

/** A machine waits once for its login; a connection that broke may leave another one behind. */
const waitersPerEntry = 4;

interface Slot {
  entry: PendingEntry;
  weight: number;
  settlement: Settlement | undefined;
  /** What makes a second request the same as the first. */
  readonly sameness: string;
  /** Machine key or node that asks. */
  readonly asker: string;
  readonly waiters: Set<(outcome: WaitOutcome) => void>;
}

export function createPending(options: PendingOptions): Pending {
  const { clock, randomBytes } = options;
  const capacity = options.capacity ?? 1024;
  const capacityBytes = options.capacityBytes ?? 32 * 1024 * 1024;
  const perMachine = options.perMachine ?? 8;
  const ttlMs = options.ttlMs ?? 15 * 60_000;
  // In order of expiry: a refreshed slot moves to the end.
  const slots = new Map<string, Slot>();
  const bySameness = new Map<string, string>();
  const bySource = new Map<string, Set<string>>();
  const byAsker = new Map<string, Set<string>>();
  let weight = 0;

  function drop(slot: Slot): void {
    const id = slot.entry.id;
    slots.delete(id);
    weight -= slot.weight;
    if (bySameness.get(slot.sameness) === id) {
      bySameness.delete(slot.sameness);
    }
    removeFrom(bySource, slot.entry.source, id);
    removeFrom(byAsker, slot.asker, id);
    wake(slot, { kind: "unknown" });
  }

  function wake(slot: Slot, outcome: WaitOutcome): void {
    for (const waiter of slot.waiters) {
      waiter(outcome);
    }
    slot.waiters.clear();
  }

  function dropExpired(): void {
    const now = clock.now();
    for (const slot of slots.values()) {
      if (slot.entry.expiresAt > now) {
        return;
      }
      drop(slot);
    }
  }

  /** The entry whose loss hurts least among these: the oldest one nobody waits for (decided ones are such), or the oldest. */
  function leastMissed(ids: Iterable<string>): Slot | undefined {
    let oldest: Slot | undefined;
    for (const id of ids) {
      const slot = slots.get(id);
      if (slot !== undefined && slot.waiters.size === 0) {
        return slot;
      }
      oldest ??= slot;
    }
    return oldest;
  }

  function makeRoom(asker: string): void {
    const own = byAsker.get(asker);
    if (own !== undefined && own.size >= perMachine) {
      dropLeastMissed(own);
    }
    while (slots.size >= capacity) {
      dropLeastMissed(greediest((ids) => ids.size));
    }
  }

  /** Few entries can be as heavy as many. */
  function shedWeight(): void {
    for (let excess = weight - capacityBytes; excess > 0; excess = weight - capacityBytes) {
      dropLeastMissed(greediest(weightOfAll));
    }
  }

  function weightOfAll(ids: ReadonlySet<string>): number {
    let sum = 0;
    for (const id of ids) {
      sum += slots.get(id)?.weight ?? 0;
    }
    return sum;
  }

  /** The entries of the source that takes most. */
  function greediest(measure: (ids: ReadonlySet<string>) => number): ReadonlySet<string> {
    let found: ReadonlySet<string> = new Set();
    let most = 0;
    for (const ids of bySource.values()) {
      const taken = measure(ids);
      if (taken > most) {
        most = taken;
        found = ids;
      }
    }
    return found;
  }

  function dropLeastMissed(ids: Iterable<string>): void {
    const slot = leastMissed(ids);
    if (slot !== undefined) {
      drop(slot);
    }
  }

  type Body = Pick<PendingRegistration, "kind" | "registration"> | ({ readonly kind: "ssh-check" } & SshCheck);

  function randomId(): AuthId {
    return `hskey-authreq-${Buffer.from(randomBytes(18)).toString("base64url")}` as AuthId;
  }

  function openSlot(body: Body, sameness: string, asker: string, source: string, id = randomId()): AuthId {
    dropExpired();
    const now = clock.now();
    const bodyWeight = weightOf(body);
    const known = slots.get(bySameness.get(sameness) ?? "");
    if (known !== undefined && known.settlement === undefined) {
      const knownId = known.entry.id;
      known.entry = {
        ...body,
        id: knownId,
        source: known.entry.source,
        createdAt: known.entry.createdAt,
        expiresAt: now + ttlMs,
      };
      slots.delete(knownId);
      slots.set(knownId, known);
      weight += bodyWeight - known.weight;
      known.weight = bodyWeight;
      shedWeight();
      return knownId;
    }
    makeRoom(asker);
    slots.set(id, {
      entry: { ...body, id, source, createdAt: now, expiresAt: now + ttlMs },
      weight: bodyWeight,
      settlement: undefined,
      sameness,
      asker,
      waiters: new Set(),
    });
    bySameness.set(sameness, id);
    addTo(bySource, source, id);
    addTo(byAsker, asker, id);
    weight += bodyWeight;
    shedWeight();
    return id;
  }

  function waitFor(slot: Slot, signal: AbortSignal, timeoutMs: number): Promise<WaitOutcome> {
    if (slot.settlement !== undefined) {
      return Promise.resolve(slot.settlement);
    }
    if (signal.aborted) {
      return Promise.resolve({ kind: "aborted" });
    }
    return new Promise((resolve) => {
      const finish = (outcome: WaitOutcome): void => {
        slot.waiters.delete(finish);
        cancel();
        signal.removeEventListener("abort", abort);
        resolve(outcome);
      };
      const abort = (): void => finish({ kind: "aborted" });
      const cancel = clock.after(timeoutMs, () => finish({ kind: "timeout" }));
      signal.addEventListener("abort", abort, { once: true });
      slot.waiters.add(finish);
      const [longest] = slot.waiters;
      if (slot.waiters.size > waitersPerEntry) {
        longest?.({ kind: "timeout" });
      }
    });
  }

  function live(id: string): Slot | undefined {
    dropExpired();
    return slots.get(id);
  }

  /** The registration, if it is this machine's. */
  function registrationOf(id: string, machineKey: MachineKey): Slot | undefined {
    const slot = live(id);
    const entry = slot?.entry;
    return entry?.kind === "register" && entry.registration.machineKey === machineKey ? slot : undefined;
  }

  const unknown: Promise<WaitOutcome> = Promise.resolve({ kind: "unknown" });

  return {
    open(registration, source) {
      const sameness = `register ${registration.machineKey} ${registration.nodeKey}`;
      return openSlot({ kind: "register", registration }, sameness, registration.machineKey, source);
    },
    openAs(id, registration, source) {
      if (live(id) !== undefined) {
        return undefined;
      }
      const sameness = `register ${registration.machineKey} ${registration.nodeKey}`;
      return openSlot({ kind: "register", registration }, sameness, registration.machineKey, source, id);
    },
    openCheck({ sourceNode, destinationNode, localUser }, source) {
      const sameness = samenessOf({ sourceNode, destinationNode, localUser });
      const body = { kind: "ssh-check", sourceNode, destinationNode, localUser } as const;
      return openSlot(body, sameness, `node ${sourceNode}`, source);
    },
    get(id) {
      const slot = live(id);
      return slot?.settlement === undefined ? slot?.entry : undefined;
    },
    list() {
      dropExpired();
      return [...slots.values()]
        .filter((slot) => slot.settlement === undefined)
        .map((slot) => slot.entry)
        .sort((a, b) => a.createdAt - b.createdAt);
    },
    settle(id, settlement) {
      const slot = live(id);
      if (slot === undefined || slot.settlement !== undefined) {
        return false;
      }
      slot.settlement = settlement;
      wake(slot, settlement);
      return true;
    },
    look(id, machineKey) {
      const slot = registrationOf(id, machineKey);
      return slot === undefined ? { kind: "unknown" } : (slot.settlement ?? { kind: "undecided" });
    },
    wait(id, machineKey, signal, timeoutMs) {
      const slot = registrationOf(id, machineKey);
      return slot === undefined ? unknown : waitFor(slot, signal, timeoutMs);
    },
    waitCheck(id, check, signal, timeoutMs) {
      const slot = live(id);
      return slot === undefined || slot.sameness !== samenessOf(check) ? unknown : waitFor(slot, signal, timeoutMs);
    },
  };
}

function samenessOf(check: SshCheck): string {
  return `ssh ${check.sourceNode} ${check.destinationNode} ${check.localUser}`;
}

function addTo(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) {
    index.set(key, new Set([id]));
  } else {
    ids.add(id);
  }
}

function removeFrom(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  ids?.delete(id);
  if (ids?.size === 0) {
    index.delete(key);
  }
}
