// The steps from an empty SQLite file to the present schema. A step that was ever released is never edited.
import type { DatabaseSync } from "node:sqlite";
import * as first from "./sqlite-001-first.ts";
import * as auditChain from "./sqlite-002-audit-chain.ts";

export interface Migration {
  readonly name: string;
  readonly sql: string;
  /** What SQL alone cannot do, after it and in the same transaction. */
  readonly run?: (db: DatabaseSync) => void;
}

/** In order; the schema version is the number of steps taken. */
export const sqliteMigrations: readonly Migration[] = [first, auditChain];
