// Ten thousand that come back in one moment: after every connection was dropped, and after the server was killed. What
// that costs beside the same clients connecting a hundred at a time, how long the last one waits, and whether the server
// answers administrators meanwhile.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fetchServerKey } from "../sim/dial.ts";
import { prepare } from "./layout.ts";
import { type Layout, wallClock } from "./protocol.ts";
import { ServerProcess } from "./server-process.ts";
import { SimPool } from "./sim-pool.ts";
import { number } from "./table.ts";
import { watchAnswers } from "./watch-answers.ts";

export interface StormResult {
  readonly nodes: number;
  readonly marks: Readonly<Record<keyof typeof labels, number>>;
  readonly differences: number;
  readonly compared: number;
  readonly samples: readonly string[];
}

const labels = {
  connectCpu: { label: "connected 100 at a time: server CPU", unit: "s", mark: undefined },
  connectClientCpu: { label: "(the clients' own CPU for it)", unit: "s", mark: undefined },
  connectWall: { label: "connected 100 at a time: until all see all online", unit: "s", mark: undefined },
  stormCpu: { label: "all at once: server CPU until all is quiet", unit: "s", mark: undefined },
  stormClientCpu: { label: "(the clients' own CPU for it, and to compare)", unit: "s", mark: undefined },
  stormRatio: { label: "all at once: that, as a multiple of 100 at a time", unit: "", mark: 1.5 },
  stormWall: { label: "all at once: until the last full map (the longest wait)", unit: "s", mark: undefined },
  stormDials: { label: "all at once: connections a node needed", unit: "", mark: undefined },
  stormMessages: { label: "all at once: map messages a node got", unit: "", mark: undefined },
  stormHandshakes: { label: "all at once: handshakes done for each node", unit: "", mark: undefined },
  stormHealth: { label: "all at once: slowest answer to a health check", unit: "s", mark: 1 },
  stormCommand: { label: "all at once: slowest `hawser health`", unit: "s", mark: 1 },
  stormList: { label: "all at once: slowest `hawser nodes list`", unit: "s", mark: undefined },
  stormCameBack: { label: "all at once: streams the server ended, opened again", unit: "", mark: undefined },
  stormRss: { label: "all at once: server RSS after it", unit: "MB", mark: undefined },
  restartReady: { label: "killed and started again: until it answers", unit: "s", mark: undefined },
  restartWall: { label: "killed and started again: until the last node is back", unit: "s", mark: undefined },
  restartCpu: { label: "killed and started again: server CPU until all is quiet", unit: "s", mark: undefined },
  restartDials: { label: "killed and started again: connections a node needed", unit: "", mark: undefined },
  restartHealth: { label: "killed and started again: slowest answer to a health check", unit: "s", mark: 1 },
  restartCommand: { label: "killed and started again: slowest `hawser health`", unit: "s", mark: 1 },
} as const;

export async function run(options: {
  readonly sizes: readonly number[];
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
}): Promise<{ readonly results: readonly StormResult[]; readonly exitCode: number }> {
  const { print, say } = options;
  const results: StormResult[] = [];
  let exitCode = 0;
  for (const nodes of options.sizes) {
    const result = await storm({ nodes, group: 300, hub: true }, (text) => say(`${nodes} nodes: ${text}`));
    results.push(result);
    print(`${nodes} nodes: ${result.compared} peers compared, ${result.differences} differences`);
    result.samples.forEach((sample) => print(`  ${sample}`));
    for (const [name, { label, unit, mark }] of Object.entries(labels)) {
      const value = Object.entries(result.marks).find(([key]) => key === name)?.[1] ?? NaN;
      const over = mark !== undefined && value > mark;
      print(
        `  ${label.padEnd(62)}${number(value).padStart(10)} ${unit.padEnd(3)}${mark === undefined ? "" : ` mark ${mark}${over ? "  OVER" : ""}`}`,
      );
      exitCode = over || result.differences > 0 ? 1 : exitCode;
    }
  }
  return { results, exitCode };
}

