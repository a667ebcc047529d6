// Whose address counts: a stranger's headers never, a listed proxy's word where the proxy wrote it. Seen in what depends
// on it: log lines, the audit log, the counting of wrong keys and of questions to /verify, over every path in.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createLogger } from "../../src/ops/logger.ts";
import { controlWorld, type ControlWorld } from "../control-world.ts";

const madeUp = "203.0.113.99";
const forged: readonly Readonly<Record<string, string>>[] = [
  { "x-forwarded-for": madeUp },
  { "x-real-ip": madeUp },
  { "true-client-ip": madeUp },
  { forwarded: `for=${madeUp}` },
  { "cf-connecting-ip": madeUp },
  { "x-client-ip": madeUp },
  { "x-hawser-edge-peer": madeUp },
  { "x-forwarded-for": madeUp, "x-real-ip": madeUp, "true-client-ip": madeUp },
];

interface Rig {
  readonly world: ControlWorld;
  readonly lines: string[];
  readonly apiKey: string;
}

async function open(context: TestContext, extraConfig: string): Promise<Rig> {
  const lines: string[] = [];
  const log = createLogger({ level: "trace", format: "json", write: (line) => lines.push(line) });
  const world = await controlWorld(context, { log, extraConfig });
  const made = await world.server.tailnet.createApiKey(world.actor, { expiration: null });
  assert.ok(made.ok);
  return { world, lines, apiKey: made.value.secret };
}

function ask(world: ControlWorld, path: string, init: RequestInit): Promise<Response> {
  return fetch(new URL(path, world.url), init);
}

for (const threads of [0, 1]) {
  test(`a stranger's headers name nobody (${threads} threads)`, async (context) => {
    const { world, lines, apiKey } = await open(context, `control: { threads: ${threads} }`);
    for (const [index, headers] of forged.entries()) {
      const made = await ask(world, "/api/v1/user", {
        method: "POST",
        headers: { authorization: `Bearer ${apiKey}`, ...headers },
        body: JSON.stringify({ name: `user${index}` }),
      });
      assert.equal(made.status, 200);
    }
    const statuses = new Set<number>();
    for (let guess = 0; guess < 60; guess++) {
      const headers = Object.fromEntries(
        Object.entries(forged[guess % forged.length] ?? {}).map(([name]) => [name, `203.0.113.${guess}`]),
      );
      const { status } = await ask(world, "/api/v1/user", { headers: { authorization: "Bearer no", ...headers } });
      statuses.add(status);
    }
    assert.ok(statuses.has(429), "all the guesses were one address's");
    const audit = await ask(world, "/api/v1/audit", { headers: { authorization: `Bearer ${apiKey}` } });
    const text = await audit.text();
    assert.match(text, /127\.0\.0\.1/);
    assert.ok(!(text + lines.join("")).includes("203.0.113."));
  });
}

test("behind a listed proxy each client counts for itself, by what the proxy wrote", async (context) => {
  const { world, apiKey } = await open(context, "trusted_proxies: [127.0.0.1/32]");
  const authorization = `Bearer ${apiKey}`;
  const from = async (headers: Record<string, string>): Promise<string | undefined> => {
    const name = `user${Math.random().toString(36).slice(2)}`;
    const made = await ask(world, "/api/v1/user", {
      method: "POST",
      headers: { authorization, ...headers },
      body: JSON.stringify({ name }),
    });
    assert.equal(made.status, 200);
    const audit = await ask(world, "/api/v1/audit", { headers: { authorization } });
    const { entries } = (await audit.json()) as { entries: { from?: string; actorFrom?: string }[] };
    return JSON.stringify(entries[0]);
  };
  const spoofed = { "x-real-ip": madeUp, "true-client-ip": madeUp };
  assert.match((await from({ ...spoofed, "x-forwarded-for": `${madeUp}, 198.51.100.7` })) ?? "", /198\.51\.100\.7/);
  assert.match((await from({ "x-real-ip": "198.51.100.8" })) ?? "", /198\.51\.100\.8/);
  assert.match((await from({ "x-forwarded-for": "not an address" })) ?? "", /127\.0\.0\.1/);
  const guess = (client: string): Promise<Response> =>
    ask(world, "/api/v1/user", { headers: { authorization: "Bearer no", "x-forwarded-for": client } });
  for (let count = 0; count < 31; count++) {
    await guess("198.51.100.9");
  }
  assert.equal((await guess("198.51.100.9")).status, 429);
  assert.equal((await guess(`${madeUp}, 198.51.100.9`)).status, 429);
  assert.equal((await guess("198.51.100.10")).status, 401);
});
