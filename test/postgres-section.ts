import type { PostgresTarget } from "../src/store/postgres/connection.ts";

/** The configuration's `database` for it. */
export function postgresSection({ host, port, database, user, password }: PostgresTarget): string {
  const postgres = { host, port, name: database, user, pass: password, ssl: false };
  return JSON.stringify({ type: "postgres", postgres });
}
