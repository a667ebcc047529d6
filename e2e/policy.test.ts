// The policy with real clients: what it opens is open and nothing else is, who may not see is not told, and a new policy
// is in force within two seconds.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startStopwatch } from "../test/patience.ts";
import type { Client } from "./client.ts";
import { until, type CommandResult } from "./netns.ts";
import { PlainTailnet, programsOrReason } from "./plain-tailnet.ts";
import { serveTailnetPage } from "./web.ts";

const programs = programsOrReason();
const skip = typeof programs === "string" ? programs : false;

/** Alice: page and ssh on tag:web. Bob: ICMP to it. Everybody: their own machines. */
const base = {
  tagOwners: { "tag:web": ["alice@"], "tag:east": ["alice@"], "tag:west": ["alice@"] },
  acls: [
    { action: "accept", src: ["alice@"], dst: ["tag:web:80,22"] },
    { action: "accept", proto: "icmp", src: ["bob@"], dst: ["tag:web:*"] },
    { action: "accept", src: ["autogroup:member"], dst: ["autogroup:self:*"] },
  ],
  ssh: [{ action: "accept", src: ["alice@"], dst: ["tag:web"], users: ["root"] }],
};

let tailnet: PlainTailnet;
let web: Client;
let alice: Client;
let alice2: Client;
let bob: Client;

before(async () => {
  if (typeof programs === "string") {
    return;
  }
  tailnet = new PlainTailnet("policy", "policy: { mode: database }");
  await tailnet.start();
  const users = {
    alice: await tailnet.control.createUser("alice"),
    bob: await tailnet.control.createUser("bob"),
  };
  await setPolicy(base);
  const office = tailnet.lab.host("office", { office: "192.168.77.9/24" });
  await serveTailnetPage(office, "the office");
  const join = (name: string, user: number, key: readonly string[] = [], up: readonly string[] = []) =>
    tailnet.join(name, programs, { user, key: ["--expiration", "1h", ...key], up });
  [web, alice, alice2, bob] = await Promise.all([
    join("web", users.alice, ["--tags", "tag:web"], ["--ssh"]),
    join("alice", users.alice, [], ["--accept-routes"]),
    join("alicetwo", users.alice),
    join("bob", users.bob, [], ["--accept-routes"]),
  ]);
  await Promise.all([
    serveTailnetPage(web.host, "the web page", [80, 9999]),
    serveTailnetPage(alice2.host, "alice's own page"),
  ]);
});

after(() => tailnet?.close());

async function setPolicy(policy: object): Promise<void> {
  const file = join(tailnet.control.host.folder, "policy.hujson");
  writeFileSync(file, JSON.stringify(policy, null, 2));
  await tailnet.control.cli(["policy", "set", "--file", file]);
}

/** The page's text, or "" when it is not reached in time. */
async function page(from: Client, url: string, seconds = 3): Promise<string> {
  const answer = await from.host.run("curl", ["-s", "-m", String(seconds), url], { check: false });
  return answer.stdout;
}

async function reached(from: Client, url: string, text: string): Promise<void> {
  await until(`${from.host.name} reads ${url}`, 15, async () =>
    (await page(from, url)).includes(text) ? true : undefined,
  );
}

/** Of two machines that are told of a new policy, one may be told a moment after the other. */
async function shut(from: Client, url: string): Promise<void> {
  await until(`${from.host.name} does not read ${url}`, 2, async () =>
    (await page(from, url, 1)) === "" ? true : undefined,
  );
}

async function seenBy(client: Client): Promise<readonly string[]> {
  return (await client.peers()).map((peer) => peer.HostName).sort();
}

/** What a command over ssh printed, on success and on refusal. */
async function ssh(from: Client, user: string, target: string): Promise<CommandResult> {
  return from.host.run(
    "ssh",
    [
      ...["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=5"].flatMap(
        (option) => ["-o", option],
      ),
      `${user}@${target}`,
      "id -u",
    ],
    { check: false },
  );
}

