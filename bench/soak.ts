// `npm run soak [-- --nodes 1000 --minutes 30 --rate 10]`: nodes that come and go for a long time, and whether the
// server's memory grows with it. So many join and so many leave each second: a fresh machine registers with a key for
// ephemeral nodes, opens its map and says where it can be reached; another logs out and is deleted. Each second one of
// the others moves. At the end every client's netmap is compared with a fresh one.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compareNetmaps } from "../sim/compare.ts";
import { SimClient } from "../sim/client.ts";
import { fetchServerKey } from "../sim/dial.ts";
import { type Growth, growthOf, isShown, judged, tolerance } from "./growth.ts";
import { ServerProcess } from "./server-process.ts";
import { number } from "./table.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1000" },
    minutes: { type: "string", default: "30" },
    rate: { type: "string", default: "10" },
  },
});
const nodes = Number(values.nodes);
const minutes = Number(values.minutes);
const rate = Number(values.rate);
const minuteSeconds = 60;
/** Looks in each minute; their mean stands for it. */
const looksPerMinute = 3;
/** Not looked at: tables fill, code is compiled, the heap finds its size. */
const warmUpSeconds = 300;
const steady = "memory does not grow";
/** Dialled and registered at a time, at the start and at the end. */
const lanes = 30;

interface Minute {
  readonly minute: number;
  /** After collections, as is `heapMb`: what the server keeps, the mean of the minute's looks. */
  readonly rssMb: number;
  /** The most that was seen in this minute. */
  readonly peakMb: number;
  readonly heapMb: number;
  /** Share of one core, %. */
  readonly cpu: number;
  readonly joined: number;
  readonly left: number;
  readonly failed: number;
}

interface Look {
  /** Bytes right after a collection. */
  readonly heap: number;
  readonly rss: number;
}

const server = await ServerProcess.start({ collectable: true });
process.once("SIGINT", () => void server.discard().then(() => process.exit(130)));
try {
  process.exitCode = await soak();
} finally {
  await server.discard();
}
// Sockets of clients may still be closing.
process.exit();

async function soak(): Promise<number> {
  const serverPublic = await fetchServerKey(server.url, 142);
  const authKey = await server.ephemeralKey();
  const online: SimClient[] = [];
  let count = 0;
  let joined = 0;
  let left = 0;
  let failed = 0;
  let peak = 0;

  async function joinOne(): Promise<void> {
    const index = count++;
    const client = new SimClient({
      url: server.url,
      serverPublic,
      hostname: `soak-${index}`,
      ephemeral: true,
      // Limits count by source; a thousand machines have a thousand.
      localAddress: `127.${1 + (Math.floor(index / 40_000) % 200)}.${Math.floor(index / 200) % 200}.${1 + (index % 200)}`,
    });
    try {
      await client.join({ authKey });
      await client.openMap();
      await client.update({ endpoints: [`198.51.100.${index % 250}:41641`], netInfo: { PreferredDERP: 999 } });
      online.push(client);
      joined++;
    } catch (error) {
      failed++;
      process.stderr.write(`${client.hostname}: ${String(error)}\n`);
      client.close();
    }
  }

  async function leaveOne(): Promise<void> {
    // Not the newest: a node stays for a while.
    const [client] = online.splice(Math.floor(Math.random() * online.length * 0.9), 1);
    if (client !== undefined) {
      await client.logout().catch(() => failed++);
      client.close();
      left++;
    }
  }

  await inLanes(Array.from({ length: nodes }), () => joinOne());
  process.stdout.write(`${online.length} nodes joined; ${rate} join and ${rate} leave each second\n`);
  process.stdout.write("minute   RSS MB  peak MB  heap MB   CPU %   joined     left   failed\n");
  const rows: Minute[] = [];
  const look = async (): Promise<Look> => {
    const heap = await server.collect();
    return { heap, rss: server.usage().rss };
  };
  const note = (minute: number, looks: readonly Look[], cpuBefore: number, seconds: number): void => {
    const { cpu } = server.usage();
    const row = {
      minute,
      rssMb: mean(looks.map(({ rss }) => rss)) / 1e6,
      peakMb: Math.max(peak, ...looks.map(({ rss }) => rss)) / 1e6,
      heapMb: mean(looks.map(({ heap }) => heap)) / 1e6,
      cpu: ((cpu - cpuBefore) / seconds) * 100,
      joined,
      left,
      failed,
    };
    rows.push(row);
    const widths = [6, 9, 9, 9, 8];
    const cells = [minute, row.rssMb, row.peakMb, row.heapMb, row.cpu].map((cell, index) =>
      number(cell).padStart(widths[index] ?? 9),
    );
    process.stdout.write(
      `${cells.join("")}${[joined, left, failed].map((cell) => String(cell).padStart(9)).join("")}\n`,
    );
  };
  joined = 0;
  const start = performance.now();
  let lastMinute = start;
  let cpuBefore = server.usage().cpu;
  const churn = setInterval(() => {
    void joinOne();
    void leaveOne();
  }, 1000 / rate);
  const watching = setInterval(() => {
    peak = Math.max(peak, server.usage().rss);
  }, 1000);
  const moving = setInterval(() => {
    const mover = online[Math.floor(Math.random() * online.length)];
    void mover?.update({ endpoints: [`203.0.113.${Math.floor(Math.random() * 250)}:41641`] }).catch(() => failed++);
  }, 1000);
  for (let minute = 1; minute <= minutes; minute++) {
    const looks: Look[] = [];
    for (let count = 1; count <= looksPerMinute; count++) {
      await sleep(start + (minute - 1 + count / looksPerMinute) * minuteSeconds * 1000 - performance.now());
      looks.push(await look());
    }
    note(minute, looks, cpuBefore, (performance.now() - lastMinute) / 1000);
    cpuBefore = server.usage().cpu;
    lastMinute = performance.now();
    peak = 0;
  }
  clearInterval(churn);
  clearInterval(moving);
  clearInterval(watching);
  await sleep(5000);

  const { differences, compared, samples } = await compareAll(online);
  const heap = growthFrom(rows.map(({ heapMb }) => heapMb));
  const resident = growthFrom(rows.map(({ rssMb }) => rssMb));
  const verdict = verdictOn([heap, resident]);
  process.stdout.write(
    `${online.length} netmaps, ${compared} peers compared with fresh ones: ${differences} differences\n` +
      samples.map((sample) => `  ${sample}\n`).join("") +
      `an hour more would add to the heap ${told(heap)}, to resident memory ${told(resident)}: ` +
      `${verdict} (at most ${percent(tolerance)} is allowed)\n`,
  );
  save({ nodes, minutes, rate, rows, differences, compared, heap, resident });
  return verdict !== steady || differences > 0 || failed > (joined + left) / 100 ? 1 : 0;
}

