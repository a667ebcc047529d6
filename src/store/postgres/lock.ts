// One server at a time: a PostgreSQL advisory lock, which the database frees the moment its holder's connection ends.
import { setTimeout as sleep } from "node:timers/promises";
import type { Query } from "./connection.ts";

/** "hawser" as the first half, the version of the rule as the second. */
export const lockClass = 0x68617773;
export const lockNumber = 1;

/** Takes the lock or has it already; else answers with who holds it, as that one named itself. */
export async function claim(query: Query): Promise<string | undefined> {
  const [held] = await query(
    `SELECT a.application_name AS name, (l.pid = pg_backend_pid())::int AS mine FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1 AND l.objid = $2
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [lockClass, lockNumber],
  );
  if (held?.["mine"] === 1) {
    return undefined;
  }
  const [taken] = await query("SELECT pg_try_advisory_lock($1, $2)::int AS got", [lockClass, lockNumber]);
  return taken?.["got"] === 1 ? undefined : held === undefined ? "another server" : String(held["name"]);
}

/** The database works off what a server had asked before it notices that the server was killed. */
const partingMs = 5_000;

/** The same at a start: the server before this one may be dead and the database not know it yet. */
export async function claimAtStart(query: Query): Promise<string | undefined> {
  for (const deadline = Date.now() + partingMs; ; await sleep(50)) {
    const owner = await claim(query);
    if (owner === undefined || Date.now() > deadline) {
      return owner;
    }
    // Within a transaction the view of who is connected is a picture of its first look.
    await query("SELECT pg_stat_clear_snapshot()");
  }
}
