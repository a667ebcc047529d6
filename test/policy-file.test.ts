// A policy that lives in a file: changes of the file are in force without a word, SIGHUP reads it at once, and history
// keeps what it said.
import assert from "node:assert/strict";
import { appendFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { controlWorld } from "./control-world.ts";
import { until } from "./patience.ts";
import { programWorld } from "./program-world.ts";
import { scratchFolder } from "./scratch-folder.ts";

function textFor(port: number): string {
  return JSON.stringify({ acls: [{ action: "accept", src: ["*"], dst: [`*:${port}`] }] });
}

function folderFor(context: TestContext): string {
  const folder = scratchFolder(context, "policy-file");
  return folder;
}

test("a change of the policy file is in force and in the history, however it was written; a fault is neither", async (context) => {
  const folder = folderFor(context);
  const path = join(folder, "policy.hujson");
  writeFileSync(path, textFor(1));
  const world = await controlWorld(context, { extraConfig: `policy: { mode: file, path: ${path} }` });
  const { tailnet } = world.server;
  await world.join();
  const open = (): number | undefined => {
    const [node] = world.server.tailnet.nodes();
    return node && world.server.tailnet.policy.filterOf(node.id)[0]?.DstPorts?.[0]?.Ports.First;
  };
  const history = async (): Promise<readonly string[]> =>
    (await tailnet.policyHistory()).map(({ setBy, text }) => `${setBy} ${text}`);
  assert.equal(open(), 1);

  writeFileSync(path, textFor(2));
  await until("a file written in place", () => open() === 2);
  writeFileSync(`${path}.new`, textFor(3));
  renameSync(`${path}.new`, path);
  await until("a file replaced as editors do", () => open() === 3);
  const kept = [3, 2, 1].map((port) => `file ${textFor(port)}`);
  assert.deepEqual(await history(), kept);

  writeFileSync(path, "{");
  await world.server.reload();
  assert.equal(open(), 3);
  assert.deepEqual(await history(), kept);
  await world.restart();
  assert.equal(open(), 3, "the last good one");
});

test("SIGHUP reads a file whose folder is not watched", async (context) => {
  const world = await programWorld(context);
  const elsewhere = folderFor(context);
  const path = join(elsewhere, "policy.hujson");
  writeFileSync(path, textFor(1));
  symlinkSync(path, join(world.folder, "policy.hujson"));
  appendFileSync(
    join(world.folder, "config.yaml"),
    `policy: { mode: file, path: ${join(world.folder, "policy.hujson")} }\n`,
  );
  const server = await world.start();
  writeFileSync(path, textFor(2));
  server.signal("SIGHUP");
  const loads = (): number => (server.said().match(/policy loaded/g) ?? []).length;
  await until("the file is read", () => loads() === 2);
  const revisions = (await world.json("policy", "history")) as readonly Readonly<Record<string, unknown>>[];
  assert.deepEqual(
    revisions.map(({ policy, set_by: by }) => [by, policy]),
    [
      ["file", textFor(2)],
      ["file", textFor(1)],
    ],
  );
});
