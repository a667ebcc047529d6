// A node's life with real clients: interactive login, names, tags, expiry, logout and return, ephemeral nodes, and one
// pass with the oldest client beside the newest.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { oldestClient } from "../scripts/clients.ts";
import type { Client } from "./client.ts";
import { until } from "./netns.ts";
import { PlainTailnet, programsOrReason } from "./plain-tailnet.ts";

const programs = programsOrReason();
const oldPrograms = typeof programs === "string" ? programs : programsOrReason(oldestClient);
const skip = typeof programs === "string" ? programs : false;
const skipOld = typeof oldPrograms === "string" ? oldPrograms : false;

let tailnet: PlainTailnet;
let first: Client;
let silent: Client;

before(async () => {
  if (typeof programs === "string") {
    return;
  }
  tailnet = new PlainTailnet("life", "node: { ephemeral: { inactivity_timeout: 66s } }");
  await tailnet.start();
  [first, silent] = await Promise.all([
    tailnet.join("first", programs),
    tailnet.join("silent", programs, { key: ["--ephemeral", "--reusable"] }),
  ]);
  // The last test waits for this one to be given up; the tests between go on meanwhile.
  await silent.stop("SIGKILL");
});

after(() => tailnet?.close());

/** Starts `tailscale up` without a key and answers with the auth id from the URL it shows. */
async function startLogin(
  client: Client,
  extra: readonly string[] = [],
): Promise<{ readonly authId: string; readonly done: Promise<unknown> }> {
  const done = client.run([
    "up",
    `--login-server=${tailnet.serverUrl}`,
    `--hostname=${client.host.name}`,
    "--timeout=60s",
    ...extra,
  ]);
  done.catch(() => undefined);
  const authId = await until(
    "an AuthURL is shown",
    20,
    async () => /\/register\/(\S+)$/.exec((await client.status()).AuthURL)?.[1],
  );
  return { authId, done };
}

test("an interactive login waits at a page that names the command, and goes on when it is run", { skip }, async () => {
  assert.ok(typeof programs !== "string");
  const client = await tailnet.client(tailnet.host("laptop"), programs);
  const { authId, done } = await startLogin(client);
  const page = await client.host.run("curl", ["-fsS", `${tailnet.serverUrl}/register/${authId}`]);
  assert.match(page.stdout, new RegExp(`auth register --auth-id ${authId}`));
  await tailnet.control.cli(["auth", "register", "--user", "infra", "--auth-id", authId]);
  await done;
  assert.equal((await client.status()).BackendState, "Running");
});

test("a node renamed by the admin is found under its new name only", { skip }, async () => {
  const node = await tailnet.node("laptop");
  await tailnet.control.cli(["nodes", "rename", "--identifier", String(node.id), "notebook"]);
  await until("the new name resolves", 30, async () => {
    const peers = await first.peers();
    return peers.some((peer) => peer.DNSName === "notebook.acme.internal.") &&
      !peers.some((peer) => peer.DNSName.startsWith("laptop."))
      ? true
      : undefined;
  });
  await first.ping("notebook");
});

test("a node may be tagged, and its peers see the tag", { skip }, async () => {
  const node = await tailnet.node("notebook");
  await tailnet.control.cli(["nodes", "tag", "--identifier", String(node.id), "--tags", "tag:server"]);
  await until("the tag is seen", 30, async () =>
    (await first.peers()).some((peer) => peer.Tags?.includes("tag:server")) ? true : undefined,
  );
});

test("an expired key asks for a login that keeps the node and its addresses", { skip }, async () => {
  assert.ok(typeof programs !== "string");
  const client = await tailnet.join("expiring", programs);
  const before = await tailnet.node("expiring");
  await tailnet.control.cli(["nodes", "expire", "--identifier", String(before.id)]);
  await until("the client needs a login", 30, async () =>
    (await client.status()).BackendState === "NeedsLogin" ? true : undefined,
  );
  const { authId, done } = await startLogin(client, ["--force-reauth"]);
  await tailnet.control.cli(["auth", "register", "--user", "infra", "--auth-id", authId]);
  await done;
  const again = await tailnet.node("expiring");
  assert.equal(again.id, before.id);
  assert.deepEqual(again.ip_addresses, before.ip_addresses);
  await client.ping(await first.address());
});

test("logging out and in again with a key keeps the node and its addresses", { skip }, async () => {
  const client = tailnet.clients.get("expiring");
  assert.ok(client !== undefined);
  const before = await tailnet.node("expiring");
  await client.run(["logout"]);
  await until("the peer is offline for others", 20, async () =>
    (await first.peers()).some((peer) => peer.DNSName.startsWith("expiring.") && peer.Online) ? undefined : true,
  );
  await client.up(tailnet.serverUrl, await tailnet.control.createKey(tailnet.user));
  const again = await tailnet.node("expiring");
  assert.equal(again.id, before.id);
  assert.deepEqual(again.ip_addresses, before.ip_addresses);
});

test("a forced re-login with a key rotates the node key and keeps traffic possible", { skip }, async () => {
  const client = tailnet.clients.get("expiring");
  assert.ok(client !== undefined);
  const before = await tailnet.node("expiring");
  await client.up(tailnet.serverUrl, await tailnet.control.createKey(tailnet.user), ["--force-reauth"]);
  assert.equal((await tailnet.node("expiring")).id, before.id);
  await until("the first node reaches it again", 30, async () => {
    const pong = await first.run(["ping", "--timeout=3s", "-c", "3", "expiring"], { check: false });
    return pong.stdout.includes("pong from") ? true : undefined;
  });
});

test("a single-use key lets in one machine and refuses the second with a reason", { skip }, async () => {
  assert.ok(typeof programs !== "string");
  const key = await tailnet.control.createKey(tailnet.user, ["--expiration", "1h"]);
  const one = await tailnet.client(tailnet.host("one"), programs);
  await one.up(tailnet.serverUrl, key);
  const two = await tailnet.client(tailnet.host("two"), programs);
  const refused = await two.run(["up", `--login-server=${tailnet.serverUrl}`, `--auth-key=${key}`, "--timeout=60s"], {
    check: false,
  });
  assert.notEqual(refused.status, 0);
  assert.match(refused.stdout + refused.stderr, /authkey already used/);
  await two.stop();
});

test("a tagged key makes a tagged node without an owner", { skip }, async () => {
  assert.ok(typeof programs !== "string");
  await tailnet.join("tagged", programs, { key: ["--tags", "tag:ci", "--reusable"] });
  assert.deepEqual((await tailnet.node("tagged")).tags, ["tag:ci"]);
});

test("the oldest supported client joins, is seen and talks with the newest", { skip: skipOld }, async () => {
  assert.ok(typeof oldPrograms !== "string");
  const old = await tailnet.join("oldtimer", oldPrograms);
  await first.ping(await old.address());
  await old.ping(await first.address());
  assert.ok((await old.peers()).length >= 3);
});

test("an ephemeral node is gone at once when it logs out, and by itself when it stays away", { skip }, async () => {
  assert.ok(typeof programs !== "string");
  const leaving = await tailnet.join("leaving", programs, { key: ["--ephemeral", "--reusable"] });
  await leaving.run(["logout"]);
  await until("the one that logged out is gone", 10, async () => ((await exists("leaving")) ? undefined : true));
  await until("the silent one is gone", 100, async () => ((await exists("silent")) ? undefined : true));
});

async function exists(name: string): Promise<boolean> {
  const nodes = await tailnet.control.cliJson<readonly { given_name: string }[] | null>(["nodes", "list"]);
  return (nodes ?? []).some((node) => node.given_name === name);
}
