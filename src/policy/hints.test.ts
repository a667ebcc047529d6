import assert from "node:assert/strict";
import { test } from "node:test";
import { formatHujson } from "./hujson-format.ts";
import { compilePolicy, formatProblems, type PolicyUser } from "./index.ts";
import { hujsonHint } from "./hujson-hints.ts";
import { readPolicy } from "./read-policy.ts";
import type { UserId } from "../wire/ids.ts";

const settings = { domains: undefined, providerGroups: new Set<string>(), services: new Map() };

/** The hints of what is wrong with a policy, with some names declared. */
function hintsOf(sections: Readonly<Record<string, unknown>>): readonly (string | undefined)[] {
  const declared = {
    groups: { "group:dev": ["ann@"] },
    tagOwners: { "tag:server": [], "tag:router": [] },
    hosts: { webserver: "10.0.0.7" },
    ipsets: { "ipset:lab": ["10.0.0.0/8"] },
  };
  const read = readPolicy(JSON.stringify({ ...declared, ...sections }), settings);
  assert.ok(!read.ok);
  return read.errors.map(({ hint }) => hint);
}

const from = (src: string): object => ({ acls: [{ action: "accept", src: [src], dst: ["*:*"] }] });
const to = (dst: string): object => ({ acls: [{ action: "accept", src: ["*"], dst: [dst] }] });
const grant = (more: object): object => ({ grants: [{ src: ["*"], dst: ["*"], ip: ["*"], ...more }] });

const cases: readonly (readonly [string, object, string])[] = [
  ["a tag with a slip", from("tag:servr"), 'did you mean "tag:server"?'],
  ["a group with a slip", from("group:devs"), 'did you mean "group:dev"?'],
  [
    "a host with a slip",
    from("webservr"),
    '"webservr": invalid address, and no host of that name; did you mean "webserver"?',
  ],
  ["an ipset with a slip", to("ipset:lap:22"), 'did you mean "ipset:lab"?'],
  ["an autogroup with a slip", from("autogroup:admins"), 'did you mean "autogroup:admin"?'],
  ["a via with a slip", grant({ via: ["tag:routr"] }), 'did you mean "tag:router"?'],
  ["a via without tag:", grant({ via: ["router"] }), 'write "tag:router"'],
  [
    "a range as source",
    from("10.0.0.1-10.0.0.9"),
    '"10.0.0.1-10.0.0.9": invalid address, and no host of that name; ranges of addresses may stand in ipsets',
  ],
  ["an address without ports", to("192.168.0.1"), 'write "192.168.0.1:*" for all ports'],
  ["an IPv6 address without ports", to("fd00::1"), 'write "[fd00::1]:*" for all ports'],
  ["a bracketed one without ports", to("[fd00::1]"), 'write "[fd00::1]:*" for all ports'],
  ["an IPv6 network in brackets", to("[fd00::/64]:22"), 'write "[fd00::]/64:22"'],
  ["an IPv4 address in brackets", to("[10.0.0.1]:22"), 'write "10.0.0.1:22"'],
  [
    "a protocol behind the port",
    to("*:53/udp"),
    'a protocol stands in "proto" of an ACL, or before the ports of a grant: "udp:53"',
  ],
  ["a protocol alone", grant({ ip: ["icmp"] }), 'write "icmp:*" for all of the protocol'],
  ["a protocol in capitals", grant({ ip: ["TCP:22"] }), 'write "tcp:22"'],
  ["ports with a space", grant({ ip: ["80, 443"] }), 'write "80,443"'],
  [
    "ports in a grant's destination",
    grant({ dst: ["tag:server:22"] }),
    'in grants ports stand apart: "dst": ["tag:server"], "ip": ["22"]',
  ],
  [
    "a period in days",
    { ssh: [{ action: "check", checkPeriod: "2d", src: ["ann@"], dst: ["autogroup:self"], users: ["root"] }] },
    'write "48h"',
  ],
  ["a group's name alone", { groups: { dev: ["ann@"] } }, 'write "group:dev"'],
  ["a tag in a group", { groups: { "group:x": ["tag:server"] } }, "a tag stands in rules, not in a group"],
  [
    "a pool that is an address",
    { nodeAttrs: [{ target: ["*"], ipPool: ["100.81.0.1"] }] },
    "a pool is written 100.81.0.0/16",
  ],
  [
    "approvers of what is no service",
    { autoApprovers: { services: { web: ["ann@"] } } },
    "services are named as svc:web, or all of a tag's as tag:web",
  ],
];

