import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPrefix, parseAddr, parsePrefix, type Prefix } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { PolicyEngine, PolicyNode, PolicyUser, UserRole } from "./engine.ts";
import { CompiledEngine, compilePolicy, formatProblems } from "./index.ts";

const user = (id: number, name: string, role: UserRole = "member", groups: readonly string[] = []): PolicyUser => ({
  id: id as UserId,
  name,
  email: `${name}@corp.example`,
  providerId: `https://idp.example/${name}`,
  role,
  groups,
});
const users = [user(1, "ann", "admin"), user(2, "bob"), user(3, "cyd", "member", ["group:idp"])];

interface Sketch {
  readonly owner: number | readonly string[];
  readonly routes?: readonly string[];
  readonly posture?: PolicyNode["posture"];
}
const prefixes = (texts: readonly string[]): readonly Prefix[] => texts.flatMap((text) => parsePrefix(text) ?? []);
const node = (id: number, { owner, routes = [], posture = {} }: Sketch): PolicyNode => ({
  id: id as NodeId,
  name: `n${id}`,
  user: typeof owner === "number" ? (owner as UserId) : null,
  tags: typeof owner === "number" ? [] : owner,
  ipv4: parseAddr(`100.64.0.${id}`) ?? null,
  ipv6: parseAddr(`fd7a:115c:a1e0::${id}`) ?? null,
  routes: prefixes(routes),
  posture,
});
const annPc = node(1, { owner: 1 });
const bobPc = node(2, { owner: 2 });
const cydPc = node(3, { owner: 3, posture: { "node:os": "macOS", "custom:tier": 3 } });
const web = node(4, { owner: ["tag:web"] });
const gate = node(5, { owner: ["tag:gate"], routes: ["10.1.0.0/16"] });
const gate2 = node(6, { owner: ["tag:gate2"], routes: ["10.1.0.0/16"] });
const exit = node(7, { owner: ["tag:exit"], routes: ["0.0.0.0/0", "::/0"] });
const nodes = [annPc, bobPc, cydPc, web, gate, gate2, exit];
const tagOwners = { "tag:web": ["bob@"], "tag:gate": ["tag:web"], "tag:gate2": [], "tag:exit": ["group:idp"] };

function engineOf(sections: Readonly<Record<string, unknown>>, world: readonly PolicyNode[] = nodes): PolicyEngine {
  const compiled = compilePolicy(JSON.stringify({ tagOwners, ...sections }), {
    users,
    nodes: world,
    settings: { serverUrl: "https://hs.example/", providerGroups: ["group:idp"] },
  });
  assert.ok(compiled.ok, compiled.ok ? "" : formatProblems(compiled.errors));
  return compiled.engine;
}

function peersOf(engine: PolicyEngine, viewer: PolicyNode): readonly number[] {
  return engine
    .viewOf(viewer.id)
    .peers()
    .filter((id) => id !== viewer.id);
}

function routesTold(engine: PolicyEngine, viewer: PolicyNode, peer: PolicyNode): unknown {
  const { ifPrimary, always } = engine.viewOf(viewer.id).routesOf(peer.id);
  return { ifPrimary: ifPrimary.map(formatPrefix), always: always.map(formatPrefix) };
}

test("a rule for a group filled by an identity provider holds for its members", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["group:idp"], dst: ["tag:web:22"] }] });
  assert.deepEqual(peersOf(engine, web), [3]);
  engine.apply([{ kind: "user", user: { ...(users[1] as PolicyUser), groups: ["group:idp"] } }]);
  assert.deepEqual(peersOf(engine, web), [2, 3]);
});

