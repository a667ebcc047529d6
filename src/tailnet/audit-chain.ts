// The audit log's chain: each entry carries the hash of the one before it and its own hash over that and its content,
// so that nobody can change, remove, insert or reorder entries without the rest no longer fitting. The newest hash,
// noted elsewhere, also shows when the end was cut off or everything was written anew.
//
// hash = SHA-256 over `<previous hash>\n<content>`, in hex; content is the JSON array
// [id, at, actor kind, actor id, from, action, target, before, after]. Pruning leaves an anchor: id and hash of the last
// entry that went, which the log itself names in an entry `audit.prune`.
import type { AuditChain, AuditEntry, AuditLink, AuditQuery, StoredAuditEntry } from "./store.ts";

/** What the first entry of all follows. */
export const auditStart: AuditLink = { id: 0, hash: "0".repeat(64) };

export const emptyAuditChain: AuditChain = { head: auditStart, anchor: auditStart };

/** SHA-256 of the UTF-8 text, as 64 lower-case hex digits. */
export type Sha256 = (text: string) => string;

export const pruneAction = "audit.prune";

/** The hash of an entry that follows the one with the hash `previous`. */
export function auditHash(previous: string, entry: AuditEntry & { readonly id: number }, sha256: Sha256): string {
  const { id, at, actorKind, actorId, from, action, target, before, after } = entry;
  return sha256(`${previous}\n${JSON.stringify([id, at, actorKind, actorId, from, action, target, before, after])}`);
}

/** The entry as it is stored after `last`. Texts lose what one of the databases cannot hold: NUL and lone surrogates. */
export function nextAuditEntry(last: AuditLink, entry: AuditEntry, sha256: Sha256): StoredAuditEntry {
  const next = {
    id: last.id + 1,
    at: entry.at,
    actorKind: storable(entry.actorKind),
    actorId: storable(entry.actorId),
    from: storable(entry.from),
    action: storable(entry.action),
    target: storable(entry.target),
    before: storable(entry.before),
    after: storable(entry.after),
  };
  return { ...next, previous: last.hash, hash: auditHash(last.hash, next, sha256) };
}

function storable(text: string): string {
  return text.replaceAll("\u0000", "").toWellFormed();
}

/** What pruning says of itself: the anchor must be what the newest such entry names. */
export function pruneEntry(at: number, anchor: AuditLink, removed: number): AuditEntry {
  return {
    at,
    actorKind: "server",
    actorId: "audit retention",
    from: "",
    action: pruneAction,
    target: `audit:${anchor.id}`,
    before: "",
    after: JSON.stringify({ through: anchor.id, hash: anchor.hash, removed }),
  };
}

export interface AuditFault {
  /** The entry that does not fit; 0 when the log as a whole does not. */
  readonly id: number;
  readonly text: string;
}

export interface AuditVerdict {
  readonly ok: boolean;
  readonly entries: number;
  readonly head: AuditLink;
  readonly anchor: AuditLink;
  /** The first hundred. */
  readonly faults: readonly AuditFault[];
}

const maxFaults = 100;

/** Judges entries in the order of storing, one after the other; for logs that do not fit into memory. */
export class AuditCheck {
  readonly #sha256: Sha256;
  readonly #anchor: AuditLink;
  readonly #faults: AuditFault[] = [];
  /** Hashes that must occur. */
  readonly #wanted: Set<string>;
  #last: AuditLink;
  #count = 0;
  #named: AuditLink = auditStart;

  /** `noted`: hashes written down earlier, which the log must hold; "" is none. */
  constructor(anchor: AuditLink, sha256: Sha256, noted = "") {
    this.#sha256 = sha256;
    this.#anchor = anchor;
    this.#last = anchor;
    this.#wanted = new Set(noted === "" || noted === anchor.hash ? [] : [noted]);
  }

  take(entry: StoredAuditEntry): void {
    const { id, previous, hash } = entry;
    if (auditHash(previous, entry, this.#sha256) !== hash) {
      this.#fault(id, "its content is not what was stored: it was changed");
    }
    if (previous !== this.#last.hash) {
      this.#fault(
        id,
        this.#last.id === this.#anchor.id
          ? "it does not follow the start of the log: entries before it were removed or changed"
          : `it does not follow entry ${this.#last.id}: entries between them were removed, inserted or moved, or one was changed`,
      );
    } else if (id <= this.#last.id) {
      this.#fault(id, `it stands after entry ${this.#last.id}`);
    }
    if (entry.action === pruneAction) {
      this.#named = namedAnchor(entry.after) ?? this.#named;
    }
    this.#wanted.delete(hash);
    this.#last = { id, hash };
    this.#count++;
  }

  /** `head` is what the store says was stored last; undefined where nobody knows (an exported file). */
  finish(head: AuditLink | undefined): AuditVerdict {
    if (head !== undefined && (head.hash !== this.#last.hash || head.id !== this.#last.id)) {
      this.#fault(
        0,
        `the newest entry is ${this.#last.id}, but ${head.id} was stored: the end was cut off, or entries were added past the server`,
      );
    }
    // An anchor that the log does not name was not left by pruning. The log of a file begins where its first line says.
    if (head !== undefined && (this.#named.hash !== this.#anchor.hash || this.#named.id !== this.#anchor.id)) {
      this.#fault(0, `the log begins after entry ${this.#anchor.id}, but it was never pruned up to there`);
    }
    if (this.#wanted.size > 0) {
      this.#fault(0, "the noted hash does not occur: the log was written anew, cut off before it, or pruned past it");
    }
    return {
      ok: this.#faults.length === 0,
      entries: this.#count,
      head: this.#last,
      anchor: this.#anchor,
      faults: this.#faults,
    };
  }

  #fault(id: number, text: string): void {
    if (this.#faults.length < maxFaults) {
      this.#faults.push({ id, text });
    }
  }
}

function namedAnchor(after: string): AuditLink | undefined {
  try {
    const parsed: unknown = JSON.parse(after);
    if (typeof parsed === "object" && parsed !== null && "through" in parsed && "hash" in parsed) {
      const { through, hash } = parsed;
      return typeof through === "number" && typeof hash === "string" ? { id: through, hash } : undefined;
    }
  } catch {
    // An entry that was tampered with; its hash says so.
  }
  return undefined;
}

export interface AuditReader {
  auditChain(): Promise<AuditChain>;
  auditLog(query: AuditQuery): Promise<readonly StoredAuditEntry[]>;
}

const page = 1000;
/** Pruning while the log is read makes it begin elsewhere. */
const maxAttempts = 3;

/** Reads the whole log and judges it; commands may go on meanwhile. */
export async function verifyAudit(reader: AuditReader, sha256: Sha256, noted = ""): Promise<AuditVerdict> {
  for (let attempt = 1; ; attempt++) {
    const { anchor } = await reader.auditChain();
    const check = new AuditCheck(anchor, sha256, noted);
    let after = 0;
    for (;;) {
      const entries = await reader.auditLog({ after, limit: page });
      for (const entry of entries) {
        check.take(entry);
      }
      after = entries.at(-1)?.id ?? after;
      if (entries.length === page) {
        continue;
      }
      // Asked after the reading: an entry that it does not know of is none of the server's.
      const now = await reader.auditChain();
      if (now.anchor.hash !== anchor.hash && attempt < maxAttempts) {
        break;
      }
      if (entries.length === 0 || now.head.id <= after) {
        return check.finish(now.head);
      }
    }
  }
}