test("nodes see those they may reach or are reached by, and nobody else", { skip }, async () => {
  const wanted = new Map([
    [web, ["alice", "alicetwo", "bob"]],
    [alice, ["alicetwo", "web"]],
    [alice2, ["alice", "web"]],
    [bob, ["web"]],
  ]);
  for (const [client, names] of wanted) {
    await until(`${client.host.name} sees ${names.join(", ")}`, 15, async () =>
      (await seenBy(client)).join() === names.join() ? true : undefined,
    );
  }
  const status = await bob.run(["status"]);
  assert.doesNotMatch(status.stdout, /alice/);
});

test("an open port is open and another one on the same machine is not", { skip }, async () => {
  await reached(alice, "http://web.acme.internal/", "the web page");
  assert.equal(await page(alice, "http://web.acme.internal:9999/"), "");
});

test("ICMP alone lets a ping through and no connection", { skip }, async () => {
  const address = await web.address();
  await until("bob's ping is answered", 15, async () => {
    const ping = await bob.host.run("ping", ["-c", "1", "-W", "2", address], { check: false });
    return ping.status === 0 ? true : undefined;
  });
  assert.equal(await page(bob, `http://${address}/`), "");
});

test("a rule has one direction: what is reached may not reach back", { skip }, async () => {
  await serveTailnetPage(alice.host, "alice's first page");
  assert.equal(await page(web, `http://${await alice.address()}/`), "");
});

test("autogroup:self opens one's own machines to oneself and to nobody else", { skip }, async () => {
  await reached(alice, "http://alicetwo.acme.internal/", "alice's own page");
  assert.equal(await page(bob, `http://${await alice2.address()}/`), "");
});

test("ssh lets in whom the policy names, as the user it names", { skip }, async () => {
  const target = "web.acme.internal";
  await until("alice is let in as root", 20, async () =>
    (await ssh(alice, "root", target)).stdout.trim() === "0" ? true : undefined,
  );
  const asOther = await ssh(alice, "nobody", target);
  assert.match(asOther.stderr, /policy does not permit/);
  const bobs = await ssh(bob, "root", await web.address());
  assert.notEqual(bobs.status, 0);
  assert.match(bobs.stderr, /timed out|refused/, "bob does not even reach the port");
});

test("a new policy is in force within two seconds, both ways", { skip }, async () => {
  await reached(alice, "http://web/", "the web page");
  const [, ...others] = base.acls;
  await setPolicy({ ...base, acls: [{ action: "accept", src: ["alice@"], dst: ["tag:web:9999,22"] }, ...others] });
  const set = Date.now();
  await until("port 9999 is open", 2, async () =>
    (await page(alice, "http://web.acme.internal:9999/", 1)).includes("the web page") ? true : undefined,
  );
  assert.equal(await page(alice, "http://web.acme.internal/", 1), "");
  console.log(`     in force ${((Date.now() - set) / 1000).toFixed(1)} s after the command, two curls included`);
  await setPolicy(base);
  await until("port 80 is open again", 2, async () =>
    (await page(alice, "http://web.acme.internal/", 1)).includes("the web page") ? true : undefined,
  );
});

test("a policy with a fault is refused with its place and the old one stays in force", { skip }, async () => {
  await assert.rejects(
    setPolicy({ ...base, acls: [{ action: "accept", src: ["tag:nobody"], dst: ["*:*"] }] }),
    /tag:nobody/,
  );
  assert.match(await page(alice, "http://web.acme.internal/"), /the web page/);
});

test("someone who loses the last rule disappears from the other's view, and comes back with it", { skip }, async () => {
  await setPolicy({ ...base, acls: base.acls.filter((rule) => rule.proto !== "icmp") });
  await until("bob sees nobody", 2, async () => ((await seenBy(bob)).length === 0 ? true : undefined));
  await until("web does not see bob", 2, async () => ((await seenBy(web)).includes("bob") ? undefined : true));
  await setPolicy(base);
  await until("bob sees the web again", 2, async () => ((await seenBy(bob)).join() === "web" ? true : undefined));
});