for (const [name, sections, hint] of cases) {
  test(`${name} is refused with what would have been right`, () => {
    assert.deepEqual(hintsOf(sections as Readonly<Record<string, unknown>>), [hint]);
  });
}

test("a user that nobody is, but for a slip, is a warning that names the one there is", () => {
  const ann: PolicyUser = {
    id: 1 as UserId,
    name: "ann",
    email: "ann@corp.example",
    providerId: "",
    role: "member",
    groups: [],
  };
  const compiled = compilePolicy(JSON.stringify(from("Ann@corp.example")), {
    users: [ann],
    nodes: [],
    settings: { serverUrl: "https://control.example" },
  });
  assert.ok(compiled.ok);
  assert.equal(
    formatProblems(compiled.warnings),
    'line 1, column 36: user not found: token "Ann@corp.example" (did you mean "ann@corp.example"?)',
  );
});

test("of users that nobody is the first hundred are named: finding the place of each on one line is dear", () => {
  const src = Array.from({ length: 5000 }, (_, index) => `nobody${index}@corp.example`);
  const compiled = compilePolicy(JSON.stringify({ acls: [{ action: "accept", src, dst: ["*:*"] }] }), {
    users: [],
    nodes: [],
    settings: { serverUrl: "https://control.example" },
  });
  assert.ok(compiled.ok);
  assert.equal(compiled.warnings.length, 100);
});

test("exit routes under routes, and enforceRecorder without recorder, are warned of", () => {
  const read = readPolicy(
    JSON.stringify({
      autoApprovers: { routes: { "0.0.0.0/0": ["ann@"] } },
      ssh: [{ action: "accept", src: ["ann@"], dst: ["autogroup:self"], users: ["root"], enforceRecorder: true }],
    }),
    settings,
  );
  assert.ok(read.ok);
  assert.deepEqual(
    read.warnings.map(({ message }) => message),
    [
      'autoApprovers.routes: "0.0.0.0/0" approves networks and not exit nodes',
      "enforceRecorder without recorder has no effect",
    ],
  );
});

const texts: readonly (readonly [string, string])[] = [
  ["{acls: []}", "names and texts stand in double quotes"],
  ["{'acls': []}", "names and texts stand in double quotes"],
  ['{"acls": [] "ssh": []}', "a comma is missing before it"],
  ['{"acls" []}', "a colon is missing before it"],
  ['{"acls": [}', "a value is missing before it"],
  ['{"acls": ["a"}', "the brackets do not match"],
  ['{"acls": []}}', "there is one closing bracket too many"],
  ['{"acls": []', "the text ends too early: a value or a closing bracket is missing"],
  ['{"acls": ["a]}', "a closing quote is missing"],
  ['{"acls": ["\\d"]}', "within quotes a backslash is written \\\\, a line break \\n and a tab \\t"],
  ["{} // the end", "a // comment in the last line needs a line break behind it"],
  ["{} /* the end", "the comment is not closed by */"],
  ["\ufeff{}", "the file begins with a byte order mark: save it as plain UTF-8"],
  ["{\n# people\n}", "comments begin with //"],
];

for (const [text, hint] of texts) {
  test(`the text ${JSON.stringify(text)} is refused with what would have been right`, () => {
    const result = formatHujson(text);
    assert.ok(!result.ok);
    assert.equal(hujsonHint(text, result.error), hint);
  });
}