test("a capability for everything ends at nodes: networks and exit nodes behind them are not told for it", () => {
  const grant = { src: ["ann@"], dst: ["*"] };
  const capability = { app: { "example.com/cap/x": [{}] } };
  const engine = engineOf({ grants: [{ ...grant, ...capability }] });
  assert.deepEqual(peersOf(engine, annPc), [2, 3, 4, 5, 6, 7]);
  assert.deepEqual(routesTold(engine, annPc, gate), { ifPrimary: [], always: [] });
  assert.deepEqual(routesTold(engine, annPc, exit), { ifPrimary: [], always: [] });
  const open = engineOf({ grants: [{ ...grant, ...capability, ip: ["443"] }] });
  assert.deepEqual(routesTold(open, annPc, gate), { ifPrimary: ["10.1.0.0/16"], always: [] });
  assert.deepEqual(routesTold(open, annPc, exit), { ifPrimary: [], always: ["0.0.0.0/0", "::/0"] });
  const network = engineOf({ grants: [{ src: ["ann@"], dst: ["10.1.0.0/16"], ...capability }] });
  assert.deepEqual(routesTold(network, annPc, gate), { ifPrimary: ["10.1.0.0/16"], always: [] });
});

test("role autogroups follow the roles of users", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["autogroup:admin"], dst: ["tag:web:22"] }] });
  assert.deepEqual(peersOf(engine, web), [1]);
  engine.apply([
    { kind: "user", user: user(1, "ann") },
    { kind: "user", user: user(2, "bob", "admin") },
  ]);
  assert.deepEqual(peersOf(engine, web), [2]);
});

test("a user is found by provider id before e-mail and name", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["https://idp.example/bob@"], dst: ["tag:web:22"] }] });
  assert.deepEqual(peersOf(engine, web), [2]);
});

test("a name that means two users is refused when the policy is set, and means nobody when it comes to pass later", () => {
  const acls = [{ action: "accept", src: ["bob@"], dst: ["tag:web:22"] }];
  const twice = compilePolicy(JSON.stringify({ tagOwners, acls }), {
    users: [...users, { ...user(9, "bob"), providerId: "" }],
    nodes,
    settings: { serverUrl: "" },
  });
  assert.ok(!twice.ok);
  assert.match(formatProblems(twice.errors), /multiple users found: token "bob" found: bob, bob/);
  const engine = engineOf({ acls });
  engine.apply([{ kind: "user", user: { ...user(9, "bob"), providerId: "" } }]);
  assert.deepEqual(peersOf(engine, web), []);
});

test("postures narrow the sources of a rule, and follow the node's attributes", () => {
  const engine = engineOf({
    postures: { "posture:mac": ["node:os == 'macos'", "custom:tier >= 2"] },
    acls: [{ action: "accept", src: ["autogroup:member"], dst: ["tag:web:22"], srcPosture: ["posture:mac"] }],
  });
  assert.deepEqual(peersOf(engine, web), [3]);
  assert.deepEqual(engine.filterOf(web.id)[0]?.SrcIPs, ["100.64.0.3", "fd7a:115c:a1e0::3"]);
  engine.apply([{ kind: "node", node: { ...cydPc, posture: { "node:os": "macOS", "custom:tier": 1 } } }]);
  assert.deepEqual(peersOf(engine, web), []);
  assert.deepEqual(engine.filterOf(web.id), []);
});

test("defaultSrcPosture holds for rules that ask for no posture themselves", () => {
  const engine = engineOf({
    postures: { "posture:mac": ["node:os == 'macos'"], "posture:any": ["custom:tier IS SET"] },
    defaultSrcPosture: ["posture:mac"],
    acls: [{ action: "accept", src: ["autogroup:member"], dst: ["tag:web:22"] }],
  });
  assert.deepEqual(peersOf(engine, web), [3]);
});

test("ip sets are added up and taken away in the order they are written", () => {
  const engine = engineOf({
    hosts: { printer: "10.1.9.9" },
    ipsets: { "ipset:lab": ["10.1.0.0/16", "remove 10.1.8.0/21", "add host:printer"] },
    acls: [{ action: "accept", src: ["ann@"], dst: ["ipset:lab:80"] }],
  });
  assert.deepEqual(
    engine.filterOf(gate.id)[0]?.DstPorts?.map(({ IP }) => IP),
    ["10.1.0.0/21", "10.1.9.9", "10.1.16.0/20", "10.1.32.0/19", "10.1.64.0/18", "10.1.128.0/17"],
  );
});

