// What a takeover changed or found odd, line by line, for people and for `--dry-run`.

export type ReportKind =
  /** Carried over in another form. */
  | "changed"
  /** Damaged, and mended. */
  | "repaired"
  /** Cannot be carried over; kept in the snapshot only. */
  | "set-aside"
  /** Carried over as it is, worth knowing. */
  | "odd";

export interface ReportLine {
  readonly kind: ReportKind;
  /** `node 3 (web1)`, `user 1 (alice)` … */
  readonly subject: string;
  readonly text: string;
}

export class Report {
  readonly lines: ReportLine[] = [];

  add(kind: ReportKind, subject: string, text: string): void {
    this.lines.push({ kind, subject, text });
  }

  count(kind: ReportKind): number {
    return this.lines.filter((line) => line.kind === kind).length;
  }
}
