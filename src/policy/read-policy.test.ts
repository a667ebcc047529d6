import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { describeProblem } from "./problems.ts";
import { readPolicy } from "./read-policy.ts";
import { arbitraryPolicy } from "./worlds.test-data.ts";

const settings = { domains: undefined, providerGroups: new Set<string>(), services: new Map() };

function problems(text: string): readonly string[] {
  const read = readPolicy(text, settings);
  return read.ok ? [] : read.errors.map(describeProblem);
}

/** The errors of a policy with these sections, with tag:a and tag:b declared. */
function problemsOf(sections: Readonly<Record<string, unknown>>): readonly string[] {
  return problems(JSON.stringify({ tagOwners: { "tag:a": [], "tag:b": [] }, ...sections }));
}

function accepts(sections: Readonly<Record<string, unknown>>): void {
  assert.deepEqual(problemsOf(sections), []);
}

test("every error says line and column, and what would have been right where that can be told", () => {
  const text = `{
  // rules
  "acls": [
    {"action": "deny", "src": ["*"], "dst": ["*:*"]},
    {"action": "accept", "scr": ["*"], "dst": ["tag:web:22"]},
  ],
}`;
  assert.deepEqual(problems(text), [
    'line 4, column 16: action="deny" is not supported: invalid ACL action (the only action is "accept": what no rule accepts is denied)',
    'line 5, column 26: unknown field: "scr" (did you mean "src"?)',
    'line 5, column 48: dst="tag:web": tag not found: "tag:web" (tags are declared in tagOwners)',
  ]);
});

test("sections and fields may be written in any letter case, but only once", () => {
  accepts({
    ACLs: [{ Action: "accept", SRC: ["*"], Dst: ["*:*"] }],
    RandomizeClientPort: true,
    onecgnatroute: "mac-always",
  });
  assert.match(problemsOf({ acls: [], ACLS: [] })[0] ?? "", /duplicate field: "ACLS"/);
  assert.match(problems('{"acls": [], "acls": []}')[0] ?? "", /duplicate object name "acls"/);
});

test("the first spelling of ACLs, users and ports, is read as src and dst", () => {
  accepts({ acls: [{ action: "accept", users: ["*"], ports: ["tag:a:22"] }] });
  assert.match(
    problemsOf({ acls: [{ action: "accept", users: ["*"], src: ["*"], ports: [] }] })[0] ?? "",
    /duplicate field: "src"/,
  );
});

test("metadata of admin tools inside an ACL is left out, elsewhere it is unknown", () => {
  accepts({ acls: [{ "#ha-meta": { name: "x" }, action: "accept", src: ["*"], dst: ["*:*"] }] });
  assert.match(problemsOf({ "#x": 1 })[0] ?? "", /unknown field: "#x"/);
});

test("null, an empty text and null among comments are no policy", () => {
  for (const text of ["", "  \n", "null", "// nothing\nnull"]) {
    const read = readPolicy(text, settings);
    assert.ok(read.ok && read.empty);
  }
});

test("capabilities of Tailscale's own products are taken, others of its domain are not", () => {
  const capability = (name: string): object => ({ grants: [{ src: ["*"], dst: ["*"], app: { [name]: [{}] } }] });
  for (const name of ["golink", "tailsql", "secrets", "aperture", "tsidp", "webui", "drive", "relay", "kubernetes"]) {
    accepts({ ...capability(`tailscale.com/cap/${name}`) });
  }
  assert.match(problemsOf({ ...capability("tailscale.com/cap/ingress") })[0] ?? "", /must not be in the tailscale.com/);
});

