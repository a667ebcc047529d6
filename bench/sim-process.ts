// A process full of simulated clients, steered over IPC.
import { compareNetmaps } from "../sim/compare.ts";
import { SimClient, type ReceivedMessage } from "../sim/client.ts";
import { newMeter } from "../sim/meter.ts";
import type { NetmapModel } from "../sim/netmap-model.ts";
import { Arrivals } from "./arrivals.ts";
import {
  keyOf,
  peersOf,
  wallClock,
  watchedAddress,
  type Layout,
  type SimAnswer,
  type SimCommand,
  type TimedMove,
} from "./protocol.ts";

const meter = newMeter();
let clients: SimClient[] = [];
let keys: readonly string[] = [];
let layout: Layout = { nodes: 0, group: 1, hub: false };
let first = 0;
/** When the last message of any client came, on performance.now(). */
let lastMessageAt = 0;
const arrivals = new Arrivals();

interface Expectation {
  readonly node: number;
  readonly endpoint: string;
  /** Clients that do not have it yet. */
  readonly without: Set<SimClient>;
  /** When the last one got it, on performance.now(). */
  last: number;
  done: (() => void) | undefined;
}
let expected: Expectation | undefined;

process.on("message", (command: SimCommand) => {
  run(command).then(
    (answer) => process.send?.(answer),
    (error: unknown) =>
      process.send?.({
        at: wallClock(),
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
process.on("disconnect", () => process.exit(0));

async function run(command: SimCommand): Promise<SimAnswer> {
  switch (command.kind) {
    case "init":
      init(command);
      return { at: wallClock() };
    case "register":
      await inParallel(clients, command.concurrency, (client, index) =>
        client.join({ authKey: keys[keyOf(first + index, layout)] ?? "" }),
      );
      return { at: wallClock() };
    case "connect":
      await inParallel(clients, command.concurrency, (client) => open(client));
      await everyoneSees();
      return { at: wallClock(), nodeIds: clients.map(({ netmap }) => netmap.self?.ID ?? 0) };
    case "move": {
      const started = wallClock();
      await clients[command.client]?.update({ endpoints: [command.endpoint, ...command.further] });
      return { at: started };
    }
    case "expect-endpoint":
      expectEndpoint(command.node, command.endpoint);
      return { at: wallClock() };
    case "await-endpoint":
      return { at: wallClock(), last: await awaitEndpoint() };
    case "steadily":
      return { at: wallClock(), sent: await steadily(command.moves) };
    case "arrivals":
      return { at: wallClock(), arrivals: arrivals.take() };
    case "compare":
      return compareAnew(() => inParallel(clients, command.concurrency, reopen));
    case "await-quiet":
      await quiet(command.ms);
      return { at: wallClock() };
    case "reconnect":
      return reconnect();
    case "compare-with-before":
      return compareWith(hadBefore);
    case "survive":
      return survive();
    case "stats":
      return { at: wallClock(), meter, cpu: (process.cpuUsage().user + process.cpuUsage().system) / 1e6 };
  }
}

function init(command: Extract<SimCommand, { kind: "init" }>): void {
  ({ authKeys: keys, layout, first } = command);
  const serverPublic = Buffer.from(command.serverKeyHex, "hex");
  const url = new URL(command.url);
  clients = Array.from({ length: command.count }, (_, index) => {
    const number = command.first + index;
    return new SimClient({
      url,
      serverPublic,
      meter,
      hostname: `bench-${number}`,
      // Each loopback address has its own ports, and its own place in limits per source.
      localAddress: `127.0.${1 + Math.floor(number / 200)}.${1 + (number % 200)}`,
    });
  });
}

/** Clients whose stream the server has ended, and who waits for it. */
const lost = new Set<SimClient>();
/** How many of those came back by themselves. */
let cameBack = 0;
let whenLost: (() => void) | undefined;

function open(client: SimClient): Promise<NetmapModel> {
  return client.openMap({
    onMessage: (received) => noteMessage(client, received),
    onEnd: (error) => {
      if (error !== undefined) {
        lost.add(client);
        whenLost?.();
      }
    },
  });
}

function noteMessage(client: SimClient, { at, message }: ReceivedMessage): void {
  lastMessageAt = at;
  arrivals.note(message, at);
  if (expected?.without.has(client)) {
    noteEndpoint(expected, client, at);
  }
}

function noteEndpoint(expectation: Expectation, client: SimClient, at: number): void {
  if (client.netmap.peers.get(expectation.node)?.Endpoints?.[0] === expectation.endpoint) {
    expectation.without.delete(client);
    expectation.last = Math.max(expectation.last, at);
    if (expectation.without.size === 0) {
      expectation.done?.();
    }
  }
}

function expectEndpoint(node: number, endpoint: string): void {
  const without = new Set(clients.filter(({ netmap }) => netmap.peers.has(node)));
  expected = { node, endpoint, without, last: 0, done: undefined };
}

/** Resolves with the time on the shared clock at which the last client had it. */
async function awaitEndpoint(): Promise<number> {
  const expectation = expected;
  if (expectation === undefined) {
    throw new Error("nothing is expected");
  }
  if (expectation.without.size > 0) {
    const finished = new Promise<void>((done) => (expectation.done = done));
    await withTimeout(finished, 60_000, () => `${expectation.without.size} clients never got ${expectation.endpoint}`);
  }
  expected = undefined;
  return performance.timeOrigin + expectation.last;
}

/** Every client has all its peers, and all of them are online. */
async function everyoneSees(): Promise<void> {
  const expectedPeers = new Map(clients.map((client, index) => [client, peersOf(first + index, layout)]));
  let behind = clients;
  const deadline = performance.now() + 180_000;
  while (behind.length > 0) {
    behind = behind.filter(
      (client) =>
        client.netmap.peers.size !== expectedPeers.get(client) ||
        ![...client.netmap.peers.values()].every(({ Online }) => Online === true),
    );
    await bringBackLost();
    if (behind.length > 0) {
      if (performance.now() > deadline) {
        const [one] = behind;
        const online = [...(one?.netmap.peers.values() ?? [])].filter(({ Online }) => Online === true).length;
        throw new Error(
          `${behind.length} clients do not see their peers online; ${one?.hostname} sees ${one?.netmap.peers.size}, ${online} online`,
        );
      }
      await sleep(20);
    }
  }
}

async function quiet(ms: number): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (performance.now() - lastMessageAt < ms && performance.now() < deadline) {
    await sleep(20);
  }
}

/** Resolves with when each change was sent. */
function steadily(moves: readonly TimedMove[]): Promise<readonly (readonly [number, number])[]> {
  return Promise.all(
    moves.map(async ({ client, port, at }) => {
      await sleep(at - wallClock());
      const sent = wallClock();
      await clients[client]?.update({ endpoints: [`${watchedAddress}${port}`] });
      return [port, sent] as const;
    }),
  );
}

/** The netmaps of before, for the comparison once everybody, in all processes, is back. */
let hadBefore: readonly NetmapModel[] = [];

async function reconnect(): Promise<SimAnswer> {
  hadBefore = clients.map(({ netmap }) => netmap);
  lost.clear();
  for (const client of clients) {
    client.closeMap();
    client.disconnect();
  }
  await Promise.all(clients.map((client) => retry(() => open(client), 600)));
  return { at: wallClock() };
}

/** A fresh map stream over the connection that is there. */
async function reopen(client: SimClient): Promise<void> {
  client.closeMap();
  await open(client);
}

/** Compares every client's netmap with the one that it has after its map was opened anew. */
async function compareAnew(openAll: () => Promise<void>): Promise<SimAnswer> {
  const before = clients.map(({ netmap }) => netmap);
  await openAll();
  return compareWith(before);
}

async function compareWith(before: readonly NetmapModel[]): Promise<SimAnswer> {
  const at = wallClock();
  cameBack = 0;
  do {
    await bringBackLost();
    await everyoneSees();
    await quiet(1000);
  } while (lost.size > 0);
  const samples: string[] = [];
  let differences = 0;
  let compared = 0;
  clients.forEach(({ netmap, hostname }, index) => {
    const had = before[index];
    compared += netmap.peers.size;
    for (const difference of had === undefined ? [] : compareNetmaps(had, netmap)) {
      differences++;
      if (samples.length < 5) {
        samples.push(`${hostname}: ${JSON.stringify(difference).slice(0, 400)}`);
      }
    }
  });
  return { at, differences, samples, compared, cameBack };
}

/** A client whose stream the server ends (it was slow to read, the machine being busy) opens it again, as real ones do. */
async function bringBackLost(): Promise<void> {
  const those = [...lost];
  lost.clear();
  cameBack += those.length;
  await Promise.all(those.map((client) => retry(() => open(client), 600)));
}

/** Resolves when every client has lost its stream, as when the server is killed, and has its peers again. */
async function survive(): Promise<SimAnswer> {
  lost.clear();
  await new Promise<void>((done) => {
    whenLost = () => {
      if (lost.size === clients.length) {
        whenLost = undefined;
        done();
      }
    };
  });
  lost.clear();
  await Promise.all(clients.map((client) => retry(() => open(client), 600)));
  const at = wallClock();
  await everyoneSees();
  return { at };
}

async function retry<Value>(attempt: () => Promise<Value>, most = 20): Promise<Value> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === most) {
        throw error;
      }
      await sleep(backOffMs(tries));
    }
  }
}

/** As clients wait after so many failures: quickly at first, half a minute in the end, never two at the same time. */
function backOffMs(failures: number): number {
  return Math.min(30_000, failures * failures * 10) * (0.5 + Math.random());
}

async function inParallel<Item>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item, index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      const item = items[index];
      if (item !== undefined) {
        await retry(() => work(item, index));
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, ms)));
}

async function withTimeout(work: Promise<void>, ms: number, problem: () => string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(problem())), ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
