// Three machines, as a newcomer sets them up: a control server behind a TLS proxy with a self-signed certificate, an
// application, a client. Real clients, unmodified.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { oldestClient } from "../scripts/clients.ts";
import { Client } from "./client.ts";
import { Control, selfSigned, startTlsFront } from "./control.ts";
import { Lab, until } from "./netns.ts";
import { programsOrReason } from "./plain-tailnet.ts";
import { serveTailnetPage } from "./web.ts";

const programs = programsOrReason();
const skip = typeof programs === "string" ? programs : false;

const lan = { control: "10.10.0.1", app: "10.10.0.2", client: "10.10.0.3" };
let lab: Lab;
let control: Control;
let caFile: string;
let key: string;
let onControl: Client;
let app: Client;
let client: Client;

before(async () => {
  if (typeof programs === "string") {
    return;
  }
  lab = new Lab("three");
  const hosts = {
    control: lab.host("control", { lan: `${lan.control}/24,fd10::1/64` }),
    app: lab.host("app", { lan: `${lan.app}/24,fd10::2/64` }),
    client: lab.host("client", { lan: `${lan.client}/24,fd10::3/64` }),
  };
  for (const host of Object.values(hosts)) {
    host.addHosts(`${lan.control} control\nfd10::1 control\n`);
  }
  const tls = selfSigned(`${hosts.control.folder}/tls`, ["control", lan.control]);
  control = new Control(hosts.control, { serverUrl: "https://control" });
  await control.start();
  await startTlsFront(hosts.control, tls);
  await serveTailnetPage(hosts.app, "hello from app");
  const user = await control.createUser("infra");
  key = await control.createKey(user);
  caFile = tls.cert;
  onControl = new Client(hosts.control, { programs, caFile });
  app = new Client(hosts.app, { programs, caFile });
  client = new Client(hosts.client, { programs, caFile });
  for (const node of [onControl, app, client]) {
    await node.start();
    await node.up("https://control", key);
  }
});

after(async () => {
  if (process.env["HAWSER_E2E_VERBOSE"] !== undefined) {
    console.error(control?.server?.output, client?.daemon.output);
  }
  await lab?.close();
});

test("all three join with a reusable key and see each other online", { skip }, async () => {
  for (const node of [onControl, app, client]) {
    await until(`${node.host.name} sees two peers online`, 15, async () => {
      const peers = await node.peers();
      return peers.length === 2 && peers.every((peer) => peer.Online) ? true : undefined;
    });
  }
});

test("each pings each, by a direct path", { skip }, async () => {
  for (const from of [onControl, app, client]) {
    for (const to of [onControl, app, client]) {
      if (from !== to) {
        const pong = await from.ping(await to.address());
        assert.match(pong, /via 10\.10\.0\.\d+:41641|via \[fd10::\d\]:41641/);
      }
    }
  }
});

test("a page is reached by its MagicDNS name, full and short", { skip }, async () => {
  for (const name of ["app.acme.internal", "app"]) {
    const page = await client.host.run("curl", ["-fsS", "-m", "10", `http://${name}/`]);
    assert.match(page.stdout, /hello from app/);
  }
});

test("the same page is refused over the plain LAN", { skip }, async () => {
  const page = await client.host.run("curl", [
    "-s",
    "-m",
    "5",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
    `http://${lan.app}/`,
  ]);
  assert.equal(page.stdout, "403");
});

test("IPv6 works inside the tailnet", { skip }, async () => {
  const address = await app.address(6);
  const page = await client.host.run("curl", ["-fsS", "-m", "10", `http://[${address}]/`]);
  assert.match(page.stdout, /hello from app/);
});

test("addresses come from the configured prefixes", { skip }, async () => {
  assert.match(await client.address(4), /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
  assert.match(await client.address(6), /^fd7a:115c:a1e0:/);
});

const oldPrograms = programsOrReason(oldestClient);
const skipOld = typeof oldPrograms === "string" ? oldPrograms : skip;

test(
  "the oldest client joins through the proxy too, and has the relay behind it as its home",
  { skip: skipOld },
  async () => {
    assert.ok(typeof oldPrograms !== "string");
    const host = lab.host("old", { lan: "10.10.0.4/24" });
    host.addHosts(`${lan.control} control\n`);
    const old = new Client(host, { programs: oldPrograms, caFile });
    await old.start();
    await old.up("https://control", key);
    await until("the old client has a home relay", 20, async () =>
      (await old.status()).Self.Relay === "" ? undefined : true,
    );
    assert.match(await old.ping(await app.address()), /pong from app/);
    assert.match(await client.ping(await old.address()), /pong from old/);
  },
);

test("every node has the embedded relay as its home", { skip }, async () => {
  for (const node of [onControl, app, client]) {
    await until(`${node.host.name} has a home relay`, 20, async () =>
      (await node.status()).Self.Relay === "" ? undefined : true,
    );
  }
});
