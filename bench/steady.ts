// Changes that keep coming: so many endpoints a second change at members picked at random, in groups of 300 that see
// each other and a hub that all see. Each is timed from its sending to its receipt by the last peer.
import { fetchServerKey } from "../sim/dial.ts";
import { prepare } from "./layout.ts";
import { peersOf, type Layout } from "./protocol.ts";
import { histogramQuantile, quantile } from "./quantiles.ts";
import { ServerProcess } from "./server-process.ts";
import { SimPool } from "./sim-pool.ts";
import { number } from "./table.ts";

/** At the last peer, ms. */
const mark = 250;
const groupSize = 300;
/** The first of them are not counted: code is compiled meanwhile. */
const warmUpSeconds = 3;
/** After the last change, until nobody can still be told of one. */
const settleMs = 3000;

export interface SteadyResult {
  readonly nodes: number;
  readonly rate: number;
  readonly seconds: number;
  readonly changes: number;
  /** Changes that did not reach every peer. */
  readonly lost: number;
  /** From sending to the last peer, ms. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** The server's own account, from a change's acceptance to each peer's bytes in the system's hands, ms. */
  readonly serverP50: number;
  readonly serverP99: number;
  readonly messagesPerChange: number;
  /** Share of one core while the changes came: the server, and the clients. */
  readonly cpu: number;
  readonly clientCpu: number;
  readonly differences: number;
  readonly compared: number;
}

export async function run(options: {
  readonly sizes: readonly number[];
  readonly rate: number;
  readonly seconds: number;
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
}): Promise<{ readonly results: readonly SteadyResult[]; readonly exitCode: number }> {
  const { rate, seconds, print, say } = options;
  const results: SteadyResult[] = [];
  for (const nodes of options.sizes) {
    const result = await measure({ nodes, group: groupSize, hub: true }, rate, seconds, say);
    results.push(result);
    const { p50, p99, max, serverP50, serverP99, cpu, clientCpu } = result;
    print(`${nodes} nodes, each sees ${groupSize}; ${rate} endpoint changes a second for ${seconds} s`);
    print(`  at the last peer: p50 ${ms(p50)}, p99 ${ms(p99)} (mark ≤ ${mark} ms), max ${ms(max)}`);
    print(`  in the server, of each peer: p50 ${ms(serverP50)}, p99 ${ms(serverP99)}`);
    print(
      `  ${number(result.messagesPerChange)} messages a change; server ${number(cpu)} %, clients ${number(clientCpu)} % of a core`,
    );
    print(`  ${result.changes} changes, ${result.lost} that did not reach all`);
    print(`  ${result.compared} peers compared with fresh maps, ${result.differences} differences`);
  }
  const fine = results.every(({ p99, lost, differences }) => p99 <= mark && lost === 0 && differences === 0);
  return { results, exitCode: fine ? 0 : 1 };
}

async function measure(
  layout: Layout,
  rate: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SteadyResult> {
  const { nodes } = layout;
  const server = await ServerProcess.start();
  let pool: SimPool | undefined;
  try {
    const authKeys = await prepare(server, layout);
    const serverKeyHex = Buffer.from(await fetchServerKey(server.url, 142)).toString("hex");
    pool = await SimPool.start({ url: server.url.href, serverKeyHex, authKeys, layout });
    say(`${nodes} nodes: registering`);
    await pool.all({ kind: "register", concurrency: 50 });
    say(`${nodes} nodes: connecting`);
    await pool.all({ kind: "connect", concurrency: 50 });
    await pool.all({ kind: "await-quiet", ms: 1500 });

    say(`${nodes} nodes: ${rate} changes a second`);
    await steadily(pool, layout, rate, warmUpSeconds, 10_000);
    const metricsBefore = await server.metrics();
    const usageBefore = server.usage();
    const meterBefore = await pool.meter();
    const delays = await steadily(pool, layout, rate, seconds, 20_000);
    const meter = await pool.meter();
    const cpu = server.usage().cpu - usageBefore.cpu;
    const metrics = await server.metrics();

    say(`${nodes} nodes: comparing`);
    const { differences = 0, compared = 0 } = await pool.all({ kind: "compare", concurrency: 20 });
    const inServer = (part: number): number =>
      histogramQuantile("hawser_propagation_seconds", metricsBefore, metrics, part) * 1000;
    return {
      nodes,
      rate,
      seconds,
      changes: delays.length,
      lost: delays.filter((delay) => delay === Infinity).length,
      p50: quantile(delays, 0.5),
      p99: quantile(delays, 0.99),
      max: Math.max(...delays),
      serverP50: inServer(0.5),
      serverP99: inServer(0.99),
      messagesPerChange: (meter.messages - meterBefore.messages) / delays.length,
      cpu: (cpu / seconds) * 100,
      clientCpu: ((meter.cpu - meterBefore.cpu) / seconds) * 100,
      differences,
      compared,
    };
  } finally {
    await pool?.stop();
    await server.discard();
  }
}

/** How long each change took to the last peer, ms; Infinity when it did not reach all. */
async function steadily(
  pool: SimPool,
  layout: Layout,
  rate: number,
  seconds: number,
  firstPort: number,
): Promise<readonly number[]> {
  const members = layout.nodes - 1;
  const movers: number[] = [];
  while (movers.length < rate * seconds) {
    // Nobody moves twice in the time that one change may take.
    const recent = movers.slice(-Math.min(rate * 5, Math.floor(members / 2)));
    const mover = Math.floor(Math.random() * members);
    if (!recent.includes(mover)) {
      movers.push(mover);
    }
  }
  const timed = await pool.steadily(movers, firstPort, 1000 / rate, settleMs);
  return timed.map(({ mover, sent, count, last }) => (count === peersOf(mover, layout) ? last - sent : Infinity));
}

function ms(value: number): string {
  return `${number(value)} ms`;
}
