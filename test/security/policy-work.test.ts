// A policy that somebody only asks about is compiled by the server that also serves the nodes: a text of a few megabytes
// must not cost it minutes. The bounds are far above what these texts take now and far below what they once took.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeWorld } from "../../bench/policy-world.ts";
import { compilePolicy, type CompileResult } from "../../src/policy/index.ts";

const input = { users: [], nodes: [], settings: { serverUrl: "https://control.example" } };

function repeat(count: number, item: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => item(index)).join(",");
}

function errorsOf(text: string): readonly string[] {
  const outcome: CompileResult = compilePolicy(text, input);
  return outcome.ok ? [] : outcome.errors.map(({ message }) => message);
}

test("a hundred thousand mistakes on one line are a hundred messages, in linear time", { timeout: 60_000 }, () => {
  const unknownFields = errorsOf(`{${repeat(100_000, (index) => `"x${index}":1`)}}`);
  assert.equal(unknownFields.length, 100);
  const unknownTags = errorsOf(
    `{"acls":[{"action":"accept","src":[${repeat(100_000, (index) => `"tag:${index}"`)}],"dst":["*:*"]}]}`,
  );
  assert.equal(unknownTags.length, 100);
});

test(
  "tests that ask too much of too many rules are not run to their end, and that is a failure",
  {
    timeout: 60_000,
  },
  () => {
    const rules = repeat(
      3000,
      (index) => `{"action":"accept","src":["10.0.0.1"],"dst":["10.0.0.0/7:22","10.1.0.${index % 250}:22"]}`,
    );
    const deny = repeat(20, (index) => `"10.2.0.${index}:80"`);
    const tests = repeat(3000, () => `{"src":"10.0.0.1","deny":[${deny}]}`);
    assert.match(errorsOf(`{"acls":[${rules}],"tests":[${tests}]}`).join("\n"), /the tests take too long/);
    const few = repeat(30, () => `{"src":"10.0.0.1","deny":[${deny}]}`);
    assert.deepEqual(errorsOf(`{"acls":[${rules}],"tests":[${few}]}`), []);
  },
);

test("nesting, length and recursion have an end", { timeout: 60_000 }, () => {
  assert.match(errorsOf("[".repeat(1_000_000)).join(), /nested more than 128 levels deep/);
  assert.match(errorsOf(`{${" ".repeat(4 * 1024 * 1024)}}`).join(), /longer than/);
  const chain = repeat(
    40,
    (index) =>
      `"tag:t${index}":["tag:t${index + 1}","tag:s${index + 1}"],"tag:s${index}":["tag:t${index + 1}","tag:s${index + 1}"]`,
  );
  assert.deepEqual(errorsOf(`{"tagOwners":{${chain},"tag:t40":["a@b.c"],"tag:s40":["a@b.c"]},"acls":[]}`), []);
  const circle = '"ipset:a":["ipset:b"],"ipset:b":["ipset:a"]';
  assert.notDeepEqual(errorsOf(`{"ipsets":{${circle}},"acls":[]}`), []);
});

test("ten thousand tests of each kind on ten thousand nodes are run to their end", { timeout: 120_000 }, () => {
  const { text, users, nodes } = makeWorld({
    nodes: 10_000,
    users: 500,
    groups: 100,
    tags: 200,
    rules: 1000,
    self: true,
  });
  const start = process.cpuUsage();
  const deny = repeat(10_000, (index) => `{"src":"autogroup:member","deny":["tag:t${index % 200}:9"]}`);
  const ssh = repeat(10_000, (index) => `{"src":"group:g${index % 100}","dst":["tag:t1"],"deny":["root"]}`);
  const tested = `${text.trim().replace(/\}$/, "")},"tests":[${deny}],"sshTests":[${ssh}]}`;
  const outcome = compilePolicy(tested, { ...input, users, nodes });
  const { user, system } = process.cpuUsage(start);
  const said = outcome.ok ? "" : outcome.errors.map(({ message }) => message).join("\n");
  assert.doesNotMatch(said, /take too long/);
  assert.ok(said.split("\n").length < 110, "no more than a hundred failures are told");
  // A second or two; ten on a machine that does much else.
  assert.ok((user + system) / 1e6 < 10, `${(user + system) / 1e6} s of processor time`);
});
