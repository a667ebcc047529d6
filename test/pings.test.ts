// What a whole server asks of nodes and what they answer: c2n, plain pings, and nodes that stay silent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { controlWorld } from "./control-world.ts";
import { generousSeconds, until } from "./patience.ts";

test("a node is asked over its map stream and answers over Noise", async (context) => {
  const world = await controlWorld(context);
  const asked: string[] = [];
  const sim = await world.join({
    c2n: ({ method, path, body }) => {
      asked.push(`${method} ${path} ${body.toString()}`);
      return path === "/echo" ? undefined : { status: 200, body: "an answer" };
    },
  });
  const id = sim.netmap.self?.ID;
  assert.ok(id !== undefined);
  const echo = await world.server.calls.c2n(id, { method: "POST", path: "/echo", body: Buffer.from("hello") });
  assert.ok(echo.ok);
  assert.equal(echo.response.status, 200);
  assert.equal(Buffer.from(echo.response.body).toString(), "hello");
  const other = await world.server.calls.c2n(id, { method: "GET", path: "/debug/prefs?x=1" });
  assert.ok(other.ok);
  assert.equal(Buffer.from(other.response.body).toString(), "an answer");
  assert.deepEqual(asked, ["POST /echo hello", "GET /debug/prefs?x=1 "]);
});

test("a probe tells a live stream, and one whose client has gone silent", async (context) => {
  const world = await controlWorld(context);
  const sim = await world.join();
  const id = sim.netmap.self?.ID;
  assert.ok(id !== undefined);
  const alive = await world.server.calls.probe(id, generousSeconds * 1000);
  assert.ok(alive.ok);
  (await sim.connect()).pause();
  assert.deepEqual(await world.server.calls.probe(id, 300), { ok: false, failure: "timeout" });
});

test("only the machine that was asked can answer", async (context) => {
  const world = await controlWorld(context);
  const [victim, liar] = [await world.join(), await world.join()];
  const id = victim.netmap.self?.ID;
  assert.ok(id !== undefined);
  // The victim sees the question but does not answer; what it saw is told to the liar.
  let url = "";
  const connection = await victim.connect();
  const request = connection.request.bind(connection);
  connection.request = (question) => {
    if (!question.path.startsWith("/machine/ping-response")) {
      return request(question);
    }
    url = question.path;
    return new Promise(() => {});
  };
  const question = world.server.calls.c2n(id, { method: "GET", path: "/echo", timeoutMs: 1500 });
  await until("the question arrives", () => url !== "");
  const answer = await liar.request("POST", url, "HTTP/1.1 200 OK\r\n\r\nlie");
  assert.ok(answer.status >= 400, String(answer.status));
  const outcome = await question;
  assert.deepEqual(outcome, { ok: false, failure: "timeout" });
});
