// The steps from an empty SQLite file to the present schema. A step that was ever released is never edited.
import * as first from "./sqlite-001-first.ts";

export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** In order; the schema version is the number of steps taken. */
export const sqliteMigrations: readonly Migration[] = [first];
