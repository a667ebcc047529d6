import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { test, type TestContext } from "node:test";
import type { Log } from "./log.ts";
import { bindPort, freePort, type PortBinding } from "./port-binding.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

async function bound(
  context: TestContext,
  port: number,
  shared = false,
): Promise<{ readonly server: Server; readonly binding: PortBinding }> {
  const server = createServer((_request, response) => response.end("hello"));
  const binding = await bindPort(server, { host: "127.0.0.1", port, shared }, quiet);
  context.after(() => {
    binding.close();
    server.closeAllConnections();
  });
  return { server, binding };
}

test("requests are answered whichever of the port's sockets takes them", async (context) => {
  const { binding } = await bound(context, 0);
  const answers = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const answer = await fetch(`http://127.0.0.1:${binding.address.port}/`, { headers: { connection: "close" } });
      return answer.text();
    }),
  );
  assert.deepEqual(new Set(answers), new Set(["hello"]));
});

test("several connections are taken in one turn of the loop", async (context) => {
  const { server, binding } = await bound(context, 0);
  let inTurn = 0;
  let most = 0;
  server.on("connection", () => {
    if (inTurn === 0) {
      setImmediate(() => (inTurn = 0));
    }
    inTurn++;
    most = Math.max(most, inTurn);
  });
  const clients = Array.from({ length: 200 }, () => connect(binding.address.port, "127.0.0.1"));
  await Promise.all(clients.map((client) => once(client, "connect")));
  await new Promise((done) => setTimeout(done, 50));
  for (const client of clients) {
    client.destroy();
  }
  assert.ok(most > 1, `at most ${most} in a turn`);
});

test("a port that another server has is refused, though its sockets would allow to share it", async (context) => {
  const { binding } = await bound(context, 0);
  const { port } = binding.address;
  await assert.rejects(bindPort(createServer(), { host: "127.0.0.1", port, shared: false }, quiet), /EADDRINUSE/);
  await assert.rejects(freePort("127.0.0.1", port), /EADDRINUSE/);
});

test("threads of one server share a port", async (context) => {
  const first = await bound(context, 0, true);
  const second = await bound(context, first.binding.address.port, true);
  assert.equal(second.binding.address.port, first.binding.address.port);
});

test("a port is free for the next server once it is closed", async (context) => {
  const { binding } = await bound(context, 0);
  binding.close();
  await bound(context, binding.address.port);
});
