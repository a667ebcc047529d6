// Everything that opens a door is used once on a server that logs all it can; then all that the server wrote or answers
// is searched for it: log, database files, metrics, REST, command line.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createClient } from "../../src/cli/client.ts";
import type { Io } from "../../src/cli/io.ts";
import { runProgram } from "../../src/cli/program.ts";
import { createLogger } from "../../src/ops/logger.ts";
import { controlWorld, type ControlWorld } from "../control-world.ts";
import { generousSeconds } from "../patience.ts";

interface Secret {
  readonly name: string;
  readonly text: string;
}

/** The parts that open something: a key's last 64 characters, the random half of an auth id. */
function needles({ text }: Secret): readonly string[] {
  return [text, text.slice(-40)];
}

function assertAbsent(secrets: readonly Secret[], where: string, haystack: string): void {
  for (const secret of secrets) {
    for (const needle of needles(secret)) {
      assert.ok(!haystack.includes(needle), `${secret.name} is in ${where}`);
    }
  }
}

async function rest(world: ControlWorld, key: string, method: string, path: string, body?: unknown): Promise<string> {
  const response = await fetch(new URL(path, world.url), {
    method,
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return response.text();
}

async function commandLine(world: ControlWorld, words: string): Promise<string> {
  let out = "";
  const write = (text: string): void => {
    out += text;
  };
  const io: Io = {
    stdout: { write, isTerminal: false, columns: undefined },
    stderr: { write, isTerminal: false, columns: undefined },
    readLine: () => Promise.resolve("y"),
    isInteractive: false,
    env: {},
    now: () => Date.now(),
  };
  const place = { kind: "socket", path: world.server.config.unixSocket } as const;
  await runProgram(words.split(" "), {
    programName: "hawser",
    io,
    client: createClient({ place, timeout: generousSeconds * 1000, programName: "hawser" }),
  });
  return out;
}

async function apiKeyOf(world: ControlWorld): Promise<string> {
  const made = await world.server.tailnet.createApiKey(world.actor, { expiration: null });
  assert.ok(made.ok);
  return made.value.secret;
}

test("what opens a door is in no log, answer or file but where it belongs", async (context) => {
  const lines: string[] = [];
  const log = createLogger({ level: "trace", format: "json", write: (line) => lines.push(line) });
  const world = await controlWorld(context, { metrics: true, log });
  const { config, ports, tailnet } = world.server;
  const secrets: Secret[] = [];
  const keep = (name: string, text: string): string => {
    secrets.push({ name, text });
    return text;
  };

  const api = keep("an API key", await apiKeyOf(world));
  const single = keep("a single-use key", await world.authKey());
  const reusable = keep("a reusable key", await world.authKey({ reusable: true }));
  const wrong = keep("a wrong key", `hskey-auth-${"A".repeat(12)}-${"b".repeat(64)}`);
  keep("the Noise key", readFileSync(config.noise.privateKeyPath, "utf8").trim());
  keep("the relay's key", readFileSync(config.derp.server.privateKeyPath, "utf8").trim());

  // Nodes: let in, refused, spent, come back, logged out; a login that is approved, and one that is not.
  const first = world.client({ hostname: "first" });
  await first.join({ authKey: single });
  await first.openMap();
  await first.register({ authKey: single });
  for (const authKey of [single, wrong, `${reusable}x`, wrong.slice(0, -1)]) {
    assert.notEqual((await world.client().register({ authKey })).Error, "", "refused");
  }
  await world.client().join({ authKey: reusable });
  const asking = world.client({ hostname: "asking" });
  const { AuthURL } = await asking.register();
  const authId = keep("an auth id", AuthURL.slice(AuthURL.lastIndexOf("/") + 1));
  await fetch(AuthURL.replace(/^https?:\/\/[^/]+/, world.url.origin));
  await commandLine(world, `auth register --auth-id ${authId} --user alice`);
  await asking.register({ followup: AuthURL });
  const declined = await world.client().register();
  await commandLine(world, `auth reject --auth-id ${declined.AuthURL.slice(declined.AuthURL.lastIndexOf("/") + 1)}`);
  await first.logout(single);

  // Admins: right and wrong keys, mistakes that quote what was sent.
  const answers: string[] = [];
  for (const path of ["/api/v1/user", "/api/v1/node", "/api/v1/preauthkey", "/api/v1/apikey", "/api/v1/audit"]) {
    answers.push(await rest(world, api, "GET", path));
    answers.push(await rest(world, `${api.slice(0, -1)}!`, "GET", path));
  }
  answers.push(await rest(world, api, "GET", "/api/v1/auth"));
  await rest(world, api, "POST", "/api/v1/preauthkey", single);
  await rest(world, api, "POST", `/api/v1/preauthkey?user=${single}`, { user: single });
  await rest(world, api, "GET", `/api/v1/${api}/${single}?key=${reusable}`);
  await fetch(new URL(`/${api}`, world.url), { headers: { "x-real-ip": api, cookie: api, referer: api } });
  for (const words of [
    "users list",
    "nodes list",
    "nodes list -o json",
    "preauthkeys list",
    "preauthkeys list -o json",
    "apikeys list",
    "apikeys list -o yaml",
    "audit list",
  ]) {
    answers.push(await commandLine(world, words));
  }
  answers.push(await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text());
  const debug = `http://127.0.0.1:${ports.metrics}/debug`;
  const pages = (await (await fetch(debug, { headers: { accept: "application/json" } })).json()) as { path: string }[];
  assert.ok(pages.length > 5);
  for (const { path } of pages) {
    const page = await fetch(`http://127.0.0.1:${ports.metrics}${path.replace(/\?.*/, "?node=1")}`);
    assert.equal(page.status, 200, path);
    answers.push(await page.text());
  }

  assert.ok(tailnet.nodes().length >= 3);
  const waiting = secrets.filter(({ name }) => name !== "an auth id");
  answers.forEach((answer, index) => assertAbsent(waiting, `answer ${index}`, answer));

  await world.server.stop();
  const said = lines.join("");
  assert.ok(said.includes("node joined"), "the log says what happened");
  assertAbsent(secrets, "the log", said);

  const holders = new Set([config.noise.privateKeyPath, config.derp.server.privateKeyPath]);
  for (const entry of readdirSync(config.dataDir)) {
    const path = join(config.dataDir, entry);
    if (statSync(path).isFile() && !holders.has(path) && entry !== "config.yaml") {
      assertAbsent(secrets, entry, readFileSync(path, "latin1"));
    }
  }
});

test("of a stolen database no row can be presented as a key", async (context) => {
  const world = await controlWorld(context);
  const api = await apiKeyOf(world);
  await world.authKey({ reusable: true });
  await world.server.stop();
  const dump = readFileSync(join(world.server.config.dataDir, "db.sqlite"), "latin1");
  const hashes = [...new Set(dump.match(/[0-9a-f]{64}/g) ?? [])];
  assert.ok(hashes.length >= 2, "hashes are there");
  await world.restart();
  const prefix = /^hskey-api-([A-Za-z0-9_-]{12})-/.exec(api)?.[1] ?? "";
  const { tailnet } = world.server;
  for (const hash of hashes) {
    assert.equal(tailnet.verifyApiKey(`hskey-api-${prefix}-${hash}`), undefined);
    assert.equal(tailnet.verifyApiKey(`${prefix}.${hash}`), undefined);
    assert.equal(tailnet.verifyApiKey(hash), undefined);
    assert.notEqual((await world.client().register({ authKey: hash })).Error, "");
  }
  assert.ok(tailnet.verifyApiKey(api));
});