const wrong: readonly (readonly [string, Readonly<Record<string, unknown>>, string])[] = [
  [
    "a port 0",
    { acls: [{ src: ["*"], dst: ["tag:a:0"] }] },
    `port range "0": first port must be >0, or use '*' for wildcard`,
  ],
  [
    "a reversed range",
    { acls: [{ src: ["*"], dst: ["*:9-1"] }] },
    "invalid port range: first port is greater than last port",
  ],
  ["a port too high", { acls: [{ src: ["*"], dst: ["*:70000"] }] }, "port number out of range"],
  [
    "ports with icmp",
    { acls: [{ src: ["*"], dst: ["*:22"], proto: "icmp" }] },
    'protocol does not support specific ports: "icmp"',
  ],
  [
    "a protocol with leading zero",
    { acls: [{ src: ["*"], dst: ["*:*"], proto: "06" }] },
    'leading 0 not permitted in protocol number: "06"',
  ],
  ["a protocol of no name", { acls: [{ src: ["*"], dst: ["*:*"], proto: "foo" }] }, 'invalid protocol number: "foo"'],
  ["a wildcard protocol", { acls: [{ src: ["*"], dst: ["*:*"], proto: "*" }] }, 'proto name "*" not known'],
  ["a destination without ports", { acls: [{ src: ["*"], dst: ["*"] }] }, "hostport must contain a colon"],
  ["a bare user name", { acls: [{ src: ["bob"], dst: ["*:*"] }] }, 'host not defined in policy: "bob"'],
  [
    "an unknown autogroup",
    { acls: [{ src: ["autogroup:x"], dst: ["*:*"] }] },
    'autogroup not supported for ACL sources: "autogroup:x"',
  ],
  [
    "the internet as source",
    { acls: [{ src: ["autogroup:internet"], dst: ["*:*"] }] },
    "autogroup:internet can only be used in ACL destinations",
  ],
  [
    "everything as destination",
    { grants: [{ src: ["*"], dst: ["autogroup:danger-all"], ip: ["*"] }] },
    "cannot use autogroup:danger-all as a dst",
  ],
  ["a grant of nothing", { grants: [{ src: ["*"], dst: ["*"] }] }, "ip and app can not both be empty"],
  [
    "two colons in ip",
    { grants: [{ src: ["*"], dst: ["*"], ip: ["tcp:1:2"] }] },
    "expected only one colon in Internet protocol and port type",
  ],
  [
    "a capability with a scheme",
    { grants: [{ src: ["*"], dst: ["*"], app: { "https://x/y": [] } }] },
    "capability name must have the form {domain}/{path}",
  ],
  ["via a user", { grants: [{ src: ["*"], dst: ["10.0.0.0/8"], ip: ["*"], via: ["ann@"] }] }, "via can only be a tag"],
  [
    "an undeclared posture",
    { acls: [{ src: ["*"], dst: ["*:*"], srcPosture: ["posture:x"] }] },
    'posture not defined in policy: "posture:x"',
  ],
  ["a posture that compares nothing", { postures: { "posture:x": ["node:os"] } }, "expected one of ==, !="],
  ["an ip set that holds itself", { ipsets: { "ipset:x": ["ipset:y"], "ipset:y": ["ipset:x"] } }, "contains itself"],
  ["an ip set of unknown things", { ipsets: { "ipset:x": ["tag:a"] } }, "invalid ipset entry"],
  [
    "a group that is a text",
    { groups: { "group:x": "ann@" } },
    'group value must be an array of users: group "group:x" got string: "ann@"',
  ],
  ["a group with a bad name", { groups: { x: [] } }, "group must start with 'group:', got: \"x\""],
  ["an owner that is an address", { tagOwners: { "tag:x": ["10.0.0.1"] } }, 'invalid owner format: "10.0.0.1"'],
  [
    "a pool in reserved space",
    { nodeAttrs: [{ target: ["*"], ipPool: ["100.115.92.0/24"] }] },
    "network within reserved range",
  ],
  [
    "a pool elsewhere",
    { nodeAttrs: [{ target: ["*"], ipPool: ["10.0.0.0/8"] }] },
    "network must be inside 100.64.0.0/10",
  ],
  [
    "SSH from tags to people",
    { ssh: [{ action: "accept", src: ["tag:a"], dst: ["autogroup:member"], users: ["root"] }] },
    "tags in SSH source cannot access autogroup:member",
  ],
  [
    "SSH from tags to a user",
    { ssh: [{ action: "accept", src: ["tag:a"], dst: ["ann@"], users: ["root"] }] },
    "tags in SSH source cannot access user-owned devices (ann@)",
  ],
  [
    "SSH from one user to another",
    { ssh: [{ action: "accept", src: ["bob@"], dst: ["ann@"], users: ["root"] }] },
    'user destination requires source to contain only that same user "ann@"',
  ],
  [
    "SSH from tags to self",
    { ssh: [{ action: "accept", src: ["tag:a"], dst: ["autogroup:self"], users: ["root"] }] },
    "autogroup:self destination requires source to contain only users or groups",
  ],
  [
    "SSH to everything",
    { ssh: [{ action: "accept", src: ["ann@"], dst: ["*"], users: ["root"] }] },
    "wildcard (*) is not supported as SSH destination",
  ],
  [
    "a check period on accept",
    { ssh: [{ action: "accept", src: ["ann@"], dst: ["tag:a"], users: ["root"], checkPeriod: "1h" }] },
    'checkPeriod is only valid with action "check"',
  ],
  ["derpMap as a list", { derpMap: [] }, "derpMap must be an object"],
  ["an attribute without custom:", { attrConfig: { tier: {} } }, "attribute must start with 'custom:'"],
  ["an attribute of no type", { attrConfig: { "custom:tier": { type: "list" } } }, 'invalid type "list"'],
  [
    "an attribute told to an address",
    { attrConfig: { "custom:tier": { broadcastToPeers: ["10.0.0.1"] } } },
    "invalid owner",
  ],
];

