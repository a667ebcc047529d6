// Which schema a database has, and the steps to this program's.
import type { Query } from "./connection.ts";
import { migrations } from "./schema.ts";

/** Brings the schema up to date; answers with a refusal when the database is newer than this program. */
export async function migrate(query: Query): Promise<string | undefined> {
  await query("CREATE SCHEMA IF NOT EXISTS hawser");
  await query("CREATE TABLE IF NOT EXISTS hawser.meta (key text PRIMARY KEY, value text NOT NULL)");
  const [row] = await query("SELECT value FROM hawser.meta WHERE key = 'schema' FOR UPDATE");
  const version = row === undefined ? 0 : Number(row["value"]);
  if (version > migrations.length) {
    return `the database has schema ${version}, which a newer Hawser made; this one knows up to ${migrations.length}: upgrade Hawser, or restore the backup from before`;
  }
  for (const { sql, run } of migrations.slice(version)) {
    await query(sql);
    await run?.(query);
  }
  await query("INSERT INTO hawser.meta VALUES ('schema', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", [
    String(migrations.length),
  ]);
  return undefined;
}