test("a steered rule leads through the router with the tag, and takes the route away from the others", () => {
  const engine = engineOf({
    grants: [
      { src: ["ann@"], dst: ["10.1.0.0/16"], ip: ["*"], via: ["tag:gate2"] },
      { src: ["bob@"], dst: ["10.1.0.0/16", "tag:gate", "tag:gate2"], ip: ["*"] },
      { src: ["ann@"], dst: ["tag:gate"], ip: ["22"] },
    ],
  });
  assert.deepEqual(routesTold(engine, annPc, gate2), { ifPrimary: [], always: ["10.1.0.0/16"] });
  assert.deepEqual(routesTold(engine, annPc, gate), { ifPrimary: [], always: [] });
  assert.deepEqual(routesTold(engine, bobPc, gate), { ifPrimary: ["10.1.0.0/16"], always: [] });
});

test("when all routers of a steered prefix carry the tag, the elected one serves it", () => {
  const both = [gate, { ...gate2, tags: ["tag:gate"] }];
  const engine = engineOf({ grants: [{ src: ["ann@"], dst: ["10.1.0.0/16"], ip: ["*"], via: ["tag:gate"] }] }, [
    annPc,
    ...both,
  ]);
  for (const router of both) {
    assert.deepEqual(routesTold(engine, annPc, router), { ifPrimary: ["10.1.0.0/16"], always: [] });
  }
});

test("when only some routers of a steered prefix carry the tag, the one that comes first serves it, and that may change", () => {
  const gates = [gate, { ...gate, id: 8 as NodeId }, { ...gate, id: 9 as NodeId }];
  const engine = engineOf({ grants: [{ src: ["ann@"], dst: ["10.1.0.0/16"], ip: ["*"], via: ["tag:gate"] }] }, [
    annPc,
    gate2,
    ...gates,
  ]);
  const serving = (): readonly number[] =>
    gates.filter(({ id }) => engine.viewOf(annPc.id).routesOf(id).always.length > 0).map(({ id }) => id);
  const [five, eight, nine] = gates;
  assert.ok(five !== undefined && eight !== undefined && nine !== undefined);
  assert.deepEqual(serving(), [5], "nobody is there: the lowest id");
  const { peers } = engine.apply([{ kind: "node", node: { ...nine, precedence: 1 } }]);
  assert.deepEqual(serving(), [9]);
  assert.ok(
    [5, 8, 9].every((id) => peers.includes(id as NodeId)),
    "all routers of the prefix may be told otherwise",
  );
  engine.apply([{ kind: "node", node: { ...five, precedence: 2 } }]);
  assert.deepEqual(serving(), [9], "who came later waits");
  engine.apply([{ kind: "node", node: nine }]);
  assert.deepEqual(serving(), [5]);
});

test("where no rule steers, the order of routers is no change to anybody", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["*"], dst: ["*:*"] }] });
  const effect = engine.apply([{ kind: "node", node: { ...gate, precedence: 1 } }]);
  assert.deepEqual(effect, { everything: false, nodes: [], peers: [] });
});

test("exit routes are told to those whom a rule opens the internet, and to nobody else", () => {
  const engine = engineOf({
    acls: [
      { action: "accept", src: ["ann@"], dst: ["autogroup:internet:*"] },
      { action: "accept", src: ["bob@"], dst: ["tag:exit:22"] },
    ],
  });
  assert.deepEqual(routesTold(engine, annPc, exit), { ifPrimary: [], always: ["0.0.0.0/0", "::/0"] });
  assert.deepEqual(routesTold(engine, bobPc, exit), { ifPrimary: [], always: [] });
  assert.deepEqual(engine.peerCaps(exit.id), { "suggest-exit-node": null });
  assert.equal(engine.peerCaps(gate.id), undefined);
});

test("nodes that are told the same share one view and one filter", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["*"], dst: ["*:*"] }] });
  assert.equal(engine.viewOf(annPc.id).id, engine.viewOf(web.id).id);
  assert.equal(engine.filterOf(annPc.id), engine.filterOf(web.id));
});

