// Which headscale wrote a database, read from the migrations it recorded (headscale.md §5.3).

export const supportedVersions = ["0.25", "0.26", "0.27", "0.28", "0.29"] as const;
export type LegacyVersion = (typeof supportedVersions)[number];

/** The migration that a version was the first to run, newest first; ids may carry a suffix after `-`. */
const firstMigration: readonly (readonly [LegacyVersion, readonly string[]])[] = [
  ["0.29", ["202602201200", "202605221435", "202606181200"]],
  ["0.28", ["202511011637", "202511122344", "202511131445", "202601121700"]],
  ["0.27", ["202507021200", "202510311551", "202511101554"]],
  ["0.26", ["202502131714", "202502171819", "202505091439", "202505141324"]],
  ["0.25", ["202501221827", "202501311657", "202502070949"]],
];

export type Recognised =
  | { readonly kind: "headscale"; readonly version: LegacyVersion }
  /** Older than 0.25: which step comes first. */
  | { readonly kind: "too-old"; readonly advice: string }
  | { readonly kind: "not-headscale" };

/** Recognises a headscale database by its tables and migration ids. */
export function recognise(tables: readonly string[], migrations: readonly string[]): Recognised {
  const has = new Set(tables);
  if (has.has("hawser_meta") || !has.has("users") || !has.has("migrations")) {
    return has.has("machines") || has.has("namespaces") ? tooOld() : { kind: "not-headscale" };
  }
  if (!has.has("nodes")) {
    return tooOld();
  }
  const ids = new Set(migrations.map((id) => id.split("-")[0] ?? id));
  for (const [version, first] of firstMigration) {
    if (first.some((id) => ids.has(id))) {
      return { kind: "headscale", version };
    }
  }
  return tooOld();
}

function tooOld(): Recognised {
  return {
    kind: "too-old",
    advice:
      "this database was written by a headscale older than 0.25; start headscale 0.25 on it once (it migrates the database), stop it, then start Hawser",
  };
}
