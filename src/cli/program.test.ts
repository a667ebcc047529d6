// Golden tests of the commands, written from headscale reference §2, against the real model over the real socket.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import test from "node:test";
import { createAdminWorld } from "../../test/admin-world.ts";
import type { AdminWorld, CliAnswer } from "../../test/admin-world.ts";
import { scratchFolder } from "../../test/scratch-folder.ts";

async function inWorld(check: (world: AdminWorld) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  try {
    await check(world);
  } finally {
    await world.close();
  }
}

function done(answer: CliAnswer, stdout: string): void {
  assert.deepEqual(answer, { code: 0, stdout, stderr: "" });
}

function failed(answer: CliAnswer, stderr: string | RegExp): void {
  assert.deepEqual([answer.code, answer.stdout], [1, ""], answer.stderr);
  if (typeof stderr === "string") {
    assert.equal(answer.stderr, `Error: ${stderr}\n`);
  } else {
    assert.match(answer.stderr, stderr);
  }
}

const seconds = 1767323045;
const infraJson = `{"id":1,"name":"infra","created_at":{"seconds":${seconds}}}`;

test("users create prints a word for people, the user for programs, with a numeric id", () =>
  inWorld(async ({ cli }) => {
    done(
      await cli("users create infra --output json"),
      `{\n\t"id": 1,\n\t"name": "infra",\n\t"created_at": {\n\t\t"seconds": ${seconds}\n\t}\n}\n`,
    );
    done(await cli("user new alice -d Alice -e alice@example.com -p https://example.com/a.png"), "User created\n");
    failed(await cli("users create"), "missing parameters");
    failed(await cli("users create bob -p http://[::1"), /invalid picture URL/);
    failed(
      await cli("users create infra"),
      /^Error: creating user: rpc error: code = Internal desc = creating user: creating user: constraint failed: UNIQUE constraint failed: users\.name \(2067\)/,
    );
  }));

test("users list: table, JSON, YAML, filters", () =>
  inWorld(async ({ cli }) => {
    done(await cli("users list -o json"), "null\n");
    done(await cli("users list -o yaml"), "[]\n\n");
    await cli("users create infra");
    await cli("users create alice --display-name Alice --email alice@example.com");
    done(
      await cli("users list"),
      `ID | Name  | Username | Email             | Created
1  |       | infra    |                   | 2026-01-02 03:04:05
2  | Alice | alice    | alice@example.com | 2026-01-02 03:04:05
`,
    );
    done(await cli("users ls -o json-line --name infra"), `[${infraJson}]\n`);
    done(await cli("users show -i 1 --name alice -o json-line"), `[${infraJson}]\n`);
    const { stdout } = await cli("users list -e alice@example.com -o yaml");
    assert.match(
      stdout,
      /^- id: 2\n {2}name: alice\n {2}createdat:\n {4}seconds: 1767323045\n {4}nanos: 0\n {2}displayname: Alice\n/,
    );
  }));