test("a filter is the same array until something in it changes", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["ann@"], dst: ["tag:web:22"] }] });
  const before = engine.filterOf(web.id);
  assert.deepEqual(engine.apply([{ kind: "node", node: { ...bobPc, posture: { "node:os": "linux" } } }]).nodes, [2]);
  assert.equal(engine.filterOf(web.id), before);
  const effect = engine.apply([{ kind: "node", node: node(9, { owner: 1 }) }]);
  assert.ok(effect.nodes.includes(web.id));
  assert.notEqual(engine.filterOf(web.id), before);
});

test("an approved route joins the wildcard source of every filter", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["*"], dst: ["tag:web:22"] }] });
  const sources = (): readonly string[] => engine.filterOf(web.id)[0]?.SrcIPs ?? [];
  assert.ok(sources().includes("10.1.0.0/16"));
  engine.apply([gate, gate2].map((each) => ({ kind: "node", node: { ...each, routes: prefixes(["10.7.0.0/16"]) } })));
  assert.ok(sources().includes("10.7.0.0/16") && !sources().includes("10.1.0.0/16"));
});

test("auto-approval covers contained routes, exit routes only by exitNode, and follows owner and tags", () => {
  const engine = engineOf({
    autoApprovers: {
      routes: { "10.0.0.0/8": ["tag:gate", "bob@"], "0.0.0.0/0": ["tag:web"] },
      exitNode: ["autogroup:admin"],
    },
  });
  const approved = (who: PolicyNode): readonly string[] =>
    engine.autoApproved(who, prefixes(["10.1.0.0/16", "192.168.0.0/16", "0.0.0.0/0"])).map(formatPrefix);
  assert.deepEqual(approved(gate), ["10.1.0.0/16"]);
  assert.deepEqual(approved(bobPc), ["10.1.0.0/16"]);
  assert.deepEqual(approved(annPc), ["0.0.0.0/0"]);
  assert.deepEqual(approved(web), ["10.1.0.0/16", "192.168.0.0/16"]);
  assert.deepEqual(approved(cydPc), []);
});

test("services are approved by name or by tag for hosts among their approvers", () => {
  const engine = engineOf({ autoApprovers: { services: { "svc:shop": ["tag:web"], "tag:gate": ["tag:gate"] } } });
  assert.ok(engine instanceof CompiledEngine);
  assert.equal(engine.serviceApproved(web, "svc:shop"), true);
  assert.equal(engine.serviceApproved(gate, "svc:shop"), true);
  assert.equal(engine.serviceApproved(gate2, "svc:shop"), false);
});

test("a tag may be applied by its owners, by nodes with an owning tag, and by admins", () => {
  const engine = engineOf({});
  const may = (who: number | null, tags: readonly string[], tag: string): boolean =>
    engine.mayTag({ user: who as UserId | null, tags }, tag);
  assert.equal(may(2, [], "tag:web"), true);
  assert.equal(may(2, [], "tag:gate"), false);
  assert.equal(may(null, ["tag:web"], "tag:gate"), true);
  assert.equal(may(3, [], "tag:exit"), true);
  assert.equal(may(1, [], "tag:gate2"), true);
  assert.equal(may(1, [], "tag:unknown"), false);
  assert.deepEqual([engine.tagExists("tag:web"), engine.tagExists("tag:unknown")], [true, false]);
});

test("node attributes come from every entry that targets the node, apps with their values", () => {
  const engine = engineOf({
    nodeAttrs: [
      { target: ["autogroup:member"], attr: ["magicdns-aaaa"] },
      {
        target: ["group:idp", "100.64.0.4"],
        attr: ["funnel"],
        app: { "tailscale.com/app-connectors": [{ name: "x" }] },
      },
      { target: ["bob@"], ipPool: ["100.80.0.0/16"] },
    ],
    randomizeClientPort: true,
    OneCGNATRoute: "mac-always",
  });
  assert.deepEqual(engine.selfCaps(annPc.id), { "magicdns-aaaa": null, "randomize-client-port": null });
  assert.deepEqual(engine.selfCaps(cydPc.id), {
    "magicdns-aaaa": null,
    funnel: null,
    "randomize-client-port": null,
    "one-cgnat?v=true": null,
    "tailscale.com/app-connectors": [{ name: "x" }],
  });
  assert.deepEqual(Object.keys(engine.selfCaps(web.id)).sort(), [
    "funnel",
    "randomize-client-port",
    "tailscale.com/app-connectors",
  ]);
  assert.deepEqual(engine.ipPools(bobPc).map(formatPrefix), ["100.80.0.0/16"]);
  assert.deepEqual(engine.ipPools(annPc), []);
});

