// A PostgreSQL at 127.0.0.1:5432 to test with, when there is one: databases made for a test and dropped after it.
import { Client } from "pg";
import type { PostgresTarget } from "./connection.ts";

/** Where it is; PGUSER and PGPASSWORD say as whom. */
export const postgresServer = {
  host: "127.0.0.1",
  port: 5432,
  user: process.env["PGUSER"] ?? "postgres",
  password: process.env["PGPASSWORD"] ?? "",
};

/** Runs one statement beside the databases under test. */
export async function administer(sql: string): Promise<void> {
  const client = new Client({ ...postgresServer, database: "postgres", connectionTimeoutMillis: 30_000 });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Why there is none to use; undefined when there is one. */
export async function whyNoPostgres(): Promise<string | undefined> {
  try {
    await administer("SELECT 1");
    return undefined;
  } catch (error) {
    return `no PostgreSQL to use at 127.0.0.1:5432 (${error instanceof Error ? error.message : String(error)})`;
  }
}

let made = 0;

export async function freshDatabase(): Promise<PostgresTarget> {
  made += 1;
  const database = `hawser_test_${process.pid}_${made}`;
  // A run that was killed may have left it, and its process's number been given again. template1 may be in use.
  await administer(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await administer(`CREATE DATABASE ${database} TEMPLATE template0`);
  return postgresTarget(database);
}

export function postgresTarget(database: string): PostgresTarget {
  return { ...postgresServer, database, ssl: false };
}

export function dropDatabase({ database }: PostgresTarget): Promise<void> {
  return administer(`DROP DATABASE ${database} WITH (FORCE)`);
}
