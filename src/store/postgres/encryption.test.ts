// database.postgres.ssl against a real server: what each mode makes of one with TLS, without, and on a Unix socket.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import type { TestContext } from "node:test";
import { connect as connectTls, rootCertificates } from "node:tls";
import { Client } from "pg";
import { PostgresConnection } from "./connection.ts";
import type { PostgresTarget } from "./connection.ts";
import { postgresServer, postgresTarget, whyNoPostgres } from "./scratch.test-data.ts";

/** PostgreSQL's question whether there is TLS: eight bytes, the last four a number of its own. */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const target = postgresTarget("postgres");

/** Is a connection of this kind encrypted? Throws what the server, or the driver, has against it. */
async function encrypted(changes: Partial<PostgresTarget>): Promise<boolean> {
  const connection = new PostgresConnection({ ...target, ...changes }, "hawser test");
  try {
    const [row] = await connection.exclusively((query) =>
      query("SELECT ssl::int AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
    );
    return row?.["ssl"] === 1;
  } finally {
    await connection.close();
  }
}

async function setting(name: string): Promise<string> {
  const client = new Client({ ...postgresServer, database: "postgres" });
  await client.connect();
  try {
    const { rows } = await client.query<{ readonly value: string }>("SELECT current_setting($1) AS value", [name]);
    return rows[0]?.value ?? "";
  } finally {
    await client.end();
  }
}

const noPostgres = await whyNoPostgres();
const noTls = noPostgres ?? ((await setting("ssl")) === "on" ? false : "the PostgreSQL here has no TLS");
const socketFolder = noPostgres === undefined ? ((await setting("unix_socket_directories")).split(",")[0] ?? "") : "";

/** The same server behind a door that says it has no TLS. */
async function withoutTls(context: TestContext): Promise<number> {
  const door = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (first) => {
      if (sslRequest.equals(Buffer.from(first))) {
        socket.write("N");
        return;
      }
      const server = connect(postgresServer.port, postgresServer.host);
      server.on("error", () => socket.destroy());
      server.write(first);
      socket.pipe(server).pipe(socket);
    });
  });
  await new Promise<void>((listening) => door.listen(0, "127.0.0.1", listening));
  context.after(() => door.close());
  return (door.address() as AddressInfo).port;
}

test("where the server has TLS it is used, unless it was asked not to be", { skip: noTls }, async () => {
  for (const ssl of [true, "prefer", "require"]) {
    assert.equal(await encrypted({ ssl }), true, String(ssl));
  }
  for (const ssl of [false, "disable", "allow"]) {
    assert.equal(await encrypted({ ssl }), false, String(ssl));
  }
});

test(
  "true and prefer go on without TLS where the server has none; require does not",
  { skip: noPostgres },
  async (context) => {
    const port = await withoutTls(context);
    for (const ssl of [true, "prefer", "allow"]) {
      assert.equal(await encrypted({ port, ssl }), false, String(ssl));
    }
    for (const ssl of ["require", "verify-ca", "verify-full"]) {
      await assert.rejects(encrypted({ port, ssl }), /does not support SSL/, ssl);
    }
  },
);

test(
  "on a Unix socket there is no TLS, whatever the mode",
  { skip: noPostgres ?? (socketFolder === "" && "the PostgreSQL here has no Unix socket") },
  async (context) => {
    for (const ssl of [true, "require", "verify-full"]) {
      try {
        assert.equal(await encrypted({ host: socketFolder, ssl }), false, String(ssl));
      } catch (error) {
        // Who may enter by the socket is up to the server; that it was asked is what counts here.
        assert.match(error instanceof Error ? error.message : "", /authentication failed/);
        context.diagnostic("the server lets nobody in by its socket");
      }
    }
  },
);

/** Who vouches for servers, for the length of a test. */
function vouchedBy(context: TestContext, pem: string): void {
  const folder = mkdtempSync(join(tmpdir(), "hawser-ca-"));
  const file = join(folder, "root.crt");
  writeFileSync(file, pem);
  process.env["PGSSLROOTCERT"] = file;
  context.after(() => {
    delete process.env["PGSSLROOTCERT"];
    rmSync(folder, { recursive: true });
  });
}

test(
  "a certificate that nobody vouches for is refused where it is to be verified",
  { skip: noTls },
  async (context) => {
    vouchedBy(context, rootCertificates[0] ?? "");
    await assert.rejects(encrypted({ ssl: "verify-full" }), /self[- ]signed certificate/);
    await assert.rejects(encrypted({ ssl: "verify-ca" }), /self[- ]signed certificate/);
    assert.equal(await encrypted({ ssl: "require" }), true);
  },
);

test(
  "PGSSLROOTCERT says who vouches; verify-ca asks for no name, verify-full does",
  { skip: noTls },
  async (context) => {
    vouchedBy(context, await shownCertificate());
    assert.equal(await encrypted({ ssl: "verify-ca" }), true);
    await assert.rejects(encrypted({ ssl: "verify-full" }), /does not match certificate/);
  },
);

/** The certificate that the server shows, in PEM. */
async function shownCertificate(): Promise<string> {
  const socket = connect(postgresServer.port, postgresServer.host);
  try {
    await once(socket, "connect");
    socket.write(sslRequest);
    await once(socket, "data");
    const secure = connectTls({ socket, rejectUnauthorized: false });
    await once(secure, "secureConnect");
    const { raw } = secure.getPeerCertificate();
    return `-----BEGIN CERTIFICATE-----\n${raw.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
  } finally {
    socket.destroy();
  }
}