async function storm(layout: Layout, say: (text: string) => void): Promise<StormResult> {
  const server = await ServerProcess.start();
  let pool: SimPool | undefined;
  try {
    const authKeys = await prepare(server, layout);
    const serverKeyHex = Buffer.from(await fetchServerKey(server.url, 142)).toString("hex");
    pool = await SimPool.start({ url: server.url.href, serverKeyHex, authKeys, layout, background: true });
    return await measure(layout, server, pool, say);
  } finally {
    await pool?.stop();
    await server.discard();
  }
}

async function measure(
  { nodes }: Layout,
  server: ServerProcess,
  pool: SimPool,
  say: (text: string) => void,
): Promise<StormResult> {
  say("registering");
  await pool.all({ kind: "register", concurrency: 50 });
  // A server chooses its edge threads at its start, by the nodes it knows then: a tailnet this large was not born today.
  await server.end();
  await server.launch();
  await settle();
  say("connecting");
  const meterStart = await pool.meter();
  const connectStart = { at: wallClock(), cpu: server.usage().cpu };
  const { at: connectedAt } = await pool.all({ kind: "connect", concurrency: 100 });
  await pool.all({ kind: "await-quiet", ms: 1500 });
  const connectCpu = server.usage().cpu - connectStart.cpu;
  await settle();

  joinControlGroup(server);
  say("reconnecting all at once");
  const before = await pool.meter();
  const countsBefore = await server.metrics();
  const answers = watchAnswers(server);
  const stormStart = { at: wallClock(), cpu: server.usage().cpu };
  const { differences = 0, compared = 0, samples = [], cameBack = 0, at } = await pool.reconnect();
  const stormEnd = server.usage();
  const stormCpu = stormEnd.cpu - stormStart.cpu;
  const slowest = await answers.stop();
  const after = await pool.meter();
  const counts = await server.metrics();
  const handshakes = "hawser_control_connections_opened_total";

  say("killed and started again");
  const beforeRestart = await pool.meter();
  const survived = pool.all({ kind: "survive" });
  await server.end("SIGKILL");
  const restartedAt = wallClock();
  const readyMs = await server.launch();
  joinControlGroup(server);
  const restartAnswers = watchAnswers(server);
  const { at: backAt } = await survived;
  const restartCpu = server.usage().cpu;
  const afterRestart = await pool.meter();
  const slowestAfter = await restartAnswers.stop();

  return {
    nodes,
    differences,
    compared,
    samples,
    marks: {
      connectCpu,
      connectClientCpu: before.cpu - meterStart.cpu,
      connectWall: (connectedAt - connectStart.at) / 1000,
      stormCpu,
      stormClientCpu: after.cpu - before.cpu,
      stormRatio: stormCpu / connectCpu,
      stormWall: (at - stormStart.at) / 1000,
      stormDials: (after.connections - before.connections) / nodes,
      stormMessages: (after.messages - before.messages) / nodes,
      stormHandshakes: ((counts.get(handshakes) ?? NaN) - (countsBefore.get(handshakes) ?? NaN)) / nodes,
      stormHealth: slowest.health,
      stormCommand: slowest.command,
      stormList: slowest.list,
      stormCameBack: cameBack,
      stormRss: stormEnd.rss / 1e6,
      restartReady: readyMs / 1000,
      restartWall: (backAt - restartedAt) / 1000,
      restartCpu,
      restartDials: (afterRestart.connections - beforeRestart.connections) / nodes,
      restartHealth: slowestAfter.health,
      restartCommand: slowestAfter.command,
    },
  };
}

/** HAWSER_BENCH_CGROUP, a folder of a control group with less than a processor, shows a server on a smaller machine. */
function joinControlGroup(server: ServerProcess): void {
  const folder = process.env["HAWSER_BENCH_CGROUP"];
  if (folder !== undefined) {
    writeFileSync(join(folder, "cgroup.procs"), String(server.pid));
  }
}

/** For timers and collections that follow. */
function settle(): Promise<void> {
  return new Promise((done) => setTimeout(done, 3000));
}
