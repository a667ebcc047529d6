// Which headscale wrote a database, read from the migrations it recorded (headscale.md §5.3), and from the version that
// 0.29 and later note of themselves.

export const supportedVersions = ["0.25", "0.26", "0.27", "0.28", "0.29"] as const;
const newest = supportedVersions[4];
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
  /** Older than 0.25, or newer than is known: which step comes first. */
  | { readonly kind: "unsupported"; readonly advice: string }
  | { readonly kind: "not-headscale" };

/** The last migration of the newest version that is known; ids begin with the time they were written. */
const lastMigration = "202606181200";

/** What a database shows of itself before its data is read. */
export interface Traits {
  readonly tables: readonly string[];
  readonly migrations: readonly string[];
  /** `database_versions`: which program used it last, like `v0.29.2`; a development build notes something else. */
  readonly lastUsedBy: string | undefined;
}

/** Recognises a headscale database. */
export function recognise({ tables, migrations, lastUsedBy }: Traits): Recognised {
  const has = new Set(tables);
  if (has.has("hawser_meta") || !has.has("users") || !has.has("migrations")) {
    return has.has("machines") || has.has("namespaces") ? tooOld() : { kind: "not-headscale" };
  }
  if (!has.has("nodes")) {
    return tooOld();
  }
  const ids = new Set(migrations.map((id) => id.split("-")[0] ?? id));
  const unknown = [...ids].find((id) => /^\d{12}$/.test(id) && id > lastMigration);
  if (unknown !== undefined || isNewer(lastUsedBy)) {
    return tooNew(lastUsedBy ?? `a version with the migration ${unknown}`);
  }
  for (const [version, first] of firstMigration) {
    if (first.some((id) => ids.has(id))) {
      return { kind: "headscale", version };
    }
  }
  return tooOld();
}

function isNewer(version: string | undefined): boolean {
  const [, major, minor] = /^v?(\d+)\.(\d+)\./.exec(version ?? "") ?? [];
  const [, newestMinor] = newest.split(".");
  return major !== undefined && (Number(major) > 0 || Number(minor) > Number(newestMinor));
}

function tooNew(by: string): Recognised {
  return {
    kind: "unsupported",
    advice:
      `this database was last used by a headscale newer than ${newest} (${by}), which this Hawser does not know; it was left ` +
      `untouched. Start a newer Hawser, or put back the database from before headscale was upgraded`,
  };
}

function tooOld(): Recognised {
  return {
    kind: "unsupported",
    advice:
      "this database was written by a headscale older than 0.25; start headscale 0.25 on it once (it migrates the database), stop it, then start Hawser",
  };
}