test("check rules ask at the server's URL, for the period they say, before any accept rule", () => {
  const engine = engineOf({
    ssh: [
      { action: "accept", src: ["ann@"], dst: ["tag:web"], users: ["ubuntu"] },
      { action: "check", src: ["ann@"], dst: ["tag:web"], users: ["root"], checkPeriod: "2h" },
      {
        action: "check",
        src: ["autogroup:member"],
        dst: ["autogroup:self"],
        users: ["autogroup:nonroot"],
        checkPeriod: "always",
      },
    ],
  });
  const [first] = engine.sshOf(web.id);
  assert.equal(
    first?.action.holdAndDelegate,
    "https://hs.example/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER",
  );
  assert.equal(engine.sshCheckPeriod(annPc.id, web.id, "root"), 2 * 3_600_000);
  assert.equal(engine.sshCheckPeriod(annPc.id, web.id, "ubuntu"), undefined);
  assert.equal(engine.sshCheckPeriod(annPc.id, annPc.id, "ann"), 0);
  assert.equal(engine.sshCheckPeriod(annPc.id, bobPc.id, "ann"), undefined);
});

test("session recorders are named with their addresses, and enforced where the rule says so", () => {
  const engine = engineOf({
    ssh: [
      {
        action: "accept",
        src: ["ann@"],
        dst: ["tag:web"],
        users: ["root"],
        recorder: ["tag:gate"],
        enforceRecorder: true,
      },
    ],
  });
  const action = engine.sshOf(web.id)[0]?.action;
  assert.deepEqual(action?.recorders, ["100.64.0.5:80", "[fd7a:115c:a1e0::5]:80"]);
  assert.ok(action?.onRecordingFailure?.RejectSessionWithMessage !== undefined);
});

test("disableIPv4 for the tailnet hides IPv4 addresses from all", () => {
  const engine = engineOf({ disableIPv4: true });
  assert.equal(engine.viewOf(annPc.id).routesOf(web.id).withoutIPv4, true);
});

const failing = (sections: Readonly<Record<string, unknown>>): string => {
  const compiled = compilePolicy(JSON.stringify({ tagOwners, ...sections }), {
    users,
    nodes,
    settings: { serverUrl: "" },
  });
  return compiled.ok ? "" : formatProblems(compiled.errors);
};

test("tests see autogroup:self, steered rules and postures", () => {
  assert.equal(
    failing({
      postures: { "posture:mac": ["node:os == 'macos'"] },
      acls: [
        { action: "accept", src: ["autogroup:member"], dst: ["autogroup:self:22"] },
        { action: "accept", src: ["bob@"], dst: ["tag:web:443"], srcPosture: ["posture:mac"] },
      ],
      grants: [{ src: ["ann@"], dst: ["10.1.0.0/16"], ip: ["tcp:80"], via: ["tag:gate"] }],
      tests: [
        { src: "ann@", accept: ["autogroup:self:22", "10.1.2.3:80"], deny: ["bob@:22"] },
        { src: "bob@", deny: ["tag:web:443"] },
        { src: "bob@", accept: ["tag:web:443"], srcPostureAttrs: { "node:os": "macos" } },
      ],
    }),
    "",
  );
});

test("failing tests say what was expected and what was got, with their line", () => {
  const text = failing({
    acls: [{ action: "accept", src: ["ann@"], dst: ["tag:web:22"] }],
    tests: [{ src: "ann@", accept: ["tag:web:23"], deny: ["tag:web:22"], proto: "tcp" }],
  });
  assert.match(text, /^test\(s\) failed:\n/);
  assert.match(text, /line 1, column \d+: ann@ -> tag:web:23: expected ALLOWED, got DENIED \(tcp\)/);
  assert.match(text, /ann@ -> tag:web:22: expected DENIED, got ALLOWED \(tcp\)/);
});