function growthFrom(minutes: readonly number[]): Growth {
  return growthOf(judged(minutes, minuteSeconds, warmUpSeconds), minuteSeconds);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function verdictOn(growths: readonly Growth[]): string {
  if (!isShown(growths)) {
    return "NOTHING SHOWN: chance may be larger than what is looked for; run it longer";
  }
  return growths.every(({ perHour }) => perHour <= tolerance) ? steady : "memory GROWS";
}

function told({ perHour, uncertainty }: Growth): string {
  return `${percent(perHour)} ± ${number(uncertainty * 100)}`;
}

function percent(part: number): string {
  return `${part < 0 ? "" : "+"}${number(part * 100)} %`;
}

async function compareAll(
  clients: readonly SimClient[],
): Promise<{ readonly differences: number; readonly compared: number; readonly samples: readonly string[] }> {
  const had = clients.map(({ netmap }) => netmap);
  await inLanes(clients, async (client) => {
    client.closeMap();
    await client.openMap();
  });
  // Whoever opened its map first sees the others come back.
  await sleep(3000);
  let differences = 0;
  let compared = 0;
  const samples: string[] = [];
  clients.forEach(({ netmap, hostname }, index) => {
    const before = had[index];
    compared += netmap.peers.size;
    for (const difference of before === undefined ? [] : compareNetmaps(before, netmap)) {
      differences++;
      if (samples.length < 5) {
        samples.push(`${hostname}: ${JSON.stringify(difference).slice(0, 300)}`);
      }
    }
  });
  return { differences, compared, samples };
}

async function inLanes<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of rest) {
        await work(item);
      }
    }),
  );
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, ms)));
}

function save(results: object): void {
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  const at = new Date().toISOString();
  const file = join(folder, `soak-${at.replaceAll(":", "").slice(0, 17)}.json`);
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memory: totalmem(), kernel: release() };
  writeFileSync(
    file,
    `${JSON.stringify({ name: "soak", at, node: process.version, machine, load: loadavg(), results }, null, 1)}\n`,
  );
  process.stderr.write(`written to ${file}\n`);
}
