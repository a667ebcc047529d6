// What `__complete` says, against the real model over the real socket.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { createAdminWorld } from "../../test/admin-world.ts";
import type { AdminWorld } from "../../test/admin-world.ts";
import { startStopwatch } from "../../test/patience.ts";
import { completionScript } from "./completion.ts";

interface Offer {
  readonly texts: readonly string[];
  readonly lines: readonly string[];
  readonly directive: string;
}

type Complete = (...words: string[]) => Promise<Offer>;

async function inWorld(check: (complete: Complete, world: AdminWorld) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  try {
    const complete: Complete = async (...words) => {
      const { code, stdout, stderr } = await world.cli(["__complete", ...words]);
      assert.deepEqual([code, stderr], [0, ""]);
      const lines = stdout.split("\n");
      assert.equal(lines.pop(), "");
      const directive = lines.pop() ?? "";
      return { lines, texts: lines.map((line) => line.split("\t")[0] ?? ""), directive };
    };
    await check(complete, world);
  } finally {
    await world.close();
  }
}

test("commands are offered by any name of their group, with what they do; hidden ones are not", () =>
  inWorld(async (complete) => {
    assert.deepEqual(await complete("pre"), {
      lines: ["preauthkeys\tKeys that devices join with"],
      texts: ["preauthkeys"],
      directive: ":4",
    });
    assert.deepEqual((await complete("nodes", "ap")).texts, ["approve-routes"]);
    assert.deepEqual((await complete("machine", "ap")).texts, ["approve-routes"]);
    assert.deepEqual((await complete("-o", "json", "--force", "users", "cr")).texts, ["create"]);
    const all = (await complete("")).texts;
    assert.ok(all.includes("serve") && !all.includes("routes") && !all.includes("acl"));
    assert.deepEqual((await complete("nodes", "nonsense", "")).texts, []);
  }));

test("flags are offered after a dash, each once, required ones at once", () =>
  inWorld(async (complete) => {
    assert.deepEqual((await complete("preauthkeys", "create", "--re")).texts, ["--reusable"]);
    assert.deepEqual((await complete("preauthkeys", "create", "--reusable", "--re")).texts, []);
    assert.deepEqual((await complete("nodes", "delete", "")).lines, ["--identifier\tnode: its id, or its name"]);
    assert.deepEqual((await complete("nodes", "delete", "-i", "3", "")).texts, []);
    assert.ok(!(await complete("apikeys", "create", "--")).texts.includes("--reusable"), "hidden");
    assert.ok((await complete("apikeys", "create", "--")).texts.includes("--output"));
  }));

test("fixed values and files", () =>
  inWorld(async (complete) => {
    assert.deepEqual((await complete("users", "list", "-o", "js")).texts, ["json", "json-line"]);
    assert.deepEqual((await complete("users", "list", "--output=js")).texts, ["json", "json-line"]);
    assert.deepEqual((await complete("users", "role", "--role", "a")).texts, ["admin", "auditor"]);
    assert.deepEqual(await complete("policy", "set", "-f", ""), { lines: [], texts: [], directive: ":0" });
    assert.deepEqual(await complete("policy", "fmt", ""), { lines: [], texts: [], directive: ":0" });
    assert.equal((await complete("users", "create", "")).directive, ":4");
    const scopes = await complete("apikeys", "create", "--scopes", "nodes:read,nodes:");
    assert.deepEqual([scopes.texts, scopes.directive], [["nodes:read,nodes:write"], ":6"]);
  }));

test("nodes by name, and by id where digits stand; users by name or id", () =>
  inWorld(async (complete, world) => {
    await world.cli("users create alice -e alice@example.com");
    await world.cli("users create bob");
    await world.join(1, 1);
    await world.join(2, 2);
    const [first, second] = await names(world);
    assert.deepEqual((await complete("nodes", "delete", "-i", "")).lines, [
      `${first}\tid 1, alice`,
      `${second}\tid 2, bob`,
    ]);
    assert.deepEqual((await complete("nodes", "delete", "-i", "2")).lines, [`2\t${second}, bob`]);
    assert.deepEqual((await complete("nodes", "show", first)).texts, [first]);
    assert.deepEqual((await complete("nodes", "list", "--user", "a")).lines, ["alice\tid 1, alice@example.com"]);
    assert.deepEqual((await complete("preauthkeys", "create", "-u", "")).lines, [
      "1\talice, alice@example.com",
      "2\tbob",
    ]);
    assert.deepEqual((await complete("preauthkeys", "create", "-u", "b")).texts, ["bob"]);
    assert.deepEqual((await complete("users", "destroy", "--name", "bo")).texts, ["bob"]);
    assert.deepEqual((await complete("policy", "explain", "bo")).texts, ["bob"]);
    const undescribed = await world.cli(["__completeNoDesc", "users", "destroy", "--name", "bo"]);
    assert.equal(undescribed.stdout, "bob\n:4\n");
  }));

