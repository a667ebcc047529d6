// The connection to a server: over the socket, over TCP with a key, and when there is none.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { createAdminWorld } from "../../test/admin-world.ts";
import type { AdminWorld } from "../../test/admin-world.ts";
import { generousSeconds } from "../../test/patience.ts";
import { CreateUser, Health, ListUsers } from "../api/calls.ts";
import { CliError } from "./cli-error.ts";
import { createClient, remotePlace } from "./client.ts";
import type { Client, ServerPlace } from "./client.ts";
import { runProgram } from "./program.ts";

async function inWorld(check: (world: AdminWorld) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  try {
    await check(world);
  } finally {
    await world.close();
  }
}

function clientOf(place: ServerPlace, timeout = generousSeconds * 1000): Client {
  return createClient({ place, timeout, programName: "hawser" });
}

function refusal(text: RegExp): (fault: unknown) => boolean {
  return (fault) => {
    assert.ok(fault instanceof CliError);
    assert.match(fault.message, text);
    return true;
  };
}

test("a remote server is asked over TCP with the key", () =>
  inWorld(async ({ url, apiKey }) => {
    const client = clientOf(remotePlace(url, apiKey, false, "hawser"));
    await client.call(CreateUser, { name: "a b/c?d" }, "creating user");
    const { users } = await client.call(ListUsers, { name: "a b/c?d" }, "listing users");
    assert.deepEqual(
      users.map(({ name }) => name),
      ["a b/c?d"],
    );
    const wrong = clientOf(remotePlace(url, "hskey-api-wrong", false, "hawser"));
    await assert.rejects(
      wrong.call(Health, {}, "checking health"),
      refusal(/^checking health: rpc error: code = Unauthenticated desc = invalid token$/),
    );
  }));

test("host:port means TLS, as headscale's remote command line has it; insecure skips only the certificate's check", () =>
  inWorld(async ({ api, apiKey }) => {
    const folder = mkdtempSync(join(tmpdir(), "hawser-tls-"));
    try {
      const [certPath, keyPath] = [join(folder, "cert.pem"), join(folder, "key.pem")];
      const words = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost -keyout ${keyPath} -out ${certPath}`;
      execFileSync("openssl", words.split(" "), { stdio: "ignore" });
      const tls = { cert: readFileSync(certPath, "utf8"), key: readFileSync(keyPath, "utf8") };
      const { port } = await api.listenGrpc({ host: "127.0.0.1", port: 0, tls });
      const strict = clientOf(remotePlace(`127.0.0.1:${port}`, apiKey, false, "hawser"));
      await assert.rejects(
        strict.call(Health, {}, "checking health"),
        refusal(/self-signed certificate.*cli\.insecure/),
      );
      const insecure = clientOf(remotePlace(`127.0.0.1:${port}`, apiKey, true, "hawser"));
      assert.deepEqual(await insecure.call(Health, {}, "checking health"), { databaseConnectivity: true });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }));

test("a remote server without a key is not asked", () => {
  assert.throws(
    () => remotePlace("example.com:50443", "", false, "headscale"),
    refusal(/^connecting to headscale: HEADSCALE_CLI_API_KEY environment variable needs to be set$/),
  );
  assert.throws(() => remotePlace("a b", "key", false, "hawser"), refusal(/neither host:port nor a URL/));
});

test("without a server the error names the socket and what to do", async () => {
  const client = clientOf({ kind: "socket", path: "/nonexistent/hawser.sock" });
  await assert.rejects(
    client.call(Health, {}, "checking health"),
    refusal(/^connecting to hawser: connecting to \/nonexistent\/hawser\.sock: no server is listening there; start it/),
  );
});

test("a server that does not answer is not waited for longer than the timeout", async () => {
  // Port 9 of a documentation address drops everything; where it is refused instead, the error comes sooner.
  const place = remotePlace("http://192.0.2.1:9", "key", false, "hawser");
  await assert.rejects(
    clientOf(place, 200).call(Health, {}, "checking health"),
    refusal(/connecting to 192\.0\.2\.1:9: /),
  );
});

test(
  "a socket that one may not open is told apart",
  { skip: process.getuid?.() === 0 && "root may open everything" },
  () =>
    inWorld(async ({ socketPath }) => {
      chmodSync(socketPath, 0);
      const client = clientOf({ kind: "socket", path: socketPath });
      await assert.rejects(
        client.call(Health, {}, "checking health"),
        refusal(/do you have the correct permissions\?/),
      );
    }),
);

test("an answer of something else than a server is shown, not believed", async () => {
  const server = createServer((socket) => {
    socket.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 11\r\nconnection: close\r\n\r\nBad gateway");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const client = clientOf(remotePlace(`http://127.0.0.1:${port}`, "key", false, "hawser"));
  await assert.rejects(
    client.call(Health, {}, "checking health"),
    refusal(/the server answered 502 with something else than expected: Bad gateway/),
  );
  server.close();
});

test("the environment names the server: HEADSCALE_CLI_* and HAWSER_CLI_*", () =>
  inWorld(async ({ url, apiKey, socketPath }) => {
    const outputOf = async (env: Record<string, string>): Promise<string> => {
      let text = "";
      const stream = { write: (part: string) => void (text += part), isTerminal: false, columns: undefined };
      const io = {
        stdout: stream,
        stderr: stream,
        readLine: () => Promise.resolve(undefined),
        isInteractive: false,
        env,
        now: () => 0,
      };
      const code = await runProgram(["health", "-o", "json-line"], { programName: "hawser", io });
      return `${code} ${text}`;
    };
    const healthy = '0 {"database_connectivity":true}\n';
    assert.equal(await outputOf({ HEADSCALE_CLI_ADDRESS: url, HEADSCALE_CLI_API_KEY: apiKey }), healthy);
    assert.equal(await outputOf({ HAWSER_CLI_ADDRESS: url, HAWSER_CLI_API_KEY: apiKey }), healthy);
    assert.equal(await outputOf({ HAWSER_UNIX_SOCKET: socketPath }), healthy);
    assert.match(
      await outputOf({ HEADSCALE_CLI_ADDRESS: url }),
      /^1 \{"error":"connecting to hawser: HEADSCALE_CLI_API_KEY/,
    );
  }));
