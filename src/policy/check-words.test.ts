// What the checker says of neighbours of right policies. The words are Tailscale's where a captured answer has them, else
// headscale's (npm run policy-differential compares thousands more).
import assert from "node:assert/strict";
import { test } from "node:test";
import { compilePolicy, formatProblems } from "./index.ts";

const declared = {
  groups: { "group:dev": ["ann@"] },
  tagOwners: { "tag:web": ["ann@"] },
  hosts: { office: "10.1.0.0/16", printer: "10.1.0.7" },
};

/** What is said against the policy; "" when it is taken. */
function said(policy: object): string {
  const outcome = compilePolicy(JSON.stringify({ ...declared, ...policy }), {
    users: [],
    nodes: [],
    settings: { serverUrl: "https://control.example" },
  });
  return outcome.ok ? "" : formatProblems(outcome.errors);
}

function saysOf(cases: readonly (readonly [what: string, words: string])[], policyOf: (what: string) => object): void {
  for (const [what, words] of cases) {
    const got = said(policyOf(what));
    assert.ok(words === "" ? got === "" : got.includes(words), `${JSON.stringify(what)}: ${got}`);
  }
}

test("ports of ACLs and grants are refused as one list, in one of six ways", () => {
  const ports = [
    ["22-", 'port range "22-": invalid port range format'],
    ["-22", 'port range "-22": invalid port range format'],
    ["1-2-3", 'port range "1-2-3": invalid port range format'],
    ["22,", 'port range "22,": invalid first integer'],
    ["22,*", 'port range "22,*": invalid first integer'],
    ["22-b", 'port range "22-b": invalid first integer'],
    ["99999999999", 'port range "99999999999": port number out of range'],
    ["80-70", 'port range "80-70": invalid port range: first port is greater than last port'],
    ["0,22", "port range \"0,22\": first port must be >0, or use '*' for wildcard"],
    ["0-0", ""],
    ["0-10", ""],
    ["65535", ""],
  ] as const;
  saysOf(ports, (port) => ({ acls: [{ action: "accept", src: ["ann@"], dst: [`tag:web:${port}`] }] }));
  saysOf(ports, (port) => ({ grants: [{ src: ["ann@"], dst: ["tag:web"], ip: [`tcp:${port}`] }] }));
});

test("destinations of ACLs need a name before the colon, ports behind it, and brackets around IPv6 alone", () => {
  saysOf(
    [
      ["tag:web:", "input cannot end with a colon character"],
      [":22", "input cannot start with a colon character"],
      ["printer", "hostport must contain a colon"],
      ["[tag:web]:22", 'square brackets are only valid around IPv6 addresses: "tag:web"'],
      ["[10.1.0.7]:22", 'square brackets are only valid around IPv6 addresses: "10.1.0.7"'],
      ["[fd00::1]:22", ""],
      ["[fd00::]/64:22", ""],
      ["fd00::1:22", ""],
      ["autogroup:danger-all:22", "cannot use autogroup:danger-all as a dst"],
    ],
    (dst) => ({ acls: [{ action: "accept", src: ["ann@"], dst: [dst] }] }),
  );
});

test("protocols are named by their usual names when they have no ports; grants name them in lower case", () => {
  saysOf([["47", 'protocol does not support specific ports: "gre"']], (proto) => ({
    acls: [{ action: "accept", src: ["ann@"], dst: ["tag:web:22"], proto }],
  }));
  saysOf(
    [
      ["TCP:22", 'invalid protocol number: "TCP" must be a known protocol name'],
      ["-1:22", "protocol number out of range (0-255): -1"],
      ["47:22", ""],
    ],
    (ip) => ({ grants: [{ src: ["ann@"], dst: ["tag:web"], ip: [ip] }] }),
  );
});

