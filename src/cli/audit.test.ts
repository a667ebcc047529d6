// The audit log as an operator meets it: list, export and verify over the command line and REST, on a file without a
// server, and with a log that somebody has tampered with.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createAdminWorld, type AdminWorld } from "../../test/admin-world.ts";

async function world(context: TestContext): Promise<AdminWorld> {
  const made = await createAdminWorld();
  context.after(() => made.close());
  for (const name of ["ada", "bob", "eve"]) {
    assert.equal((await made.cli(`users create ${name}`)).code, 0);
  }
  await made.rest("POST", "/api/v1/policy", undefined);
  await made.rest("PUT", "/api/v1/policy", { policy: '{"acls":[], /* ☃ "1": 2 */ }' });
  return made;
}

interface Entry {
  readonly id: string;
  readonly action: string;
  readonly previousHash: string;
  readonly hash: string;
}

function parse(text: string): Entry[] {
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Entry);
}

function fileOf(context: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-audit-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "audit.jsonl");
  writeFileSync(path, text);
  return path;
}

test("verify says that the log is whole and gives the hash to note", async (context) => {
  const { cli, rest, tailnet } = await world(context);
  const { head } = await tailnet.auditChain();
  const said = await cli("audit verify");
  assert.equal(said.code, 0);
  assert.equal(
    said.stdout,
    `The audit log is whole: ${head.id} entries, the newest is ${head.id}.\n` +
      `Its hash stands for all of them; note it elsewhere: ${head.hash}\n`,
  );
  assert.deepEqual((await rest("GET", `/api/v1/audit/verify?noted=${head.hash}`)).body, {
    ok: true,
    entries: String(head.id),
    headId: String(head.id),
    headHash: head.hash,
    anchorId: "0",
    anchorHash: "0".repeat(64),
    faults: [],
  });
  assert.equal((await rest("GET", "/api/v1/audit/verify?noted=xyz")).status, 400);
  const missing = await cli(`audit verify --noted ${"a".repeat(64)}`);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /the log: the noted hash does not occur/);
});

test("an export is the whole log, oldest first, and is verified without a server", async (context) => {
  const { cli, rest } = await world(context);
  const exported = await cli("audit export");
  const entries = parse(exported.stdout);
  assert.deepEqual(
    entries.map(({ action }) => action),
    ["api-key.create", "user.create", "user.create", "user.create", "policy.set"],
  );
  assert.deepEqual(
    entries,
    ((await rest("GET", "/api/v1/audit?oldestFirst=true")).body as { entries: Entry[] }).entries,
  );
  assert.deepEqual(
    ((await rest("GET", "/api/v1/audit?after=3")).body as { entries: Entry[] }).entries.map(({ id }) => id),
    ["4", "5"],
  );
  assert.equal((await rest("GET", "/api/v1/audit?after=3&before=9")).status, 400);
  const whole = await cli(["audit", "verify", "--file", fileOf(context, exported.stdout)]);
  assert.match(whole.stdout, /^The audit log is whole: 5 entries, the newest is 5\./);
  const later = (await cli("audit export --after 2")).stdout;
  assert.match(
    (await cli(["audit", "verify", "-f", fileOf(context, later)])).stdout,
    /whole: 3 entries \(after entry 2\)/,
  );
  const lines = exported.stdout.trimEnd().split("\n");
  const tampered: readonly (readonly [readonly string[], RegExp])[] = [
    [lines.toSpliced(2, 1), /entry 4: it does not follow entry 2/],
    [[...lines.slice(0, 2), lines[3] ?? "", lines[2] ?? "", ...lines.slice(4)], /entry 4: it does not follow entry 2/],
    [lines.map((line) => line.replace('"name":"bob"', '"name":"mallory"')), /entry 3: its content is not what was/],
    [lines.toSpliced(1, 1, "{"), /line 2: it is no JSON/],
  ];
  for (const [text, problem] of tampered) {
    const said = await cli(["audit", "verify", "--file", fileOf(context, text.join("\n"))]);
    assert.equal(said.code, 1);
    assert.match(said.stderr, problem);
  }
  const cut = fileOf(context, lines.slice(0, 4).join("\n"));
  assert.equal((await cli(["audit", "verify", "--file", cut])).code, 0);
  assert.equal((await cli(["audit", "verify", "--file", cut, "--noted", entries[4]?.hash ?? ""])).code, 1);
  assert.equal((await cli(["audit", "verify", "--file", join(cut, "absent")])).code, 1);
});

test("what pruning took is no fault; the rest follows its anchor", async (context) => {
  const { cli, tailnet, clock } = await world(context);
  clock.ms += 1000;
  await tailnet.pruneAudit(clock.ms);
  await cli("users create zoe");
  const said = await cli("audit verify");
  assert.match(said.stdout, /^The audit log is whole: 2 entries \(after entry 5\), the newest is 7\./);
  assert.match((await cli("audit list")).stdout, /audit\.prune/);
});

test("an API key may read the audit log only with its scope", async (context) => {
  const { cli, rest } = await world(context);
  const key = (await cli("apikeys create --scopes nodes:write")).stdout.trim();
  assert.equal((await rest("GET", "/api/v1/audit/verify", undefined, key)).status, 403);
  const reader = (await cli("apikeys create --scopes audit:read")).stdout.trim();
  assert.equal((await rest("GET", "/api/v1/audit/verify", undefined, reader)).status, 200);
});