test("a policy of `*` opens every port between all, and closing it again closes them", { skip }, async () => {
  assert.equal(await page(bob, `http://${await alice2.address()}/`), "");
  await setPolicy({ tagOwners: base.tagOwners, acls: [{ action: "accept", src: ["*"], dst: ["*:*"] }] });
  const everybody = ["alice", "alicetwo", "bob", "web"];
  for (const client of [web, alice, alice2, bob]) {
    const others = everybody.filter((name) => name !== client.host.name);
    await until(`${client.host.name} sees ${others.join(", ")}`, 2, async () =>
      (await seenBy(client)).join() === others.join() ? true : undefined,
    );
  }
  await reached(bob, "http://web.acme.internal:9999/", "the web page");
  await reached(bob, "http://alicetwo.acme.internal/", "alice's own page");
  await setPolicy(base);
  await until("bob sees the web alone", 2, async () => ((await seenBy(bob)).join() === "web" ? true : undefined));
  await shut(bob, `http://${await alice2.address()}/`);
  await shut(bob, `http://${await web.address()}:9999/`);
});

test("via steers each user through the router named for them", { skip }, async () => {
  assert.ok(typeof programs !== "string");
  const routes = (via: string, user: string) => ({
    src: [user],
    dst: ["192.168.77.0/24"],
    ip: ["tcp:80"],
    via: [via],
  });
  await setPolicy({ ...base, grants: [routes("tag:east", "alice@"), routes("tag:west", "bob@")] });
  const routers = await Promise.all(
    [
      ["east", "192.168.77.1/24", "tag:east"],
      ["west", "192.168.77.2/24", "tag:west"],
      ["eastern", "192.168.77.3/24", "tag:east"],
    ].map(async ([name = "", address = "", tag = ""]) => {
      const host = tailnet.host(name, { office: address });
      await host.run("sysctl", ["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
      return tailnet.join(name, programs, {
        host,
        key: ["--expiration", "1h", "--tags", tag],
        up: ["--advertise-routes=192.168.77.0/24"],
      });
    }),
  );
  for (const name of ["east", "west", "eastern"]) {
    const node = await tailnet.node(name);
    const route = ["--routes", "192.168.77.0/24"];
    await tailnet.control.cli(["nodes", "approve-routes", "--identifier", String(node.id), ...route]);
  }
  const steeredThrough = (client: Client, allowed: readonly string[]): Promise<string> =>
    until(`${client.host.name} is steered through ${allowed.join(" or ")}`, 15, async () => {
      const carriers = (await client.peers()).filter((peer) => peer.AllowedIPs?.includes("192.168.77.0/24"));
      const [carrier] = carriers.map((peer) => peer.HostName);
      return carriers.length === 1 && allowed.includes(carrier ?? "") ? carrier : undefined;
    });
  // The office sees its router's address, which it refuses: an answer is proof enough.
  const getsAnswer = (client: Client): Promise<boolean> =>
    until(`${client.host.name} gets an answer from the office`, 15, async () =>
      (await page(client, "http://192.168.77.9/")).includes("403") ? true : undefined,
    );
  const serving = await steeredThrough(alice, ["east", "eastern"]);
  await getsAnswer(alice);
  await steeredThrough(bob, ["west"]);
  await getsAnswer(bob);

  const killed = routers.find(({ host }) => host.name === serving);
  assert.ok(killed !== undefined);
  await killed.stop("SIGKILL");
  const watch = startStopwatch();
  await steeredThrough(
    alice,
    ["east", "eastern"].filter((name) => name !== serving),
  );
  await getsAnswer(alice);
  assert.ok(watch.seconds() < 15, "the other router of the tag serves within fifteen seconds");
  await steeredThrough(bob, ["west"]);
});
