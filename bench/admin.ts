// What the admin interface costs: single-node and user reads at a steady rate with 1,000 nodes in the database, and
// `nodes list` of 10,000 nodes from the command to its last line. The database is filled through the store; the server
// is the real one in its own process.
import { Agent, request } from "node:http";
import { join } from "node:path";
import { formatAddr, parseAddr } from "../src/ip/index.ts";
import type { Addr } from "../src/ip/index.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import type { NodeRecord, User } from "../src/tailnet/model.ts";
import type { Write } from "../src/tailnet/store.ts";
import type { NodeId, UserId } from "../src/wire/ids.ts";
import { machineKeyText, nodeKeyText } from "../src/wire/keys.ts";
import { ServerProcess } from "./server-process.ts";

export interface AdminResult {
  readonly nodes: number;
  readonly requestsPerSecond: number;
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuPerRequestMs: number;
  readonly listNodes: number;
  readonly listMs: number;
  readonly listBytes: number;
}

const users = 50;
const rate = 200;
const seconds = 10;

export async function admin(say: (text: string) => void): Promise<AdminResult> {
  say("1,000 nodes: reads at 200 a second");
  const reads = await withNodes(1000, measureReads);
  say("10,000 nodes: nodes list");
  const list = await withNodes(10_000, measureList);
  return { nodes: 1000, requestsPerSecond: rate, ...reads, listNodes: 10_000, ...list };
}

async function withNodes<Answer>(count: number, work: (server: ServerProcess) => Promise<Answer>): Promise<Answer> {
  const server = await ServerProcess.start();
  try {
    await server.end("SIGTERM");
    await fill(join(server.folder, "db.sqlite"), count);
    await server.launch();
    return await work(server);
  } finally {
    await server.discard();
  }
}

async function fill(path: string, count: number): Promise<void> {
  const store = await openSqliteStore({ path });
  const owners = Array.from({ length: users }, (_, index) => index + 1);
  const writes: Write[] = [
    ...owners.map((id): Write => ({ kind: "put-user", user: userOf(id) })),
    ...Array.from({ length: count }, (_, index): Write => ({ kind: "put-node", node: nodeOf(index + 1) })),
  ];
  const outcome = await store.commit([writes]);
  await store.close();
  if (!outcome.ok) {
    throw new Error(`the database could not be filled: ${JSON.stringify(outcome.refused)}`);
  }
}

function userOf(id: number): User {
  const more = { displayName: "", email: `user${id}@example.com`, providerId: "", provider: "", profilePicUrl: "" };
  return { id: id as UserId, name: `user${id}`, ...more, role: "member", groups: [], createdAt: Date.now() };
}

function nodeOf(id: number): NodeRecord {
  const raw = new Uint8Array(32);
  new DataView(raw.buffer).setUint32(0, id);
  return {
    id: id as NodeId,
    stableId: `n${id}`,
    machineKey: machineKeyText(raw),
    nodeKey: nodeKeyText(raw),
    nodeLockKey: null,
    userId: ((id % users) + 1) as UserId,
    tags: [],
    givenName: `node-${id}`,
    nameFixed: false,
    ipv4: address(`100.64.${(id >> 8) + 1}.${id & 255}`),
    ipv6: address(`fd7a:115c:a1e0::1:${id.toString(16)}`),
    registerMethod: "authkey",
    authKeyId: null,
    ephemeral: false,
    createdAt: Date.now(),
    expiry: null,
    approvedRoutes: [],
  };
}

function address(text: string): Addr {
  const addr = parseAddr(text);
  if (addr === undefined || formatAddr(addr) !== text) {
    throw new Error(`${text} is no address in canonical form`);
  }
  return addr;
}

async function measureReads(
  server: ServerProcess,
): Promise<Pick<AdminResult, "requests" | "p50Ms" | "p99Ms" | "cpuPerRequestMs">> {
  const key = (await server.cli("apikeys", "create")).trim();
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const get = (path: string): Promise<number> => timedGet(server.url, path, key, agent);
  // The first requests load what is loaded on demand.
  for (let i = 0; i < 100; i++) {
    await get(`/api/v1/node/${i + 1}`);
  }
  const before = server.usage();
  const times: Promise<number>[] = [];
  const start = performance.now();
  for (let index = 0; index < rate * seconds; index++) {
    const due = start + (index * 1000) / rate;
    await new Promise((wake) => setTimeout(wake, Math.max(0, due - performance.now())));
    times.push(get(index % 2 === 0 ? `/api/v1/node/${(index % 1000) + 1}` : `/api/v1/user?id=${(index % users) + 1}`));
  }
  const sorted = (await Promise.all(times)).sort((a, b) => a - b);
  const after = server.usage();
  agent.destroy();
  return {
    requests: sorted.length,
    p50Ms: sorted[Math.floor(sorted.length / 2)] ?? 0,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    cpuPerRequestMs: ((after.cpu - before.cpu) * 1000) / sorted.length,
  };
}

/** Milliseconds to the last byte; throws when the answer is not 200. */
function timedGet(url: URL, path: string, key: string, agent: Agent): Promise<number> {
  const start = performance.now();
  return new Promise((done, fail) => {
    const outgoing = request(new URL(path, url), { agent, headers: { authorization: `Bearer ${key}` } }, (answer) => {
      answer.resume();
      answer.on("end", () =>
        answer.statusCode === 200 ? done(performance.now() - start) : fail(new Error(`${path}: ${answer.statusCode}`)),
      );
    });
    outgoing.on("error", fail);
    outgoing.end();
  });
}

async function measureList(server: ServerProcess): Promise<Pick<AdminResult, "listMs" | "listBytes">> {
  await server.cli("nodes", "list", "--output", "json");
  const times: number[] = [];
  let bytes = 0;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    bytes = (await server.cli("nodes", "list", "--output", "json")).length;
    times.push(performance.now() - start);
  }
  return { listMs: times.sort((a, b) => a - b)[1] ?? 0, listBytes: bytes };
}

export function adminTable(result: AdminResult): string {
  const rows = [
    ["single reads at 200/s, 1,000 nodes: p50", `${result.p50Ms.toFixed(1)} ms`, ""],
    ["single reads at 200/s, 1,000 nodes: p99", `${result.p99Ms.toFixed(1)} ms`, "≤ 50 ms"],
    ["server CPU per request", `${result.cpuPerRequestMs.toFixed(2)} ms`, ""],
    [`nodes list of ${result.listNodes}, end to end`, `${result.listMs.toFixed(0)} ms`, "≤ 500 ms"],
  ];
  return rows
    .map(([what, value, mark]) => `${(what ?? "").padEnd(46)}${(value ?? "").padStart(10)}  ${mark}`)
    .join("\n");
}