async function names(world: AdminWorld): Promise<readonly [string, string]> {
  const { stdout } = await world.cli("nodes list -o json");
  const parsed: unknown = JSON.parse(stdout);
  assert.ok(Array.isArray(parsed));
  const [a, b] = parsed.map((node: { readonly given_name: string }) => node.given_name);
  return [a ?? "", b ?? ""];
}

test("keys, tags, routes and policies", () =>
  inWorld(async (complete, world) => {
    await world.cli("users create alice");
    await world.join(1, 1);
    await world.cli("nodes tag -i 1 -t tag:web");
    assert.deepEqual((await complete("nodes", "tag", "-i", "1", "-t", "tag:")).texts, ["tag:web"]);
    assert.deepEqual((await complete("nodes", "tag", "-t", "tag:web,")).texts, [], "given already");
    const made = (await world.cli("preauthkeys create -u 1 --expiration 1h")).stdout;
    assert.match((await complete("preauthkeys", "expire", "-i", "")).lines.join(), /^1\thskey-auth-\S+ alice$/);
    assert.ok(!(await complete("preauthkeys", "expire", "-i", "")).lines.join().includes(made.trim()), "no whole key");
    for (const policy of ["{}", '{"groups":{}}']) {
      assert.equal((await world.rest("PUT", "/api/v1/policy", { policy })).status, 200);
    }
    const policies = (await complete("policy", "rollback", "")).lines;
    assert.equal(policies.length, 2);
    assert.match(policies[0] ?? "", /^2\t2026-01-02 03:04:05 by /);
    await world.cli("apikeys create");
    const prefixes = (await complete("apikeys", "delete", "--prefix", "")).texts;
    assert.ok(prefixes.length >= 1 && prefixes.every((prefix) => /^[\w-]{12}$/.test(prefix)), prefixes.join());
    assert.equal((await world.cli(`apikeys expire --prefix ${prefixes[0] ?? ""}`)).code, 0);
  }));

const main = join(import.meta.dirname, "main.ts");

/** What the program says with this configuration, and how long it took. */
async function alone(
  config: string,
  words = "nodes delete -i",
): Promise<{ readonly stdout: string; readonly seconds: number }> {
  const folder = mkdtempSync(join(tmpdir(), "hawser-complete-"));
  try {
    const file = join(folder, "config.yaml");
    writeFileSync(file, config);
    const watch = startStopwatch();
    const child = spawn(process.execPath, [main, "__complete", "-c", file, ...words.split(" "), ""], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const out = { stdout: "" };
    child.stdout.on("data", (chunk: Buffer) => {
      out.stdout += chunk.toString();
    });
    const [code] = await once(child, "close");
    assert.equal(code, 0);
    return { ...out, seconds: watch.seconds() };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("without a server, or with a broken configuration, there are no names, and no noise", async () => {
  assert.equal((await alone("unix_socket: /nonexistent/hawser.sock\n")).stdout, ":4\n");
  assert.equal((await alone("unix_socket: [\n")).stdout, ":4\n");
});

test("a server that takes the question and never answers is given up soon", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hawser-silent-"));
  const silent = createServer(() => undefined);
  try {
    const path = join(folder, "s.sock");
    await new Promise<void>((resolve) => silent.listen(path, resolve));
    const { stdout, seconds } = await alone(`unix_socket: ${path}\n`);
    assert.equal(stdout, ":4\n");
    assert.ok(seconds < 10, `${seconds} s`);
  } finally {
    silent.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("names that would look like other candidates, or speak to a terminal, are not offered", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hawser-hostile-"));
  const names = ["a\nb", "c\tzz", "d\u001b[31m", "fine"];
  const users = names.map((name, index) => ({ id: String(index + 1), name, displayName: "a\tb\nc" }));
  const hostile = createHttpServer((_request, response) => response.end(JSON.stringify({ users })));
  try {
    const path = join(folder, "s.sock");
    await new Promise<void>((resolve) => hostile.listen(path, resolve));
    const { stdout } = await alone(`unix_socket: ${path}\n`, "users list -n");
    assert.equal(stdout, "fine\tid 4, a b c\n:4\n");
  } finally {
    hostile.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("every shell's script calls the program by the name it was made for", () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"] as const) {
    const script = completionScript(shell, "headscale");
    assert.ok(script.includes("headscale") && !script.includes("hawser"), shell);
  }
});
