import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { createAdminWorld } from "../../test/admin-world.ts";
import type { CliAnswer, CliOptions } from "../../test/admin-world.ts";

type Cli = (words: string, options?: CliOptions) => Promise<CliAnswer>;

const policy = `{
"tagOwners": {"tag:db": []},
"acls": [
{"action": "accept", "src": ["alice@example.com"], "dst": ["tag:db:5432"]},
{"action": "accept", "src": ["bob@"], "dst": ["*:*"]}],
"ssh": [{"action": "check", "src": ["alice@example.com"], "dst": ["tag:db"], "users": ["root"]}]
}
`;

/** alice's laptop, a database, and bob's router; `file` writes a draft and gives its path. */
async function inTailnet(check: (cli: Cli, file: (text: string) => string) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  const folder = mkdtempSync(join(tmpdir(), "hawser-policy-"));
  const file = (text: string): string => {
    const path = join(folder, "draft.hujson");
    writeFileSync(path, text);
    return path;
  };
  try {
    const cli: Cli = (words, options) => world.cli(words, options);
    await cli("users create alice -e alice@example.com");
    await cli("users create bob");
    await world.join(1, 1, { Hostname: "laptop" });
    await world.join(2, 2, { Hostname: "db" });
    await world.join(2, 3, { Hostname: "router", RoutableIPs: ["10.0.0.0/24"] });
    await cli(`policy set -f ${file(policy)}`);
    await cli("nodes tag -i db -t tag:db");
    await cli("nodes approve-routes -i router -r 10.0.0.0/24");
    await check(cli, file);
  } finally {
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function outputOf(answer: Promise<CliAnswer>): Promise<string> {
  const { code, stdout, stderr } = await answer;
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout;
}

test("explain names the rule that allows, and how the two are in it", () =>
  inTailnet(async (cli) => {
    assert.equal(
      await outputOf(cli("policy explain laptop db:5432")),
      `laptop (100.64.0.1; alice@example.com) → db (100.64.0.2; tag:db) port 5432: allowed
  line 4 (acls 0): alice@example.com → tag:db, 5432
    source: laptop belongs to alice@example.com
    destination: db has tag:db
`,
    );
  }));

test("explain names what is missing, and what SSH says", () =>
  inTailnet(async (cli) => {
    assert.equal(
      await outputOf(cli("policy explain laptop db:22 --ssh root")),
      `laptop (100.64.0.1; alice@example.com) → db (100.64.0.2; tag:db) port 22: denied
  line 4 (acls 0): both sides fit, but it opens only 5432
  line 5 (acls 1): * fits the destination (db), but the source is not among bob@
  SSH: allowed by line 6, after a fresh login (and no packets get to port 22)
`,
    );
  }));

test("explain goes through routers, and answers programs in full", () =>
  inTailnet(async (cli) => {
    assert.match(await outputOf(cli("policy explain laptop 10.0.0.7")), /through router, route 10\.0\.0\.0\/24/);
    const { answers } = JSON.parse(await outputOf(cli("policy explain bob@ 10.0.0.7:80 -o json"))) as {
      answers: { allowed: boolean; router: string; by: { line: number; source: string }[] }[];
    };
    assert.equal(answers.length, 1);
    assert.deepEqual([answers[0]?.allowed, answers[0]?.router, answers[0]?.by[0]?.line], [true, "router", 5]);
  }));

test("explain asks a draft, and says what it does not know", () =>
  inTailnet(async (cli, file) => {
    const draft = file(policy.replace("5432", "22,5432"));
    assert.match(await outputOf(cli(`policy explain laptop db:22 -f ${draft}`)), /port 22: allowed/);
    assert.match((await cli("policy explain laptp db")).stderr, /did you mean "laptop"\?/);
    assert.match((await cli("policy explain laptop")).stderr, /say who and whom/);
    assert.match(
      (await cli(`policy explain laptop db -f ${file("{")}`)).stderr,
      /InvalidArgument desc = parsing policy: /,
    );
  }));

test("preview says who gains and who loses, and changes nothing", () =>
  inTailnet(async (cli, file) => {
    const draft = file(
      '{"tagOwners": {"tag:db": []}, "acls": [{"action": "accept", "src": ["alice@example.com"], "dst": ["tag:db:22,5432"]}]}',
    );
    const text = await outputOf(cli(`policy preview ${draft}`));
    assert.match(text, /laptop → db\n {4}\+ 22\n/);
    assert.match(text, /SSH:\n {2}laptop → db\n {4}- ssh as root/);
    assert.match(text, /Pairs of nodes that may do more: 1; that may do less: \d+\.\n$/);
    assert.equal(await outputOf(cli("policy get")), `${policy}\n`);
    assert.equal(await outputOf(cli(`policy preview ${file(policy)}`)), "Nothing changes.\n");
    assert.match((await cli("policy preview")).stderr, /the file is missing/);
  }));

const closed = '{"tagOwners": {"tag:db": []}, "acls": [], "ssh": []}';

test("in a script, set says on stderr what changed and what is doubtful, and asks nothing", () =>
  inTailnet(async (cli, file) => {
    const set = await cli(`policy set -f ${file(closed)}`);
    assert.deepEqual([set.code, set.stdout], [0, "Policy updated.\n"]);
    assert.match(set.stderr, /^Access:\n[^]*laptop → db\n {4}- 5432\n[^]*that may do less: [1-9]\d*\.\n$/);
    assert.match(set.stderr, /SSH:\n {2}laptop → db\n {4}- ssh as root/);
    assert.equal(
      await outputOf(cli(`policy set -f ${file(closed)}`)),
      "Policy updated.\n",
      "nothing new, nothing said",
    );
    const doubtful = file(
      '{"groups": {"group:x": ["nobody@"]}, "acls": [{"action": "accept", "src": ["group:x"], "dst": ["*:*"]}]}',
    );
    assert.match((await cli(`policy set -f ${doubtful}`)).stderr, /^warning: .*user not found: token "nobody"/);
    const faulty = await cli(`policy set -f ${file('{"acls": 1}')}`);
    assert.deepEqual([faulty.code, faulty.stdout], [1, ""]);
    assert.match(faulty.stderr, /setting policy: .*parsing policy: /, "and a fault is told once, without a preview");
    assert.doesNotMatch(faulty.stderr, /Access|previewing/);
  }));

test("at a terminal, set asks when somebody loses access, and only then", () =>
  inTailnet(async (cli, file) => {
    const wider = file(policy.replace("5432", "22,5432"));
    const gain = await cli(`policy set -f ${wider}`, { interactive: true });
    assert.deepEqual([gain.code, gain.stdout], [0, "Policy updated.\n"]);
    assert.doesNotMatch(gain.stderr, /\[y\/n\]/);

    const draft = file(closed);
    const no = await cli(`policy set -f ${draft}`, { interactive: true, input: ["n"] });
    assert.deepEqual([no.code, no.stdout], [0, "Policy not changed\n"]);
    assert.match(no.stderr, /laptop → db\n {4}- 22, 5432\n[^]*Somebody loses access\. .*\[y\/n\] $/);
    assert.match(await outputOf(cli("policy get")), /22,5432/);

    const forced = await cli(`policy set --force -f ${draft}`, { interactive: true });
    assert.deepEqual([forced.code, forced.stdout], [0, "Policy updated.\n"]);
    assert.doesNotMatch(forced.stderr, /\[y\/n\]/);

    await cli(`policy set -f ${file(policy)}`);
    const yes = await cli(`policy set -f ${file(closed)}`, { interactive: true, input: ["y"] });
    assert.deepEqual([yes.code, yes.stdout], [0, "Policy updated.\n"]);
    assert.equal(await outputOf(cli("policy get")), `${closed}\n`);
  }));

test("fmt lays out a file without a server, keeps comments, and writes only when told to", () =>
  inTailnet(async (cli, file) => {
    const path = file('{ // who\n"acls":[ ]}');
    const formatted = '{ // who\n\t"acls": [],\n}\n';
    assert.equal(await outputOf(cli(`policy fmt ${path}`)), formatted);
    assert.equal(readFileSync(path, "utf8"), '{ // who\n"acls":[ ]}');
    assert.equal(await outputOf(cli(`policy fmt -w ${path}`)), "");
    assert.equal(readFileSync(path, "utf8"), formatted);
  }));

test("history lists, prints and brings back", () =>
  inTailnet(async (cli, file) => {
    await cli(`policy set -f ${file('{"acls": []}')}`);
    const list = await outputOf(cli("policy history"));
    assert.match(list, /^ID \| Set +\| By +\| Size +\|\n2 +\|.*\| in force\n1 +\|/);
    assert.equal(await outputOf(cli("policy history 1")), `${policy}\n`);
    assert.match((await cli("policy history 9")).stderr, /there is no policy 9/);
    const asked = await cli("policy rollback 1");
    assert.equal(asked.stdout, "Policy not changed\n");
    const regained = /^Access:\n[^]*laptop → db\n {4}\+ 5432\n[^]*that may do less: 0\.\n/;
    assert.match(asked.stderr, regained);
    assert.match(asked.stderr, /less: 0\.\nDo you want to put policy 1 in force again\? \[y\/n\] $/);
    const forced = await cli("policy rollback 1 --force");
    assert.deepEqual([forced.code, forced.stdout], [0, "Policy updated.\n"]);
    assert.match(forced.stderr, regained);
    assert.match((await cli("policy rollback 1")).stderr, /^Nothing changes\.\nDo you want to put policy 1 in force/);
    assert.equal(await outputOf(cli("policy get")), `${policy}\n`);
    assert.match((await cli("policy rollback x --force")).stderr, /not the number of a policy/);
  }));

test("test runs the tests of the policy in force or of a file", () =>
  inTailnet(async (cli, file) => {
    assert.equal(await outputOf(cli("policy test")), "Policy tests passed\n");
    const failing = policy.replace("\n}", ',\n"tests": [{"src": "alice@example.com", "accept": ["tag:db:22"]}]\n}');
    assert.match((await cli(`policy test -f ${file(failing)}`)).stderr, /test\(s\) failed/);
  }));

test("without a policy explain says that everything is allowed", async () => {
  const world = await createAdminWorld();
  try {
    await world.cli("users create bob");
    await world.join(1, 1);
    await world.join(1, 2);
    const { stdout } = await world.cli("policy explain host-1 host-2:22");
    assert.match(stdout, /port 22: allowed\n {2}no policy is in force: everything is allowed\n$/);
  } finally {
    await world.close();
  }
});