for (const [what, sections, message] of wrong) {
  test(`refused: ${what}`, () => {
    const found = problemsOf(sections);
    assert.ok(
      found.some((line) => line.includes(message)),
      `got ${JSON.stringify(found)}`,
    );
  });
}

test("what headscale's users write without a domain stays accepted", () => {
  accepts({
    groups: { "group:x": ["ann@", "bob@example.com"] },
    acls: [{ action: "accept", src: ["ann@", "group:x"], dst: ["bob@:22"] }],
  });
});

test("every section of the language is known", () => {
  accepts({
    groups: { "group:x": ["ann@", "user:*@a.example"] },
    hosts: { net: "10.0.0.0/8", one: "10.0.0.1" },
    ipsets: { "ipset:lab": ["10.0.0.0/8", "remove 10.1.0.0/16", "add host:one", "192.168.0.1-192.168.0.9"] },
    postures: {
      "posture:mac": [
        "node:os == 'macos'",
        "node:tsVersion >= '1.40'",
        "custom:tier IN ['a', 'b']",
        "custom:x NOT SET",
      ],
    },
    defaultSrcPosture: ["posture:mac"],
    acls: [
      {
        action: "accept",
        src: ["ipset:lab", "autogroup:it-admin"],
        dst: ["[fd00::1]:443", "fd00::/64:22", "ipset:lab:*", "svc:web:443"],
      },
    ],
    grants: [
      {
        src: ["user:*@a.example"],
        dst: ["autogroup:internet"],
        ip: ["tcp:443", "*"],
        via: ["tag:a"],
        srcPosture: ["posture:mac"],
      },
    ],
    ssh: [
      {
        action: "check",
        src: ["autogroup:owner"],
        dst: ["tag:a"],
        users: ["localpart:*@a.example"],
        recorder: ["tag:b"],
        enforceRecorder: true,
        acceptEnv: ["GIT_*"],
      },
    ],
    autoApprovers: {
      routes: { "10.0.0.0/8": ["tag:a", "autogroup:admin"] },
      exitNode: ["group:x"],
      services: { "svc:web": ["tag:a"] },
    },
    nodeAttrs: [
      {
        target: ["autogroup:billing-admin"],
        attr: ["funnel"],
        app: { "tailscale.com/app-connectors": [{ name: "x" }] },
        ipPool: ["100.80.0.0/16"],
      },
    ],
    tests: [
      { src: "ann@", accept: ["tag:a:22"], deny: ["net:1"], proto: "tcp", srcPostureAttrs: { "node:os": "macos" } },
    ],
    sshTests: [{ src: "ann@", dst: ["tag:a"], accept: ["root"], deny: ["x"], check: ["y"] }],
    derpMap: { OmitDefaultRegions: true },
    disableIPv4: false,
    randomizeClientPort: true,
    OneCGNATRoute: "",
    attrConfig: { "custom:tier": { type: "string", allowSetByNode: true, broadcastToPeers: ["tag:a"] } },
  });
});

/** Cuts, repeats and scrambles texts, so that they are nearly right. */
const damaged = fc
  .tuple(
    arbitraryPolicy,
    fc.nat(),
    fc.nat(),
    fc.constantFrom("", "{", "]", '"', ",", "\\", "null", "[[[[", "tag:", "\u0000", "😀", "/*"),
  )
  .map(([policy, from, length, put]) => {
    const text = JSON.stringify(policy);
    const at = from % (text.length + 1);
    return text.slice(0, at) + put + text.slice(at + (length % 20));
  });

test("whatever the text, the reader and the checker answer with a policy or with errors that have a place", () => {
  const check = (text: string): void => {
    const read = readPolicy(text, settings);
    if (!read.ok) {
      assert.ok(read.errors.length > 0 && read.errors.length <= 100);
      for (const { line, column, message } of read.errors) {
        assert.ok(line >= 1 && column >= 1 && message !== "", JSON.stringify(read.errors));
      }
    }
  };
  fc.assert(fc.property(damaged, check), { numRuns: 150 });
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), check), { numRuns: 100 });
  fc.assert(fc.property(fc.json({ maxDepth: 4 }), check), { numRuns: 100 });
  const anySections = fc.dictionary(
    fc.constantFrom(
      "groups",
      "hosts",
      "acls",
      "grants",
      "ssh",
      "tests",
      "ipsets",
      "postures",
      "nodeAttrs",
      "autoApprovers",
      "tagOwners",
    ),
    fc.jsonValue({ maxDepth: 3 }),
  );
  fc.assert(
    fc.property(anySections, (sections) => check(JSON.stringify(sections))),
    { numRuns: 100 },
  );
});

test("depth and size of a policy are bounded", () => {
  assert.equal(problems("[".repeat(100_000)).length, 1);
  assert.equal(problems(`{"hosts": {${'"x": "'.padEnd(5_000_000, "1")}"}}`).length, 1);
});
