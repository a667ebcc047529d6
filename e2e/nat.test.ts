// Two homes behind NAT routers, the server on the public side: a direct path is found through our STUN; with UDP
// blocked the traffic goes through our relay.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "./client.ts";
import { Control } from "./control.ts";
import { Lab, until } from "./netns.ts";
import type { Host } from "./netns.ts";
import { programsOrReason } from "./plain-tailnet.ts";

const programs = programsOrReason();
const skip = typeof programs === "string" ? programs : false;
let lab: Lab;
let control: Control;
let left: Client;
let right: Client;
const gateways: Host[] = [];

before(async () => {
  if (typeof programs === "string") {
    return;
  }
  lab = new Lab("nat");
  control = new Control(lab.host("control", { net: "198.51.100.1/24" }), {
    serverUrl: "http://198.51.100.1:8080",
  });
  await control.start();
  const user = await control.createUser("infra");
  const key = await control.createKey(user);
  left = await home(programs, "left", "198.51.100.10", "192.168.1");
  right = await home(programs, "right", "198.51.100.20", "192.168.2");
  for (const client of [left, right]) {
    await client.up("http://198.51.100.1:8080", key);
  }
});

after(() => lab?.close());

/** A home router that masquerades, and a machine behind it. */
async function home(
  client: Exclude<typeof programs, string>,
  name: string,
  outside: string,
  inside: string,
): Promise<Client> {
  const gateway = lab.host(`gw${name}`, { net: `${outside}/24`, [name]: `${inside}.1/24` });
  await gateway.run("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
  await gateway.run("iptables", ["-w", "-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE"]);
  // As home routers do: a stray packet from outside must not spoil the port mapping.
  await gateway.run("iptables", ["-w", "-A", "INPUT", "-i", "eth0", "-p", "udp", "-j", "DROP"]);
  gateways.push(gateway);
  const machine = new Client(lab.host(name, { [name]: `${inside}.2/24` }, `${inside}.1`), { programs: client });
  await machine.start();
  return machine;
}

test("STUN tells both machines their outside address", { skip }, async () => {
  for (const [client, outside] of [
    [left, "198.51.100.10"],
    [right, "198.51.100.20"],
  ] as const) {
    const told = new RegExp(`"GlobalV4": "${outside.replaceAll(".", "\\.")}:`);
    await until(`${client.host.name} is told ${outside}`, 30, async () => {
      const report = await client.run(["netcheck", "--format=json"]);
      return told.test(report.stdout) ? true : undefined;
    });
  }
});

test("two NATs are crossed by a direct path", { skip }, async () => {
  const pong = await left.ping(await right.address(), ["-c", "30", "--until-direct"]);
  assert.match(pong, /via 198\.51\.100\.20:\d+/);
});

test("with UDP blocked, traffic goes through our relay", { skip }, async () => {
  for (const gateway of gateways) {
    await gateway.run("iptables", ["-w", "-I", "FORWARD", "-p", "udp", "-j", "DROP"]);
  }
  const address = await right.address();
  await until("a pong through the relay", 40, async () => {
    const pong = await left.run(["ping", "--timeout=3s", "-c", "1", "--until-direct=false", address], { check: false });
    return /via DERP/.test(pong.stdout) ? true : undefined;
  });
  // Real packets, not only discovery: ICMP inside the tunnel.
  await until("real packets pass", 30, async () => {
    const ping = await left.host.run("ping", ["-c", "2", "-W", "3", address], { check: false });
    return ping.status === 0 ? true : undefined;
  });
});

test("a restart of the server interrupts relayed traffic for seconds only", { skip }, async () => {
  const address = await right.address();
  assert.equal(await control.server?.stop("SIGTERM"), 0, control.server?.output ?? "");
  const cut = await left.host.run("ping", ["-c", "1", "-W", "1", address], { check: false });
  assert.notEqual(cut.status, 0, "there is no other path");
  await control.start();
  await until("real packets pass again", 15, async () => {
    const ping = await left.host.run("ping", ["-c", "1", "-W", "1", address], { check: false });
    return ping.status === 0 ? true : undefined;
  });
});

test("the direct path returns when UDP does", { skip }, async () => {
  for (const gateway of gateways) {
    await gateway.run("iptables", ["-w", "-D", "FORWARD", "-p", "udp", "-j", "DROP"]);
  }
  const address = await right.address();
  await until("a direct pong", 75, async () => {
    const pong = await left.run(["ping", "--timeout=3s", "-c", "3", address], { check: false });
    return /via 198\.51\.100\.20:/.test(pong.stdout) ? true : undefined;
  });
});