test("what may not stand in its place is named together with what may", () => {
  saysOf(
    [
      [
        "autogroup:bogus",
        'autogroup not supported for ACL destinations: "autogroup:bogus", can be [autogroup:internet',
      ],
      ["", 'host not defined in policy: ""'],
    ],
    (dst) => ({ grants: [{ src: ["ann@"], dst: [dst], ip: ["*"] }] }),
  );
  saysOf(
    [
      ["tag:1", "via can only be a tag"],
      ["group:dev", "via can only be a tag"],
      ["tag:nope", 'tag "tag:nope" not found'],
    ],
    (via) => ({ grants: [{ src: ["ann@"], dst: ["office"], ip: ["*"], via: [via] }] }),
  );
  saysOf(
    [
      ["bob", 'invalid owner format: "bob"'],
      ["office", 'invalid owner format: "office"'],
      ["autogroup:self", 'invalid owner format: "autogroup:self"'],
      ["tag:nope", 'tag "tag:web" references undefined tag "tag:nope"'],
    ],
    (owner) => ({ tagOwners: { "tag:web": [owner] } }),
  );
  saysOf([["10.1.0.7", 'invalid auto approver format: "10.1.0.7"']], (approver) => ({
    autoApprovers: { exitNode: [approver] },
  }));
  saysOf([["bob", 'groups["group:dev"]: username must contain @, got: "bob"']], (member) => ({
    groups: { "group:dev": [member] },
  }));
  saysOf([["autogroup:self", 'nodeAttrs target does not support this autogroup: "autogroup:self"']], (target) => ({
    nodeAttrs: [{ target: [target], attr: ["x"] }],
  }));
  saysOf([["10.0.0.1-10.0.0.9", 'hostname contains invalid IP address: hostname "lab" address']], (value) => ({
    hosts: { lab: value },
  }));
});

test("SSH rules refuse by name what is no person and no machine", () => {
  const rule = (changes: object): object => ({
    ssh: [{ action: "check", src: ["ann@"], dst: ["tag:web"], users: ["root"], ...changes }],
  });
  saysOf(
    [
      ["printer", 'invalid dst "printer"'],
      ["nobody", 'invalid dst "nobody"'],
      ["10.1.0.7", 'invalid dst "10.1.0.7"'],
      ["group:dev", 'invalid dst "group:dev"'],
      ["autogroup:bogus", 'autogroup not supported for SSH destinations: "autogroup:bogus", can be'],
      ["autogroup:internet", "autogroup:internet can only be used in ACL destinations"],
    ],
    (dst) => rule({ dst: [dst] }),
  );
  saysOf(
    [
      ["printer", 'invalid src "printer"'],
      ["autogroup:self", 'autogroup not supported for SSH sources: "autogroup:self", can be'],
    ],
    (src) => rule({ src: [src] }),
  );
  saysOf(
    [
      ["", 'time: invalid duration ""'],
      ["always", ""],
      ["168h0m1s", "checkPeriod 168h0m1s is above the max (168h)"],
    ],
    (checkPeriod) => rule({ checkPeriod }),
  );
  saysOf([["localpart:ann@corp.example", ""]], (login) => rule({ users: [login] }));
  saysOf([[" accept", ""]], (action) => rule({ action }));
  assert.match(said(rule({ src: [], dst: ["ann@"] })), /requires source to contain only that same user/);
});

test("whatever is wrong with a test is a failed test", () => {
  const ssh = [{ action: "accept", src: ["ann@"], dst: ["tag:web"], users: ["root"] }];
  for (const [dst, words] of [
    ["10.1.0.0/16", 'SSH tests dst contains disallowed element "10.1.0.0/16"'],
    ["office", 'SSH tests dst contains disallowed element "office"'],
    ["autogroup:internet", 'SSH tests dst contains disallowed element "autogroup:internet"'],
    ["tag:nope", 'SSH tests dst contains unknown tag "tag:nope"'],
    ["nobody", 'host not defined in policy: "nobody"'],
  ] as const) {
    const got = said({ ssh, sshTests: [{ src: "ann@", dst: [dst], accept: ["root"] }] });
    assert.ok(got.includes("test(s) failed") && got.includes(words), got);
  }
  const acls = [{ action: "accept", src: ["*"], dst: ["*:*"] }];
  for (const [target, words] of [
    ["office:22", "test destination must be a single host, not a CIDR range"],
    ["bob@:22", "resolves to no address"],
    ["tag:web:22", "resolves to no address"],
  ] as const) {
    const got = said({ acls, tests: [{ src: "10.1.0.7", accept: [target] }] });
    assert.ok(got.includes("test(s) failed") && got.includes(words), got);
    assert.ok(said({ acls: [], tests: [{ src: "10.1.0.7", deny: [target] }] }).includes(words));
  }
});
