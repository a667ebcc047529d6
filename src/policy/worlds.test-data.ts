// Random small tailnets and policies over the same few names, so that rules and nodes meet often.
import * as fc from "fast-check";
import { comparePrefix, parseAddr, parsePrefix, type Addr, type Prefix } from "../ip/index.ts";
import type { NodeId, UserId } from "../wire/ids.ts";
import type { PolicyChange, PolicyNode, PolicyUser } from "./engine.ts";
import type { NaiveAcl, NaiveGrant, NaivePolicy, NaiveSsh } from "./naive.test-data.ts";

export function addr(text: string): Addr {
  const parsed = parseAddr(text);
  if (parsed === undefined) {
    throw new Error(`not an address: ${text}`);
  }
  return parsed;
}
export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) {
    throw new Error(`not a prefix: ${text}`);
  }
  return parsed;
}

const logins = ["ann", "bob", "cyd"];
const tags = ["tag:web", "tag:db", "tag:router"];
const groups = ["group:dev", "group:ops"];
const domains = ["a.example", "b.example"];
const routes = ["10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "fd00:1::/64", "0.0.0.0/0", "::/0"];
/** Hosts and literals, some of them nodes' own. */
const networks = [
  "10.1.0.0/16",
  "10.1.2.3",
  "10.0.0.0/8",
  "100.64.0.2",
  "100.64.0.0/29",
  "fd00:1::/64",
  "8.8.8.0/24",
  "fd7a:115c:a1e0::3",
];

export const arbitraryUser: fc.Arbitrary<PolicyUser> = fc
  .record({
    index: fc.nat({ max: logins.length - 1 }),
    domain: fc.constantFrom(...domains),
    role: fc.constantFrom<PolicyUser["role"]>("member", "admin", "owner"),
    groups: fc.subarray(["group:idp"]),
  })
  .map(({ index, domain, role, groups: from }) => ({
    id: (index + 1) as UserId,
    name: logins[index] ?? "",
    email: `${logins[index] ?? ""}@${domain}`,
    providerId: "",
    role,
    groups: from,
  }));

export const arbitraryNode: fc.Arbitrary<PolicyNode> = fc
  .record({
    id: fc.integer({ min: 1, max: 7 }),
    user: fc.integer({ min: 1, max: 3 }),
    tags: fc.oneof(
      { weight: 2, arbitrary: fc.constant<string[]>([]) },
      { weight: 2, arbitrary: fc.subarray(tags, { minLength: 1 }) },
    ),
    routes: fc.oneof(
      { weight: 3, arbitrary: fc.constant<string[]>([]) },
      { weight: 2, arbitrary: fc.subarray(routes) },
    ),
    tier: fc.constantFrom("gold", "tin"),
    v4: fc.boolean(),
    precedence: fc.nat(3),
  })
  .map(({ id, user, tags: own, routes: advertised, tier, v4, precedence }) => ({
    id: id as NodeId,
    name: `n${id}`,
    user: own.length > 0 ? null : (user as UserId),
    tags: own,
    ipv4: v4 ? addr(`100.64.0.${id}`) : null,
    ipv6: addr(`fd7a:115c:a1e0::${id}`),
    routes: advertised.map(prefix).sort(comparePrefix),
    posture: { "custom:tier": tier },
    ...(precedence === 0 ? {} : { precedence }),
  }));

const people = [...logins.map((login) => `${login}@`), "ann@a.example", ...groups, "group:idp", "user:*@a.example"];
const anySource = fc.constantFrom(
  "*",
  ...people,
  ...tags,
  ...networks,
  "net",
  "autogroup:member",
  "autogroup:tagged",
  "autogroup:admin",
  "autogroup:danger-all",
);
const selfSource = fc.constantFrom(...people, "autogroup:member", "autogroup:admin");
const anyTarget = fc.constantFrom(
  "*",
  ...people,
  ...tags,
  ...networks,
  "net",
  "autogroup:member",
  "autogroup:tagged",
  "autogroup:internet",
);
const ports = fc.constantFrom("*", "22", "80,443", "8000-8100");
const posture = fc.oneof(
  { weight: 4, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.subarray(["posture:gold", "posture:tin"], { minLength: 1 }) },
);
const few = <Value>(item: fc.Arbitrary<Value>, maxLength = 3): fc.Arbitrary<Value[]> =>
  fc.array(item, { minLength: 1, maxLength });

/** IPv6 destinations of ACLs stand in brackets when they are addresses. */
const hostPort = (target: string, port: string): string => `${target}:${port}`;

const plainAcl: fc.Arbitrary<NaiveAcl> = fc
  .record({
    src: few(anySource),
    dst: few(fc.tuple(anyTarget, ports)),
    proto: fc.constantFrom(undefined, "tcp", "udp"),
    posture,
  })
  .map(({ src, dst, proto, posture: wanted }) => ({
    action: "accept",
    src,
    dst: dst.map(([target, port]) => hostPort(target, port)),
    ...(proto === undefined ? {} : { proto }),
    ...(wanted === undefined ? {} : { srcPosture: wanted }),
  }));

const selfAcl: fc.Arbitrary<NaiveAcl> = fc
  .record({
    src: fc.oneof(fc.constant(["*"]), few(selfSource)),
    more: fc.array(fc.tuple(anyTarget, ports), { maxLength: 1 }),
    port: ports,
    posture,
  })
  .map(({ src, more, port, posture: wanted }) => ({
    action: "accept",
    src,
    dst: [hostPort("autogroup:self", port), ...more.map(([target, each]) => hostPort(target, each))],
    ...(wanted === undefined ? {} : { srcPosture: wanted }),
  }));

const ip = fc.constantFrom("*", "22", "80,443", "tcp:8000-8100", "udp:53", "icmp:*");
const app = fc.constantFrom(
  { "tailscale.com/cap/drive": [{ shares: ["*"], access: "rw" }] },
  { "example.com/cap/x": [] },
);
const plainGrant: fc.Arbitrary<NaiveGrant> = fc
  .record({
    src: few(anySource),
    dst: few(anyTarget),
    ip: few(ip, 2),
    app: fc.option(app, { nil: undefined, freq: 3 }),
    posture,
  })
  .map(({ src, dst, ip: entries, app: caps, posture: wanted }) => ({
    src,
    dst: caps === undefined ? dst : dst.filter((target) => target !== "autogroup:internet"),
    ip: entries,
    ...(caps === undefined ? {} : { app: caps }),
    ...(wanted === undefined ? {} : { srcPosture: wanted }),
  }));
const selfGrant: fc.Arbitrary<NaiveGrant> = fc
  .record({ src: few(selfSource), ip: few(ip, 1), app: fc.option(app, { nil: undefined }) })
  .map(({ src, ip: entries, app: caps }) => ({
    src,
    dst: ["autogroup:self"],
    ip: entries,
    ...(caps === undefined ? {} : { app: caps }),
  }));
const viaGrant: fc.Arbitrary<NaiveGrant> = fc
  .record({
    src: few(anySource, 2),
    dst: few(fc.constantFrom("10.1.0.0/16", "10.0.0.0/8", "10.1.2.3", "net", "fd00:1::/64", "autogroup:internet"), 2),
    ip: few(ip, 1),
    via: fc.subarray(tags, { minLength: 1 }),
  })
  .map((grant) => grant);

const sshSource = fc.constantFrom(...people, ...tags, "autogroup:member", "autogroup:tagged");
const sshRule: fc.Arbitrary<NaiveSsh> = fc
  .record({
    action: fc.constantFrom<NaiveSsh["action"]>("accept", "check"),
    fromPeople: fc.boolean(),
    people: few(fc.constantFrom(...people, "autogroup:member"), 2),
    any: few(sshSource, 2),
    users: fc.subarray(["root", "ubuntu", "autogroup:nonroot"], { minLength: 1 }),
    self: fc.boolean(),
    tags: fc.subarray([...tags, "autogroup:tagged"]),
  })
  .map(({ action, fromPeople, people: persons, any, users, self, tags: targets }) => ({
    action,
    src: fromPeople ? persons : any,
    dst: fromPeople && self ? ["autogroup:self", ...targets] : targets,
    users,
  }));

export const arbitraryPolicy: fc.Arbitrary<NaivePolicy> = fc
  .record({
    dev: fc.subarray(["ann@", "bob@b.example", "cyd@"]),
    ops: fc.subarray(["bob@", "cyd@a.example"]),
    acls: fc.option(fc.array(fc.oneof({ weight: 3, arbitrary: plainAcl }, selfAcl), { maxLength: 4 }), {
      nil: undefined,
      freq: 6,
    }),
    grants: fc.option(fc.array(fc.oneof({ weight: 3, arbitrary: plainGrant }, selfGrant, viaGrant), { maxLength: 4 }), {
      nil: undefined,
      freq: 6,
    }),
    ssh: fc.array(sshRule, { maxLength: 3 }),
  })
  .map(({ dev, ops, acls, grants, ssh }) => ({
    groups: { "group:dev": dev, "group:ops": ops },
    hosts: { net: "10.1.2.0/24" },
    tagOwners: Object.fromEntries(tags.map((tag) => [tag, []])),
    postures: { "posture:gold": ["custom:tier == 'gold'"], "posture:tin": ["custom:tier == 'tin'"] },
    ...(acls === undefined ? {} : { acls }),
    ...(grants === undefined ? {} : { grants }),
    ssh,
  }));

export const arbitraryChange: fc.Arbitrary<PolicyChange> = fc.oneof(
  { weight: 5, arbitrary: arbitraryNode.map((node) => ({ kind: "node" as const, node })) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 7 }).map((id) => ({ kind: "node-removed" as const, id: id as NodeId })),
  },
  { weight: 3, arbitrary: arbitraryUser.map((user) => ({ kind: "user" as const, user })) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 3 }).map((id) => ({ kind: "user-removed" as const, id: id as UserId })),
  },
);

export interface ArbitraryWorld {
  readonly users: readonly PolicyUser[];
  readonly nodes: readonly PolicyNode[];
  readonly policy: NaivePolicy;
}

export const arbitraryWorld: fc.Arbitrary<ArbitraryWorld> = fc.record({
  users: fc.uniqueArray(arbitraryUser, { selector: ({ id }) => id, maxLength: 3 }),
  nodes: fc.uniqueArray(arbitraryNode, { selector: ({ id }) => id, maxLength: 7 }),
  policy: arbitraryPolicy,
});