test("failing tests only warn when the server starts", () => {
  const compiled = compilePolicy(
    JSON.stringify({ tagOwners, acls: [], tests: [{ src: "ann@", accept: ["tag:web:22"] }] }),
    {
      users,
      nodes,
      settings: { serverUrl: "" },
      tests: "warn",
    },
  );
  assert.ok(compiled.ok);
  assert.match(compiled.warnings[0]?.message ?? "", /test\(s\) failed/);
});

test("a policy that was good once stays in force when its users are gone, double, or out of their groups", () => {
  const text = JSON.stringify({
    tagOwners,
    acls: [{ action: "accept", src: ["group:gone", "bob@", "ann@"], dst: ["tag:web:22"] }],
  });
  const doubled = [...users, { ...user(9, "bob"), providerId: "" }];
  const input = { users: doubled, nodes, settings: { serverUrl: "" } };
  assert.equal(compilePolicy(text, input).ok, false);
  const started = compilePolicy(text, { ...input, tests: "warn" });
  assert.ok(started.ok);
  assert.deepEqual(peersOf(started.engine, web), [1]);
  assert.match(formatProblems(started.warnings), /multiple users found: token "bob"/);
});

test("sshTests tell accept from check", () => {
  const ssh = [{ action: "check", src: ["ann@"], dst: ["tag:web"], users: ["root"] }];
  assert.equal(
    failing({ ssh, sshTests: [{ src: "ann@", dst: ["tag:web"], check: ["root"], accept: ["root"], deny: ["bob"] }] }),
    "",
  );
  assert.match(
    failing({
      ssh: [{ ...ssh[0], action: "accept" }],
      sshTests: [{ src: "ann@", dst: ["tag:web"], check: ["root"] }],
    }),
    /ann@\/root -> tag:web: expected ALLOWED via check, got ALLOWED via accept/,
  );
});

test("a drive grant from autogroup:danger-all tells every node who shares with it", () => {
  const engine = engineOf({
    grants: [{ src: ["autogroup:danger-all"], dst: ["tag:web"], app: { "tailscale.com/cap/drive": [{}] } }],
  });
  const told = engine
    .filterOf(annPc.id)
    .flatMap(({ CapGrant = [] }) => CapGrant.map(({ CapMap }) => Object.keys(CapMap)));
  assert.deepEqual(told, [["tailscale.com/cap/drive-sharer"]]);
});

test("rules with equal sources, one of them written out besides, are one rule of the filter", () => {
  const engine = engineOf({
    acls: [
      { action: "accept", src: ["ann@"], dst: ["tag:web:22"] },
      { action: "accept", src: ["100.64.0.1", "ann@"], dst: ["tag:web:80"] },
    ],
  });
  assert.equal(engine.filterOf(web.id).length, 1);
});

test("an app grant towards one's own devices gives nothing to those who are not its source", () => {
  const engine = engineOf({
    grants: [{ src: ["bob@"], dst: ["autogroup:self"], app: { "corp.example/cap/x": [{}] } }],
  });
  assert.deepEqual(engine.filterOf(annPc.id), []);
  assert.equal(engine.filterOf(bobPc.id).length, 1);
});

test("a prefix that no node routes any more is forgotten", () => {
  const engine = engineOf({ acls: [{ action: "accept", src: ["*"], dst: ["*:*"] }] });
  assert.ok(engine instanceof CompiledEngine);
  const before = engine.routedPrefixes;
  for (let turn = 0; turn < 200; turn++) {
    engine.apply([{ kind: "node", node: { ...gate, routes: prefixes([`10.${turn}.0.0/16`]) } }]);
  }
  assert.equal(engine.routedPrefixes, before + 1, "one router's, and the other's own");
  engine.apply([
    { kind: "node-removed", id: gate.id },
    { kind: "node-removed", id: gate2.id },
  ]);
  assert.equal(engine.routedPrefixes, before - 1);
});
