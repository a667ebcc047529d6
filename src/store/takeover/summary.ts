// What a takeover says when it is over, on either database.
import type { Conversion } from "./convert.ts";
import type { LegacyVersion } from "./legacy-version.ts";
import type { ReportLine } from "./report.ts";

export interface TakeoverSummary {
  readonly version: LegacyVersion;
  readonly counts: Conversion["counts"];
  readonly report: readonly ReportLine[];
  /** Where headscale's data is kept; undefined for a dry run. */
  readonly snapshot?: string;
}

export type TakeoverOutcome =
  | { readonly kind: "done"; readonly summary: TakeoverSummary }
  /** No database there, or already Hawser's. */
  | { readonly kind: "nothing-to-do" }
  /** What is in the way and what to do about it. */
  | { readonly kind: "refused"; readonly reason: string };

export function summarise(version: LegacyVersion, conversion: Conversion): TakeoverSummary {
  // Nodes are converted in the order of their life, and read in that of their ids.
  const report = conversion.report.lines.toSorted((a, b) => order.compare(a.subject, b.subject));
  return { version, counts: conversion.counts, report };
}

const order = new Intl.Collator("en", { numeric: true });
