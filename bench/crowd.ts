// Very many sessions that have little to do with each other: every node sees one hub and nothing else. What a session
// costs by itself shows here: its memory, its share of one delta to all, a minute of nothing, and the start of a server
// whose database knows them all.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fetchServerKey } from "../sim/dial.ts";
import type { Layout } from "./protocol.ts";
import { ServerProcess } from "./server-process.ts";
import { SimPool } from "./sim-pool.ts";
import { number } from "./table.ts";
import { wakeUps } from "./thread-usage.ts";

export interface CrowdResult {
  readonly nodes: number;
  readonly marks: Readonly<Record<keyof typeof labels, number>>;
  readonly differences: number;
  readonly compared: number;
}

const labels = {
  registerCpu: { label: "server CPU per registration", unit: "ms", mark: 1 },
  connectCpu: { label: "server CPU to connect all", unit: "s", mark: undefined },
  rss: { label: "server RSS, all connected", unit: "MB", mark: undefined },
  rssPerSession: { label: "server RSS per session above the same server without", unit: "KB", mark: 25 },
  deltaBytes: { label: "one delta to all: bytes per session", unit: "B", mark: undefined },
  deltaCpu: { label: "one delta to all: server CPU (median)", unit: "ms", mark: 200 },
  deltaWall: { label: "one delta to all: until the last has it (median)", unit: "ms", mark: undefined },
  idleCpu: { label: "idle for a minute: share of one core", unit: "%", mark: 3 },
  idleWakeUps: { label: "idle for a minute: the main thread wakes up, a second", unit: "", mark: undefined },
  idleKeepAlives: { label: "idle for a minute: signs of life sent, a second", unit: "", mark: undefined },
  restartReady: { label: "killed and started again: until it answers", unit: "s", mark: 3 },
  restartCpu: { label: "killed and started again: server CPU until then", unit: "s", mark: undefined },
} as const;

/** With these a delta has about 300 bytes. */
const further = Array.from({ length: 9 }, (_, index) => `198.51.100.${201 + index}:${41_641 + index}`);
const deltas = 9;
/** Longer than a server may hold a change back to merge it with the next. */
const deltaEveryMs = 1500;
const idleSeconds = 60;

export async function run(options: {
  readonly sizes: readonly number[];
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
}): Promise<{ readonly results: readonly CrowdResult[]; readonly exitCode: number }> {
  const { print, say } = options;
  const results: CrowdResult[] = [];
  let exitCode = 0;
  for (const nodes of options.sizes) {
    const result = await measure(nodes, (text) => say(`${nodes} nodes: ${text}`));
    results.push(result);
    print(`${nodes} nodes: ${result.compared} peers compared, ${result.differences} differences`);
    for (const [name, { label, unit, mark }] of Object.entries(labels)) {
      const value = Object.entries(result.marks).find(([key]) => key === name)?.[1] ?? NaN;
      const over = mark !== undefined && value > mark;
      print(
        `  ${label.padEnd(56)}${number(value).padStart(10)} ${unit.padEnd(3)}${mark === undefined ? "" : ` mark ${mark}${over ? "  OVER" : ""}`}`,
      );
      exitCode = over || result.differences > 0 ? 1 : exitCode;
    }
  }
  return { results, exitCode };
}

async function measure(nodes: number, say: (text: string) => void): Promise<CrowdResult> {
  const layout: Layout = { nodes, group: 1, hub: true };
  const server = await ServerProcess.start();
  let pool: SimPool | undefined;
  try {
    const empty = server.usage();
    const authKeys = await prepareCrowd(server, nodes);
    const serverKeyHex = Buffer.from(await fetchServerKey(server.url, 142)).toString("hex");
    pool = await SimPool.start({ url: server.url.href, serverKeyHex, authKeys, layout });
    say("registering");
    await pool.all({ kind: "register", concurrency: 50 });
    const registered = server.usage();
    // What registering left behind is no part of a session: the process is started anew.
    await server.end("SIGKILL");
    await server.launch();
    await settle();
    const before = server.usage();
    say("connecting");
    await pool.all({ kind: "connect", concurrency: 50 });
    await pool.all({ kind: "await-quiet", ms: 1500 });
    await settle();
    const connected = server.usage();

    say("deltas");
    const cpus: number[] = [];
    const walls: number[] = [];
    const { messageBytes: bytesBefore } = await pool.meter();
    for (let index = 0; index < deltas; index++) {
      const start = server.usage().cpu;
      walls.push(await pool.move(nodes - 1, `198.51.100.200:${50_000 + index}`, further));
      cpus.push(server.usage().cpu - start);
      await new Promise((done) => setTimeout(done, deltaEveryMs));
    }
    const deltaBytes = ((await pool.meter()).messageBytes - bytesBefore) / deltas / (nodes - 1);

    say("idle for a minute");
    const aliveStart = keepAlives(await server.metrics());
    const wakeUpsStart = wakeUps(server.pid);
    const idleStart = server.usage().cpu;
    await new Promise((done) => setTimeout(done, idleSeconds * 1000));
    const idleCpu = (server.usage().cpu - idleStart) / idleSeconds;
    const idleWakeUps = (wakeUps(server.pid) - wakeUpsStart) / idleSeconds;
    const idleKeepAlives = (keepAlives(await server.metrics()) - aliveStart) / idleSeconds;

    say("reconnecting and comparing");
    const { differences = 0, compared = 0 } = await pool.reconnect();

    say("killed and started again, nobody there");
    await pool.stop();
    pool = undefined;
    await server.end("SIGKILL");
    const readyMs = await server.launch();
    const restarted = server.usage();
    return {
      nodes,
      differences,
      compared,
      marks: {
        registerCpu: ((registered.cpu - empty.cpu) / nodes) * 1000,
        connectCpu: connected.cpu - before.cpu,
        rss: connected.rss / 1e6,
        rssPerSession: (connected.rss - before.rss) / nodes / 1000,
        deltaBytes,
        deltaCpu: median(cpus) * 1000,
        deltaWall: median(walls),
        idleCpu: idleCpu * 100,
        idleWakeUps,
        idleKeepAlives,
        restartReady: readyMs / 1000,
        restartCpu: restarted.cpu,
      },
    };
  } finally {
    await pool?.stop();
    await server.discard();
  }
}

/** One tag for the crowd, which nobody reaches, and one for the hub, which all reach. */
async function prepareCrowd(server: ServerProcess, nodes: number): Promise<readonly string[]> {
  const user = await server.createUser("bench");
  const owners = [`${user.name}@`];
  const policy = {
    tagOwners: { "tag:crowd": owners, "tag:hub": owners },
    acls: [{ action: "accept", src: ["tag:crowd"], dst: ["tag:hub:*"] }],
  };
  const file = join(server.folder, "policy.hujson");
  writeFileSync(file, JSON.stringify(policy));
  await server.cli("policy", "set", "--file", file);
  const crowd = await server.taggedKey("tag:crowd");
  return [...Array.from({ length: nodes - 1 }, () => crowd), await server.taggedKey("tag:hub")];
}

function keepAlives(metrics: ReadonlyMap<string, number>): number {
  return metrics.get("hawser_netmap_keep_alives_total") ?? NaN;
}

/** For timers and collections that follow a start. */
function settle(): Promise<void> {
  return new Promise((done) => setTimeout(done, 3000));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
