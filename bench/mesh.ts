// Nodes that see each other, all of them or in groups, from the first registration to all of them coming back at
// once, and after the server was killed.
import { fetchServerKey } from "../sim/dial.ts";
import { prepare } from "./layout.ts";
import { peersOf, wallClock, type Layout } from "./protocol.ts";
import { histogramQuantile, quantile } from "./quantiles.ts";
import { ServerProcess } from "./server-process.ts";
import { SimPool } from "./sim-pool.ts";

/** One size's marks, by name; see `meshMarks` for what they mean. */
export type Marks = Readonly<Record<string, number>>;

export interface MeshResult {
  readonly nodes: number;
  readonly marks: Marks;
  readonly differences: number;
  readonly compared: number;
  readonly samples: readonly string[];
}

export const meshMarks: Readonly<Record<string, { readonly label: string; readonly unit: string }>> = {
  registerCpu: { label: "server CPU per registration", unit: "ms" },
  connectCpu: { label: "server CPU to connect all", unit: "s" },
  connectClientCpu: { label: "(the clients' own CPU to connect all)", unit: "s" },
  connectWall: { label: "wall time until all see all online", unit: "s" },
  connectBytes: { label: "bytes to clients to connect all", unit: "MB" },
  connectMessages: { label: "map messages to connect all", unit: "" },
  moveWall: { label: "endpoint change: until the last peer has it (median)", unit: "ms" },
  moveP99: { label: "endpoint change: until the last peer has it (p99)", unit: "ms" },
  moveMax: { label: "endpoint change: until the last peer has it (longest)", unit: "ms" },
  moveServerP50: { label: "endpoint change: in the server, of each peer (median)", unit: "ms" },
  moveServerP99: { label: "endpoint change: in the server, of each peer (p99)", unit: "ms" },
  moveCpu: { label: "endpoint change: server CPU", unit: "ms" },
  moveCpuPerPeer: { label: "endpoint change: server CPU per peer", unit: "µs" },
  moveBytesPerPeer: { label: "endpoint change: bytes per peer", unit: "B" },
  hubWall: { label: "the hub's endpoint change, to every node: until the last has it (median)", unit: "ms" },
  hubCpu: { label: "the hub's endpoint change: server CPU", unit: "ms" },
  hubCpuPerPeer: { label: "the hub's endpoint change: server CPU per peer", unit: "µs" },
  rss: { label: "server RSS, all connected", unit: "MB" },
  rssPerNode: { label: "server RSS per node above an empty server", unit: "KB" },
  idleCpu: { label: "idle CPU", unit: "%" },
  reconnectCpu: { label: "all reconnect at once: server CPU", unit: "s" },
  reconnectDials: { label: "all reconnect at once: connections a node needed", unit: "" },
  reconnectClientCpu: { label: "(the clients' own CPU to reconnect and compare)", unit: "s" },
  reconnectWall: { label: "all reconnect at once: until the last full map", unit: "s" },
  stormRss: { label: "three such storms, and half a minute: server RSS", unit: "MB" },
  reconnectBytes: { label: "all reconnect at once: bytes to clients", unit: "MB" },
  restartReady: { label: "killed and started again: until it answers", unit: "s" },
  restartWall: { label: "killed and started again: until the last node is back", unit: "s" },
  restartCpu: { label: "killed and started again: server CPU until then", unit: "s" },
};

const moves = 100;
/** Before them. */
const warmUpMoves = 5;
const hubMoves = 8;
/** Between two changes: the tailnet is quiet when each comes. */
const moveEveryMs = 400;
const idleSeconds = 10;
const quietSeconds = 5;
/** Reconnect storms in all, and how long the server has afterwards to come back to what it held before. */
const storms = 3;
const settleSeconds = 30;

export async function mesh(layout: Layout, say: (text: string) => void): Promise<MeshResult> {
  const server = await ServerProcess.start();
  let pool: SimPool | undefined;
  try {
    const authKeys = await prepare(server, layout);
    const serverKey = await fetchServerKey(server.url, 142);
    pool = await SimPool.start({
      url: server.url.href,
      serverKeyHex: Buffer.from(serverKey).toString("hex"),
      authKeys,
      layout,
    });
    return await measure(layout, server, pool, (text) => say(`${layout.nodes} nodes: ${text}`));
  } finally {
    await pool?.stop();
    await server.discard();
  }
}

