// A policy file that cannot be used: the last good policy stays in force, and everybody who looks is told.
import assert from "node:assert/strict";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "./patience.ts";
import { programWorld } from "./program-world.ts";

const good = '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"]}]}\n';
/** Commands that say what is the matter. */
const allAsked = [["health"], ["policy", "get"], ["policy", "history"]] as const;
const bad = '{"acls": [{"action": "accept", "src": ["tag:none"], "dst": ["*:22"]}]}\n';

test("health, policy get, policy history and /health say that a policy file is not used, until it is", async (context) => {
  const world = await programWorld(context);
  const path = join(world.folder, "policy.hujson");
  appendFileSync(join(world.folder, "config.yaml"), `policy: { mode: file, path: ${path} }\n`);
  writeFileSync(path, good);
  const server = await world.start();
  const notes = async (asked: readonly (readonly string[])[] = allAsked): Promise<readonly string[]> => {
    const outputs = await Promise.all(asked.map((words) => world.run(...words)));
    assert.ok(outputs.every(({ code }) => code === 0));
    return outputs.map(({ stderr }) => stderr);
  };
  const health = async (): Promise<readonly [number, unknown]> => {
    const response = await fetch(new URL("/health", world.url));
    const { status } = (await response.json()) as { readonly status: unknown };
    return [response.status, status];
  };
  assert.deepEqual(await notes(), ["", "", ""]);
  assert.deepEqual(await health(), [200, "pass"]);

  writeFileSync(path, bad);
  await until("the file is read", () => /policy file is not used/.test(server.said()));
  for (const note of await notes()) {
    assert.match(note, /^warning: the policy file is not used, the last good policy stays in force: .*tag not found/);
  }
  assert.deepEqual(await health(), [200, "warn"]);
  const { stdout } = await world.run("policy", "history");
  assert.match(stdout, /in force/);

  rmSync(path);
  server.signal("SIGHUP");
  await until("the file is missed", () => /policy file cannot be read/.test(server.said()));
  for (const note of await notes([["health"], ["policy", "history"]])) {
    assert.match(note, /^warning: the policy file cannot be read, the last good policy stays in force: ENOENT/);
  }
  const missing = await world.run("policy", "get");
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /reading policy from file: ENOENT/);

  writeFileSync(path, good);
  server.signal("SIGHUP");
  await until("the file is good again", () => /policy unchanged/.test(server.said()));
  assert.deepEqual(await notes(), ["", "", ""]);
  assert.deepEqual(await health(), [200, "pass"]);
});

test("a policy file that becomes empty opens nothing, neither now nor after a restart; an empty policy in it does", async (context) => {
  const world = await programWorld(context);
  const path = join(world.folder, "policy.hujson");
  appendFileSync(join(world.folder, "config.yaml"), `policy: { mode: file, path: ${path} }\n`);
  writeFileSync(path, good);
  const server = await world.start();
  writeFileSync(path, "");
  await until("the file is looked at", () => /the policy file is empty, the last good policy/.test(server.said()));
  const inForce = async (): Promise<unknown> =>
    ((await world.json("policy", "history")) as readonly Readonly<Record<string, unknown>>[])[0]?.["policy"];
  assert.equal(await inForce(), good);
  await server.stop();

  const again = await world.start();
  assert.match(again.said(), /the policy file is empty, the last good policy/);
  writeFileSync(path, "{}");
  await until("the file is read", () => /policy loaded/.test(again.said()));
  assert.equal(await inForce(), "{}");
});
