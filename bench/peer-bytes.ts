// What one peer costs in a full map, by member: as JSON, and compressed. Nodes tell what official clients tell of
// themselves; a viewer's peers are taken as it got them, and compressed as the server does it, 64 together.
import { SimClient } from "../sim/client.ts";
import { fetchServerKey } from "../sim/dial.ts";
import { compress } from "../src/wire/zstd.ts";
import type { Hostinfo, MapNode } from "../src/wire/tailcfg.ts";
import { ServerProcess } from "./server-process.ts";
import { number } from "./table.ts";

/** Peers of one block of a full map. */
const blockSize = 64;
/** A joining peer, compressed with others. */
const mark = 450;

export interface PeerBytesResult {
  readonly peers: number;
  /** Bytes of one peer in a block. */
  readonly json: number;
  readonly compressed: number;
  readonly members: readonly {
    readonly name: string;
    readonly json: number;
    /** What it adds to the compressed block, per peer. */
    readonly compressed: number;
  }[];
}

export async function run(options: {
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
}): Promise<{ readonly results: PeerBytesResult; readonly exitCode: number }> {
  const { print, say } = options;
  say(`a viewer of ${blockSize} peers`);
  const results = measure(await peersOfViewer());
  print(`one peer of ${results.peers} in a full map: ${number(results.json)} bytes of JSON,`);
  print(`${number(results.compressed)} compressed (mark for a joining peer ≤ ${mark}), of which by member:`);
  for (const { name, json, compressed } of results.members) {
    print(`  ${name.padEnd(24)}${number(json).padStart(8)}${number(compressed).padStart(8)}`);
  }
  return { results, exitCode: results.compressed <= mark ? 0 : 1 };
}

async function peersOfViewer(): Promise<readonly MapNode[]> {
  const server = await ServerProcess.start();
  const clients: SimClient[] = [];
  try {
    const authKey = await server.reusableKey();
    const serverPublic = await fetchServerKey(server.url, 142);
    for (let index = 0; index <= blockSize; index++) {
      const hostinfo = hostinfoOf(index);
      const client = new SimClient({ url: server.url, serverPublic, hostname: `laptop-${index}`, hostinfo });
      clients.push(client);
      await client.join({ authKey });
      await client.openMap();
      await client.update({ endpoints: endpointsOf(index), netInfo: { PreferredDERP: 999 } });
    }
    const viewer = clients[0];
    await viewer?.openMap();
    return [...(viewer?.netmap.peers.values() ?? [])];
  } finally {
    for (const client of clients) {
      client.close();
    }
    await server.discard();
  }
}

/** Every fourth runs the SSH server. */
function hostinfoOf(index: number): Partial<Hostinfo> {
  const key = Buffer.from(Array.from({ length: 51 }, () => Math.floor(Math.random() * 256))).toString("base64");
  return {
    OSVersion: "6.12.9",
    Package: "dpkg",
    Services: [
      { Proto: "peerapi4", Port: port() },
      { Proto: "peerapi6", Port: port() },
      { Proto: "peerapi-dns-proxy", Port: 1 },
      { Proto: "tcp", Port: 22, Description: "sshd" },
      { Proto: "udp", Port: 5353, Description: "avahi-daemon" },
    ],
    ...(index % 4 === 0 ? { sshHostKeys: [`ssh-ed25519 ${key}`] } : {}),
  };
}

/** Two public ones, two of the local network, one IPv6. */
function endpointsOf(index: number): readonly string[] {
  const host = 1 + (index % 250);
  return [
    `198.51.100.${host}:${port()}`,
    `198.51.100.${host}:41641`,
    `192.168.1.${host}:41641`,
    `172.17.0.1:41641`,
    `[2001:db8:${port().toString(16)}::${host}]:41641`,
  ];
}

function port(): number {
  return 1024 + Math.floor(Math.random() * 60_000);
}

function measure(peers: readonly MapNode[]): PeerBytesResult {
  const json = bytesOf(peers);
  const whole = compressedOf(peers);
  const names = new Set(peers.flatMap((peer) => membersOf(peer)));
  const members = [...names].map((name) => {
    const rest = peers.map((peer) => without(peer, name));
    return {
      name,
      json: (json - bytesOf(rest)) / peers.length,
      compressed: (whole - compressedOf(rest)) / peers.length,
    };
  });
  return {
    peers: peers.length,
    json: json / peers.length,
    compressed: whole / peers.length,
    members: members.sort((a, b) => b.compressed - a.compressed),
  };
}

/** Those of Hostinfo by themselves. */
function membersOf(peer: MapNode): readonly string[] {
  const own = Object.keys(peer).filter((name) => name !== "Hostinfo");
  return [...own, ...Object.keys(peer.Hostinfo ?? {}).map((name) => `Hostinfo.${name}`)];
}

function without(peer: MapNode, member: string): object {
  const drop = (from: object, name: string): object =>
    Object.fromEntries(Object.entries(from).filter(([key]) => key !== name));
  const inside = member.startsWith("Hostinfo.") ? member.slice("Hostinfo.".length) : undefined;
  return inside === undefined ? drop(peer, member) : { ...peer, Hostinfo: drop(peer.Hostinfo ?? {}, inside) };
}

function bytesOf(peers: readonly object[]): number {
  return Buffer.byteLength(JSON.stringify(peers));
}

function compressedOf(peers: readonly object[]): number {
  return compress(Buffer.from(JSON.stringify(peers))).length;
}