async function measure(
  layout: Layout,
  server: ServerProcess,
  pool: SimPool,
  say: (text: string) => void,
): Promise<MeshResult> {
  const { nodes } = layout;
  const empty = server.usage();
  say("registering");
  await pool.all({ kind: "register", concurrency: 50 });
  const registered = server.usage();
  const meterBefore = await pool.meter();

  say("connecting");
  const connectStart = wallClock();
  const { at: connectedAt } = await pool.all({ kind: "connect", concurrency: 100 });
  await pool.all({ kind: "await-quiet", ms: 1500 });
  const connected = server.usage();
  const meterConnected = await pool.meter();

  const members = layout.hub ? nodes - 1 : nodes;
  // The first costs the clients seven times what the others do: they compile what they need for it, and collect.
  for (let index = 0; index < warmUpMoves; index++) {
    await pool.move((index * 37) % members, `198.51.100.250:${40_000 + index}`);
  }
  const warm = server.usage();

  // What the server does anyway is taken out of what a change costs; later it also sends keep-alives.
  await new Promise((done) => setTimeout(done, quietSeconds * 1000));
  const quiet = server.usage();
  const quietShare = (quiet.cpu - warm.cpu) / quietSeconds;

  say("endpoint changes");
  const metricsQuiet = await server.metrics();
  const meterQuiet = await pool.meter();
  const times: number[] = [];
  const movesStart = wallClock();
  for (let index = 0; index < moves; index++) {
    times.push(await pool.move((index * 37) % members, `198.51.100.${1 + index}:${40_000 + index}`));
    await new Promise((done) => setTimeout(done, moveEveryMs));
  }
  const movesSeconds = (wallClock() - movesStart) / 1000;
  const moved = server.usage();
  const metricsMoved = await server.metrics();
  const inServer = (part: number): number =>
    histogramQuantile("hawser_propagation_seconds", metricsQuiet, metricsMoved, part) * 1000;
  const meterMoved = await pool.meter();

  const hubTimes: number[] = [];
  const hubStart = wallClock();
  for (let index = 0; layout.hub && index < hubMoves; index++) {
    hubTimes.push(await pool.move(nodes - 1, `198.51.100.200:${50_000 + index}`));
    await new Promise((done) => setTimeout(done, moveEveryMs));
  }
  const hubSeconds = (wallClock() - hubStart) / 1000;
  const hubMoved = server.usage();
  const hubCpu = Math.max(0, hubMoved.cpu - moved.cpu - quietShare * hubSeconds) / hubMoves;

  say("idle");
  await new Promise((done) => setTimeout(done, idleSeconds * 1000));
  const idle = server.usage();

  say("reconnecting all at once");
  const meterIdle = await pool.meter();
  const reconnectStart = wallClock();
  const reconnect = await pool.reconnect();
  const reconnected = server.usage();
  const meterReconnected = await pool.meter();

  say("two more storms");
  for (let storm = 1; storm < storms; storm++) {
    await pool.reconnect();
  }
  await new Promise((done) => setTimeout(done, settleSeconds * 1000));
  const settled = server.usage();

  say("killed and started again");
  const survived = pool.all({ kind: "survive" });
  await server.end("SIGKILL");
  const restartStart = wallClock();
  const readyMs = await server.launch();
  const { at: backAt } = await survived;
  const restarted = server.usage();

  const peers = peersOf(0, layout);
  const idleShare = (idle.cpu - hubMoved.cpu) / idleSeconds;
  const moveCpu = Math.max(0, moved.cpu - quiet.cpu - quietShare * movesSeconds) / moves;
  return {
    nodes,
    differences: reconnect.differences ?? 0,
    compared: reconnect.compared ?? 0,
    samples: reconnect.samples ?? [],
    marks: {
      registerCpu: ((registered.cpu - empty.cpu) / nodes) * 1000,
      connectCpu: connected.cpu - registered.cpu,
      connectClientCpu: meterConnected.cpu - meterBefore.cpu,
      connectWall: (connectedAt - connectStart) / 1000,
      connectBytes: (meterConnected.bytesIn - meterBefore.bytesIn) / 1e6,
      connectMessages: meterConnected.messages - meterBefore.messages,
      moveWall: quantile(times, 0.5),
      moveP99: quantile(times, 0.99),
      moveMax: Math.max(...times),
      moveServerP50: inServer(0.5),
      moveServerP99: inServer(0.99),
      moveCpu: moveCpu * 1000,
      moveCpuPerPeer: (moveCpu / peers) * 1e6,
      moveBytesPerPeer: (meterMoved.bytesIn - meterQuiet.bytesIn) / moves / peers,
      rss: connected.rss / 1e6,
      rssPerNode: (connected.rss - empty.rss) / nodes / 1000,
      idleCpu: idleShare * 100,
      reconnectCpu: reconnected.cpu - idle.cpu,
      reconnectDials: (meterReconnected.connections - meterIdle.connections) / nodes,
      reconnectClientCpu: meterReconnected.cpu - meterIdle.cpu,
      reconnectWall: (reconnect.at - reconnectStart) / 1000,
      restartReady: readyMs / 1000,
      restartWall: (backAt - restartStart) / 1000,
      restartCpu: restarted.cpu,
      ...(layout.hub
        ? {
            hubWall: quantile(hubTimes, 0.5),
            hubCpu: hubCpu * 1000,
            hubCpuPerPeer: (hubCpu / (nodes - 1)) * 1e6,
          }
        : {}),
      stormRss: settled.rss / 1e6,
      reconnectBytes: (meterReconnected.bytesIn - meterIdle.bytesIn) / 1e6,
    },
  };
}
