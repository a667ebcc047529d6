// Takes keys out of what was gathered, one after the other, and notes what there is to say about each.
import type { Finding } from "./config.ts";
import type { Entry, Gathered } from "./gather.ts";
import { keys, notBuilt } from "./keys.ts";
import type { KeySpec } from "./keys.ts";
import type { Read } from "./values.ts";

export interface Folders {
  readonly configDir: string;
  readonly workingDir: string;
}

export class Reading {
  readonly #gathered: Gathered;
  readonly #folders: Folders;
  readonly #findings: Finding[];
  /** Keys whose reading has been noted: a key may be taken more than once. */
  readonly #noted = new Set<string>();

  constructor(gathered: Gathered, folders: Folders) {
    this.#gathered = gathered;
    this.#folders = folders;
    this.#findings = [...gathered.findings];
  }

  /** The value as set, or undefined when the key is not set or cannot be read. */
  set<T>(spec: KeySpec<T>): T | undefined {
    const entry = this.#gathered.entries.get(spec.key);
    if (entry === undefined) {
      return undefined;
    }
    const read = spec.reader.read(entry.raw, { key: spec.key, ...this.#folders });
    if (!this.#noted.has(spec.key)) {
      this.#noted.add(spec.key);
      this.#note(entry, spec, read);
    }
    return read.ok ? read.value : undefined;
  }

  /** The value as set, or the default. */
  take<T>(spec: KeySpec<T> & { readonly fallback: T }): T {
    const value = this.set(spec);
    return value === undefined ? spec.fallback : value;
  }

  has(spec: KeySpec<unknown>): boolean {
    return this.#gathered.entries.has(spec.key);
  }

  /** Set in the file, and not to nothing. */
  isInFile(spec: KeySpec<unknown>): boolean {
    const entry = this.#gathered.entries.get(spec.key);
    return entry?.from === "file" && entry.raw !== "";
  }

  /** An error about a key that reads well but cannot be meant. */
  error(spec: KeySpec<unknown>, text: string): void {
    this.#about(spec, "error", "invalid", text);
  }

  warn(spec: KeySpec<unknown>, text: string): void {
    this.#about(spec, "warning", "risky", text);
  }

  inform(spec: KeySpec<unknown>, text: string): void {
    this.#about(spec, "info", "risky", text);
  }

  /** All findings, in the order of lines, errors first where a line has several. */
  findings(): Finding[] {
    const weight = { error: 0, warning: 1, info: 2 };
    return this.#findings.toSorted(
      (x, y) => (x.line ?? Infinity) - (y.line ?? Infinity) || weight[x.severity] - weight[y.severity] || 0,
    );
  }

  #note(entry: Entry, spec: KeySpec<unknown>, read: Read<unknown>): void {
    if (!read.ok) {
      this.#add(entry, "error", "invalid", read.fault);
      return;
    }
    if (read.warning !== undefined) {
      this.#add(entry, "warning", "risky", read.warning);
    }
    if (notBuilt.has(spec.key) && JSON.stringify(read.value) !== JSON.stringify(spec.fallback)) {
      this.#add(entry, "warning", "risky", `${spec.key} is understood, but this version does nothing with it yet`);
    }
    this.#add(entry, "info", "understood", spec.noEffect ? `has no effect: ${spec.doc}` : spec.doc);
  }

  #about(spec: KeySpec<unknown>, severity: Finding["severity"], kind: Finding["kind"], text: string): void {
    const entry = this.#gathered.entries.get(spec.key);
    this.#findings.push({ key: entry?.name ?? spec.key, line: entry?.line ?? null, severity, kind, text });
  }

  #add(entry: Entry, severity: Finding["severity"], kind: Finding["kind"], text: string): void {
    this.#findings.push({ key: entry.name, line: entry.line, severity, kind, text });
  }
}

/** The keys of this group that were set and matter only to another choice. */
export function setAmong(reading: Reading, specs: readonly KeySpec<unknown>[]): string[] {
  return specs.filter((spec) => reading.has(spec)).map((spec) => spec.key);
}

/** Keys that change nothing still count as understood. */
export function noteUnused(reading: Reading): void {
  for (const spec of Object.values<KeySpec<unknown>>(keys)) {
    if (spec.noEffect) {
      reading.set(spec);
    }
  }
}