test("users rename, by id, by name, and as older guides write it", () =>
  inWorld(async ({ cli }) => {
    await cli("users create infra");
    done(await cli("users rename -i 1 -r ops"), "User renamed\n");
    done(await cli("users mv --name ops --new-name infra -o json-line"), `${infraJson}\n`);
    const positional = await cli("users rename infra ops");
    assert.deepEqual([positional.code, positional.stdout], [0, "User renamed\n"]);
    assert.match(positional.stderr, /today's spelling is: users rename --name OLD --new-name NEW/);
    failed(await cli("users rename -i 1"), 'required flag(s) "new-name" not set');
    failed(await cli("users rename -r x"), "--name or --identifier flag is required");
    failed(await cli("users rename -n nobody -r x"), /no user matches/);
  }));

test("users destroy asks, and does nothing without a yes", () =>
  inWorld(async ({ cli }) => {
    await cli("users create infra");
    const question = 'Do you want to remove the user "infra" (1) and any associated preauthkeys? [y/n] ';
    assert.deepEqual(await cli("users destroy -i 1", { input: ["n"] }), {
      code: 0,
      stdout: "User not destroyed\n",
      stderr: question,
    });
    assert.deepEqual(await cli("users destroy -i 1 -o json-line"), {
      code: 0,
      stdout: '{"Result":"User not destroyed"}\n',
      stderr: question,
    });
    failed(await cli("users destroy"), "--name or --identifier flag is required");
    done(await cli("users delete --name infra --force -o json"), "{}\n");
    await cli("users create bob");
    assert.deepEqual(await cli("users destroy -n bob", { input: ["Sure"] }), {
      code: 0,
      stdout: "User destroyed\n",
      stderr: question.replace('"infra" (1)', '"bob" (2)'),
    });
  }));

test("preauthkeys create: the key for people, all of it for programs", () =>
  inWorld(async ({ cli }) => {
    await cli("users create infra");
    const human = await cli("preauthkeys create --user 1");
    assert.match(human.stdout, /^hskey-auth-[A-Za-z0-9_-]{12}-[A-Za-z0-9_-]{64}\n$/);
    const { stdout } = await cli("preauthkeys create --user 1 --reusable --expiration 24h --output json");
    const key = JSON.parse(stdout) as { key: string };
    assert.match(key.key, /^hskey-auth-/);
    assert.deepEqual(key, {
      user: { id: 1, name: "infra", created_at: { seconds } },
      id: 2,
      key: key.key,
      reusable: true,
      expiration: { seconds: seconds + 86_400 },
      created_at: { seconds },
    });
    const tagged = await cli("preauthkeys create --tags tag:b,tag:a --tags tag:c --ephemeral -e never -o json");
    const parsed = JSON.parse(tagged.stdout) as Record<string, unknown>;
    assert.deepEqual(
      [parsed["acl_tags"], parsed["ephemeral"], parsed["expiration"]],
      [["tag:a", "tag:b", "tag:c"], true, undefined],
    );
    const byName = await cli("preauthkeys create --user infra");
    assert.deepEqual(
      [byName.code, byName.stderr],
      [0, 'note: --user takes the user\'s id today; looking up "infra"\n'],
    );
  }));

test("preauthkeys: what is wrong is said in headscale's words", () =>
  inWorld(async ({ cli }) => {
    failed(
      await cli("preauthkeys create --user 1 -e foo"),
      /^Error: parsing duration: not a valid duration string: "foo"/,
    );
    failed(await cli("preauthkeys create -e 0"), /dead at once/);
    failed(
      await cli("preauthkeys create"),
      "creating preauthkey: rpc error: code = Unknown desc = auth-key must be either tagged or owned by user",
    );
    failed(
      await cli("preauthkeys create --tags web"),
      "creating preauthkey: rpc error: code = InvalidArgument desc = tag must start with the string 'tag:'",
    );
    failed(await cli("preauthkeys create --user nobody"), /no user has the name "nobody"/);
    failed(await cli("preauthkeys expire"), "missing --id parameter: missing parameters");
    done(await cli("preauthkeys expire --id 99"), "Key expired\n");
    done(await cli("preauthkeys delete --id 99 -o json"), "{}\n");
  }));

test("preauthkeys list, expire, delete", () =>
  inWorld(async ({ cli }) => {
    done(await cli("preauthkeys list -o json"), "null\n");
    await cli("users create infra");
    await cli("pre c -u 1");
    await cli("authkey new --tags tag:a,tag:b --reusable");
    done(await cli("preauthkey revoke -i 2"), "Key expired\n");
    const { stdout } = await cli("preauthkeys ls");
    assert.equal(
      stdout.replaceAll(/hskey-auth-.{12}-/g, "hskey-auth-PPPPPPPPPPPP-"),
      `ID | Key/Prefix                  | Reusable | Ephemeral | Used  | Expiration          | Created             | Owner
1  | hskey-auth-PPPPPPPPPPPP-*** | false    | false     | false | 2026-01-02 04:04:05 | 2026-01-02 03:04:05 | infra
2  | hskey-auth-PPPPPPPPPPPP-*** | true     | false     | false | 2026-01-02 03:04:05 | 2026-01-02 03:04:05 | tag:a
   |                             |          |           |       |                     |                     | tag:b
`,
    );
    done(await cli("preauthkeys rm -i 2"), "Key deleted\n");
    assert.equal(JSON.parse((await cli("preauthkeys list -o json")).stdout).length, 1);
  }));

test("nodes list has headscale's columns", () =>
  inWorld(async ({ cli, join, tailnet, clock }) => {
    done(await cli("nodes list -o json-line"), "null\n");
    await cli("users create infra");
    const web = await join(1, 1, { Hostname: "Web Server" });
    await join(1, 2);
    await cli("nodes tag -i 2 -t tag:b,tag:a");
    tailnet.sessionOpened(web.id);
    await cli("nodes expire -i 2 -e 2026-01-02T04:00:00Z");
    clock.ms += 3_600_000;
    done(
      await cli("nodes list"),
      `ID | Hostname   | Name       | MachineKey | NodeKey | User           | Tags  | IP addresses      | Ephemeral | Last seen           | Expiration          | Connected | Expired
1  | Web Server | web-server | [AQEBA]    | [AQEBA] | infra          |       | 100.64.0.1        | false     | 2026-01-02 03:04:05 | N/A                 | online    | no
   |            |            |            |         |                |       | fd7a:115c:a1e0::1 |           |                     |                     |           |
2  | host-2     | host-2     | [AgICA]    | [AgICA] | tagged-devices | tag:a | 100.64.0.2        | false     | 2026-01-02 03:04:05 | 2026-01-02 04:00:00 | offline   | yes
   |            |            |            |         |                | tag:b | fd7a:115c:a1e0::2 |           |                     |                     |           |
`,
    );
    assert.equal(JSON.parse((await cli("node ls --user infra -o json")).stdout).length, 1);
    failed(await cli("nodes list --user nobody"), "listing nodes: rpc error: code = Unknown desc = user not found");
  }));

test("a node as JSON has headscale's fields", () =>
  inWorld(async ({ cli, join }) => {
    await cli("users create infra");
    await join(1, 1, { Hostname: "web", RoutableIPs: ["10.0.0.0/24"] });
    const { stdout } = await cli("nodes approve-routes -i 1 -r 10.0.0.0/24 -o json");
    assert.deepEqual(JSON.parse(stdout), {
      id: 1,
      machine_key: `mkey:${"01".repeat(32)}`,
      node_key: `nodekey:${"01".repeat(32)}`,
      disco_key: `discokey:${"0".repeat(64)}`,
      ip_addresses: ["100.64.0.1", "fd7a:115c:a1e0::1"],
      name: "web",
      user: { id: 1, name: "infra", created_at: { seconds } },
      last_seen: { seconds },
      created_at: { seconds },
      register_method: 2,
      given_name: "web",
      approved_routes: ["10.0.0.0/24"],
      available_routes: ["10.0.0.0/24"],
    });
  }));

test("nodes rename, tag, expire, delete", () =>
  inWorld(async ({ cli, join }) => {
    await cli("users create infra");
    await join(1, 1);
    done(await cli("nodes rename -i 1 web"), "Node renamed\n");
    done(await cli("nodes rename --identifier web db"), "Node renamed\n");
    failed(await cli("nodes rename -i 1"), /new name is missing/);
    failed(await cli("nodes rename web"), 'required flag(s) "identifier" not set');
    done(await cli("nodes tag -i 1 -t tag:a"), "Node updated\n");
    failed(
      await cli("nodes tag -i 1"),
      "setting tags: rpc error: code = InvalidArgument desc = cannot remove all tags from a node - tagged nodes must have at least one tag",
    );
    failed(await cli("nodes tag -i 9 -t tag:a"), "setting tags: rpc error: code = NotFound desc = node not found");
    done(await cli("nodes expire -i 1"), "Node expired\n");
    done(await cli("nodes expire -i 1 -e 2030-01-01T00:00:00Z"), "Node expiration updated\n");
    done(await cli("nodes expire -i 1 --disable"), "Node expiry disabled\n");
    failed(await cli("nodes expire -i 1 -e tomorrow"), /parsing expiry time/);
    const question = "Do you want to remove the node host-1? [y/n] ";
    assert.deepEqual(await cli("nodes delete -i 1"), { code: 0, stdout: "Node not deleted\n", stderr: question });
    done(await cli("nodes del -i 1 --force -o json-line"), '{"Result":"Node deleted"}\n');
    failed(await cli("nodes delete -i 1 --force"), "getting node: rpc error: code = NotFound desc = node not found");
  }));

test("routes: approved as a whole list, listed, and by the older words", () =>
  inWorld(async ({ cli, join, tailnet }) => {
    await cli("users create infra");
    const router = await join(1, 1, { Hostname: "router", RoutableIPs: ["10.0.0.0/24", "10.0.1.0/24"] });
    await join(1, 2);
    tailnet.sessionOpened(router.id);
    done(await cli("nodes approve-routes -i 1 -r 10.0.0.0/24"), "Node updated\n");
    done(
      await cli("nodes list-routes"),
      `ID | Hostname | Approved    | Available   | Serving (Primary)
1  | router   | 10.0.0.0/24 | 10.0.0.0/24 | 10.0.0.0/24
   |          |             | 10.0.1.0/24 |
`,
    );
    done(await cli("nodes list-routes -i 2 -o json"), "[]\n");
    const enabled = await cli("nodes routes enable --identifier 1 --route 10.0.1.0/24 -o json");
    assert.equal(enabled.code, 0);
    assert.match(enabled.stderr, /today's spelling is: nodes approve-routes/);
    assert.deepEqual(JSON.parse(enabled.stdout).approved_routes, ["10.0.0.0/24", "10.0.1.0/24"]);
    const disabled = await cli("routes disable -i 1 -r 10.0.0.0/24 -o json");
    assert.deepEqual(JSON.parse(disabled.stdout).approved_routes, ["10.0.1.0/24"]);
    failed(await cli("routes enable -r 7"), /routes have no numbers any more/);
    const old = await cli("routes list");
    assert.deepEqual([old.code, old.stderr], [0, "note: today's spelling is: nodes list-routes\n"]);
    done(await cli(["nodes", "approve-routes", "-i", "1", "-r", ""]), "Node updated\n");
    failed(
      await cli("nodes approve-routes -i 1 -r 10.0.0.1"),
      `setting approved routes: rpc error: code = Unknown desc = parsing route: netip.ParsePrefix("10.0.0.1"): no '/'`,
    );
  }));

test("machines that wait join by auth register, or by the older nodes register with the flag in front", () =>
  inWorld(async ({ cli, pending, registration }) => {
    await cli("users create infra");
    const id = pending.open(registration(1), "");
    done(await cli(["auth", "register", "--user", "infra", "--auth-id", id]), "Node host-1 registered\n");
    const second = pending.open(registration(2), "");
    const answer = await cli([
      "--user",
      "infra",
      "nodes",
      "register",
      "--key",
      `https://example.com/register/${second}`,
    ]);
    assert.equal(answer.stdout, "Node host-2 registered\n");
    assert.match(answer.stderr, /today's spelling is: auth register/);
    failed(
      await cli(["auth", "register", "--user", "infra", "--auth-id", id]),
      "registering node: rpc error: code = Unknown desc = node not found in registration cache",
    );
    failed(await cli("auth register"), 'required flag(s) "auth-id", "user" not set');
    failed(await cli(`nodes register -u infra -k nodekey:${"0".repeat(64)}`), /--key takes the auth id/);
    const third = pending.open(registration(3), "");
    done(await cli(["auth", "reject", "--auth-id", third]), "Auth request rejected\n");
    failed(
      await cli(["auth", "approve", "--auth-id", third]),
      `approving auth request: rpc error: code = NotFound desc = no pending auth session for auth_id ${third}`,
    );
  }));

test("debug create-node queues a machine", () =>
  inWorld(async ({ cli }) => {
    await cli("users create infra");
    const key = "hskey-authreq-AAAAAAAAAAAAAAAAAAAAAAAA";
    done(await cli(`debug create-node --name fake -u infra -k ${key} -r 10.0.0.0/8`), "Node created\n");
    done(await cli(`auth register -u infra --auth-id ${key}`), "Node fake registered\n");
    failed(await cli("debug create-node"), 'required flag(s) "key", "name", "user" not set');
  }));

test("apikeys: a bare string for programs, masked lists, ended by id or prefix", () =>
  inWorld(async ({ cli }) => {
    const created = await cli("apikeys create -o json");
    assert.match(created.stdout, /^"hskey-api-[A-Za-z0-9_-]{12}-[A-Za-z0-9_-]{64}"\n$/);
    const { stdout } = await cli("api ls");
    assert.equal(
      stdout.replaceAll(/hskey-api-.{12}-/g, "hskey-api-PPPPPPPPPPPP-"),
      `ID | Prefix                     | Expiration          | Created
1  | hskey-api-PPPPPPPPPPPP-*** | -                   | 2026-01-02 03:04:05
2  | hskey-api-PPPPPPPPPPPP-*** | 2026-04-02 03:04:05 | 2026-01-02 03:04:05
`,
    );
    const prefix = created.stdout.slice('"hskey-api-'.length, '"hskey-api-'.length + 12);
    done(await cli(["apikeys", "expire", "--prefix", prefix]), "Key expired\n");
    done(await cli("apikeys delete --id 2"), "Key deleted\n");
    failed(await cli("apikeys delete --id 2"), "deleting api key: rpc error: code = Unknown desc = record not found");
    failed(await cli("apikeys expire"), "either --id or --prefix must be provided: missing parameters");
    failed(await cli("apikeys expire -i 1 -p x"), "only one of --id or --prefix can be provided: missing parameters");
    const confused = await cli("apikey create --reusable");
    assert.equal(confused.code, 0);
    assert.match(confused.stderr, /always reusable/);
    assert.match((await cli("apikeys create --scopes nodes:all")).stderr, /unknown scope/);
  }));

test("policy set, get, check; get writes the text alone whatever the output", (context) =>
  inWorld(async ({ cli }) => {
    const file = joinPath(scratchFolder(context, "policy"), "policy.hujson");
    writeFileSync(file, "{ // all\n}");
    failed(
      await cli("policy get"),
      /^Error: loading ACL policy: rpc error: code = Unknown desc = loading ACL from database: acl policy not found/,
    );
    done(await cli(`policy set -f ${file}`), "Policy updated.\n");
    done(await cli("policy show -o json"), "{ // all\n}\n");
    done(await cli(`policy check --file ${file}`), "Policy is valid\n");
    const old = await cli(`acl validate -f ${file}`);
    assert.deepEqual([old.code, old.stderr], [0, "note: today's spelling is: policy check --file FILE\n"]);
    writeFileSync(file, "nonsense");
    failed(
      await cli(`policy set -f ${file}`),
      /setting policy: rpc error: code = Unknown desc = setting policy: parsing policy/,
    );
    failed(await cli(`policy check -f ${file}`), /code = InvalidArgument desc = parsing policy/);
    failed(await cli("policy set -f /nonexistent"), /^Error: reading policy file: /);
    failed(await cli("policy set"), 'required flag(s) "file" not set');
  }));

test("health prints an empty line for people", () =>
  inWorld(async ({ cli }) => {
    done(await cli("health"), "\n");
    done(await cli("health -o json-line"), '{"database_connectivity":true}\n');
    done(await cli("health -o yaml"), "databaseconnectivity: true\n\n");
  }));

test("backfillips asks, and lists changes for programs", () =>
  inWorld(async ({ cli }) => {
    const question = "Are you sure that you want to assign/remove IPs to/from nodes? [y/n] ";
    assert.deepEqual(await cli("nodes backfillips", { input: ["no"] }), { code: 0, stdout: "", stderr: question });
    done(await cli("nodes backfillips --force"), "Node IPs backfilled successfully\n");
    done(await cli("nodes backfillips --force -o json"), "{}\n");
  }));

test("generate private-key makes a key of the right form", () =>
  inWorld(async ({ cli }) => {
    assert.match((await cli("generate private-key")).stdout, /^privkey:[0-9a-f]{64}\n$/);
    const { stdout } = await cli("gen private-key -o json");
    assert.match((JSON.parse(stdout) as { private_key: string }).private_key, /^privkey:[0-9a-f]{64}$/);
  }));

test("version has four lines, and headscale's keys for programs", () =>
  inWorld(async ({ cli }) => {
    const { stdout } = await cli("version", { programName: "headscale" });
    assert.match(
      stdout,
      /^headscale version v0\.29\.2-hawser\.\S+\ncommit: \S+\nbuild time: .+\nbuilt with: \S+ \S+\/\S+\n$/,
    );
    const parsed = JSON.parse((await cli("version -o json")).stdout) as Record<string, unknown>;
    assert.deepEqual(Object.keys(parsed), ["version", "commit", "buildTime", "go", "dirty"]);
    assert.match((await cli("version -o yaml")).stdout, /^version: .*\ncommit: .*\nbuildtime: .*\ngo:\n {4}version: /);
  }));

test("errors take the form that --output asks for", () =>
  inWorld(async ({ cli }) => {
    const stderrOf = async (words: string): Promise<string> => {
      const answer = await cli(words);
      assert.equal(answer.code, 1);
      return answer.stderr;
    };
    assert.equal(await stderrOf("users create"), "Error: missing parameters\n");
    assert.equal(await stderrOf("users create -o json"), '{\n\t"error": "missing parameters"\n}\n');
    assert.equal(await stderrOf("-o json-line users create"), '{"error":"missing parameters"}\n');
    assert.equal(await stderrOf("users create --output=yaml"), "error: missing parameters\n\n");
    assert.equal(await stderrOf("users create -o nonsense"), "Error: missing parameters\n");
    assert.equal(
      await stderrOf("nonsense -o json-line"),
      '{"error":"unknown command \\"nonsense\\" for \\"hawser\\""}\n',
    );
  }));

test("unknown words and flags", () =>
  inWorld(async ({ cli }) => {
    failed(await cli("nonsense", { programName: "headscale" }), 'unknown command "nonsense" for "headscale"');
    failed(await cli("user list --nonsense"), "unknown flag: --nonsense");
    failed(await cli("users list -z"), "unknown shorthand flag: 'z' in -z");
    failed(await cli("preauthkeys expire --id abc"), /^Error: invalid argument "abc" for "-i, --id" flag/);
    failed(await cli("users rename --new-name"), "flag needs an argument: --new-name");
    const group = await cli("nodes nonsense");
    assert.deepEqual([group.code, group.stderr], [0, ""]);
    assert.match(group.stdout, /Usage:\n {2}hawser nodes COMMAND/);
    const root = await cli([]);
    assert.equal(root.code, 0);
    assert.match(root.stdout, /A self-hosted control plane/);
  }));

test("colour is for terminals, and never with NO_COLOR", () =>
  inWorld(async ({ cli }) => {
    await cli("users create infra");
    const escape = "\u001b[";
    assert.ok((await cli("users list", { columns: 200 })).stdout.includes(escape));
    assert.ok(!(await cli("users list", { columns: 200, env: { NO_COLOR: "1" } })).stdout.includes(escape));
    assert.ok(!(await cli("users list")).stdout.includes(escape));
  }));

test("names from machines reach the terminal without their control characters", () =>
  inWorld(async ({ cli, join }) => {
    await cli("users create infra");
    await join(1, 1, { Hostname: "evil\u001b]0;x\u0007\u009b31m" });
    const { stdout } = await cli("nodes list");
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  }));

test("help COMMAND is COMMAND --help, and help alone is about everything", () =>
  inWorld(async ({ cli }) => {
    for (const words of ["users list", "users", ""]) {
      const asked = await cli(`help ${words}`.trim());
      assert.deepEqual(asked, await cli(`${words} --help`.trim()));
      assert.match(asked.stdout, /Usage:/);
      assert.equal(asked.code, 0);
    }
    failed(await cli("help nonsense"), /unknown command "nonsense"/);
  }));

test("a failed end of a node's key says which end it was", () =>
  inWorld(async ({ cli }) => {
    failed(await cli("nodes expire -i 9"), /^Error: expiring node: /);
    failed(await cli("nodes expire -i 9 --disable"), /^Error: disabling node expiry: /);
  }));
