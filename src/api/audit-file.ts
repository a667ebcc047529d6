// Judging an exported audit log without a server: JSON lines as `GET /api/v1/audit` has the entries, oldest first.
import { createHash } from "node:crypto";
import { AuditCheck, auditStart, type AuditVerdict } from "../tailnet/audit-chain.ts";
import type { StoredAuditEntry } from "../tailnet/store.ts";
import type { Json } from "../wire/tailcfg.ts";
import { fromJson } from "./json-dialect.ts";
import { AuditEntry, type AuditEntryValue, type VerifyAuditValue } from "./own-messages.ts";

export type FileVerdict =
  | { readonly kind: "judged"; readonly verdict: AuditVerdict }
  | { readonly kind: "unreadable"; readonly line: number; readonly problem: string };

/** A file cannot show what was cut off at its ends; `noted`, a hash written down earlier, can. */
export async function judgeAuditFile(lines: AsyncIterable<string>, noted: string): Promise<FileVerdict> {
  let check: AuditCheck | undefined;
  let line = 0;
  for await (const text of lines) {
    line++;
    if (text.trim() === "") {
      continue;
    }
    const read = readLine(text);
    if (!read.ok) {
      return { kind: "unreadable", line, problem: read.problem };
    }
    const { entry } = read;
    // The file says itself where it begins.
    check ??= new AuditCheck({ id: entry.id - 1, hash: entry.previous }, sha256, noted);
    check.take(entry);
  }
  return { kind: "judged", verdict: (check ?? new AuditCheck(auditStart, sha256, noted)).finish(undefined) };
}

function readLine(
  text: string,
): { readonly ok: true; readonly entry: StoredAuditEntry } | { readonly ok: false; readonly problem: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { ok: false, problem: "it is no JSON" };
  }
  const decoded = fromJson(AuditEntry, parsed);
  return decoded.ok ? { ok: true, entry: storedEntry(decoded.value) } : decoded;
}

function storedEntry(value: AuditEntryValue): StoredAuditEntry {
  const { id, at, actorKind, actorId, from, action, target, hash } = value;
  return {
    id,
    at: at ?? 0,
    actorKind,
    actorId,
    from,
    action,
    target,
    before: storedText(value.before),
    after: storedText(value.after),
    previous: value.previousHash,
    hash,
  };
}

function storedText(value: Json): string {
  return value === null ? "" : JSON.stringify(value);
}

export function sha256(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

export function presentVerdict({ ok, entries, head, anchor, faults }: AuditVerdict): VerifyAuditValue {
  return {
    ok,
    entries,
    headId: head.id,
    headHash: head.hash,
    anchorId: anchor.id,
    anchorHash: anchor.hash,
    faults: faults.map(({ id, text }) => ({ id, text })),
  };
}
