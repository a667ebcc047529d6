// What connections on threads of their own bring: the same fan-outs with the connections on the main thread, on one
// edge thread and on two. The mark is the busiest thread's processor time per message, against that of the server
// that does everything on one.
import { fetchServerKey } from "../sim/dial.ts";
import { prepare } from "./layout.ts";
import type { Layout } from "./protocol.ts";
import { ServerProcess } from "./server-process.ts";
import { SimPool } from "./sim-pool.ts";
import { number } from "./table.ts";
import { spentBetween, threadUsage, type ThreadUsage } from "./thread-usage.ts";

/** Two edge threads: the busiest thread's time per message, as a part of what one thread alone spends. */
const mark = 0.6;
const moves = 60;
/** Before a server is measured: its code is compiled by then. */
const warmUpMoves = 20;

export interface ThreadsResult {
  readonly nodes: number;
  /** 0: everything on the main thread. */
  readonly edgeThreads: number;
  readonly messages: number;
  /** Microseconds of processor time per message: all threads, the busiest, and each that counts. */
  readonly perMessage: number;
  readonly busiestPerMessage: number;
  readonly threads: readonly { readonly name: string; readonly perMessage: number }[];
  /** Seconds of processor time to connect all: all threads, and the busiest. */
  readonly connectCpu: number;
  readonly busiestConnectCpu: number;
  readonly differences: number;
  readonly compared: number;
}

export async function run(options: {
  readonly sizes: readonly number[];
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
}): Promise<{ readonly results: readonly ThreadsResult[]; readonly exitCode: number }> {
  const { print, say } = options;
  const results: ThreadsResult[] = [];
  let exitCode = 0;
  for (const nodes of options.sizes) {
    print(`${nodes} nodes that all see each other, ${moves} endpoint changes`);
    print("edge threads  all µs/message  busiest µs/message  of one thread  connect all s  busiest s  differences");
    let alone: number | undefined;
    for (const edgeThreads of [0, 1, 2]) {
      const result = await measure(nodes, edgeThreads, say);
      results.push(result);
      alone ??= result.busiestPerMessage;
      const ratio = result.busiestPerMessage / alone;
      const cells = [result.perMessage, result.busiestPerMessage, ratio, result.connectCpu, result.busiestConnectCpu];
      print(
        `${String(edgeThreads).padStart(12)}${cells.map((cell) => number(cell).padStart(15)).join("")}${String(result.differences).padStart(13)}`,
      );
      print(
        `              ${result.threads.map(({ name, perMessage }) => `${name} ${number(perMessage)}`).join(", ")}`,
      );
      if (result.differences > 0 || (edgeThreads === 2 && ratio > mark)) {
        exitCode = 1;
      }
    }
  }
  print(`mark: two edge threads, the busiest ≤ ${mark} of one thread's time per message`);
  return { results, exitCode };
}

async function measure(nodes: number, edgeThreads: number, say: (line: string) => void): Promise<ThreadsResult> {
  const layout: Layout = { nodes, group: nodes, hub: false };
  const server = await ServerProcess.start({ extraConfig: `control: { threads: ${edgeThreads} }` });
  let pool: SimPool | undefined;
  try {
    const authKeys = await prepare(server, layout);
    const serverKeyHex = Buffer.from(await fetchServerKey(server.url, 142)).toString("hex");
    pool = await SimPool.start({ url: server.url.href, serverKeyHex, authKeys, layout });
    say(`${nodes} nodes, ${edgeThreads} edge threads: registering and connecting`);
    await pool.all({ kind: "register", concurrency: 50 });
    const registered = threadUsage(server.pid);
    await pool.all({ kind: "connect", concurrency: 100 });
    await pool.all({ kind: "await-quiet", ms: 1500 });
    const connecting = spentBetween(registered, threadUsage(server.pid));

    await fanOut(pool, nodes, 0, warmUpMoves);
    say(`${nodes} nodes, ${edgeThreads} edge threads: changes`);
    const { messages: messagesBefore } = await pool.meter();
    const before = threadUsage(server.pid);
    await fanOut(pool, nodes, warmUpMoves, moves);
    const spent = spentBetween(before, threadUsage(server.pid));
    const messages = (await pool.meter()).messages - messagesBefore;

    say(`${nodes} nodes, ${edgeThreads} edge threads: reconnecting and comparing`);
    const { differences = 0, compared = 0 } = await pool.reconnect();
    const perMessage = (cpu: number): number => (cpu / messages) * 1e6;
    return {
      nodes,
      edgeThreads,
      messages,
      perMessage: perMessage(sum(spent)),
      busiestPerMessage: perMessage(spent[0]?.cpu ?? 0),
      threads: spent.slice(0, 4).map(({ name, cpu }) => ({ name, perMessage: perMessage(cpu) })),
      connectCpu: sum(connecting),
      busiestConnectCpu: connecting[0]?.cpu ?? 0,
      differences,
      compared,
    };
  } finally {
    await pool?.stop();
    await server.discard();
  }
}

/** One endpoint change after the other, each until the last peer has it. */
async function fanOut(pool: SimPool, nodes: number, first: number, count: number): Promise<void> {
  for (let index = first; index < first + count; index++) {
    await pool.move((index * 37) % nodes, `198.51.100.${1 + (index % 200)}:${40_000 + index}`);
  }
}

function sum(threads: readonly ThreadUsage[]): number {
  return threads.reduce((total, { cpu }) => total + cpu, 0);
}
