// Clients that do not read, or hardly, beside clients that do. Three marks: the healthy are told as fast as without
// them, each of them holds little of the server, and who comes back is brought up to date with one merged message.
//
// As root on Linux this runs in a network namespace with small socket buffers. With the usual ones the kernel takes a
// megabyte or two for each client before the server notices anything, which is a test of the machine's memory.
import { fork, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { fetchServerKey } from "../sim/dial.ts";
import { SimClient } from "../sim/client.ts";
import { wallClock, watchedAddress } from "./protocol.ts";
import { histogramQuantile, quantile } from "./quantiles.ts";
import type { ReaderAnswer, ReaderCommand } from "./reader-process.ts";
import { ServerProcess } from "./server-process.ts";
import { number } from "./table.ts";

const healthyCount = 1000;
/** Seen only by those that do not read well, to fill their sockets; the healthy have nothing to do with it. */
const fillerCount = 20;
/** A hundredth of the times is then of more than one change: one that the machine disturbed does not decide. */
const changes = 150;
/** Longer than the server waits after telling a thousand; all have to fit into the minute that dead ones have. */
const changeEveryMs = 200;
const afterStormMs = 3000;
/** p99 of the healthy, with slow readers over without. */
const mark = 1.5;
const perProcess = 1500;

/** What changes cost those that read, ms. */
interface Healthy {
  readonly p50: number;
  readonly p99: number;
  /** Until the bytes were in the system's hands, by the server's own account; the slow ones that it can write to count too. */
  readonly serverP50: number;
  readonly serverP99: number;
  /** The server's share of a core meanwhile, %. */
  readonly cpu: number;
}

export interface SlowReadersResult {
  readonly dead: number;
  readonly slow: number;
  readonly returning: number;
  readonly without: Healthy;
  readonly withThem: Healthy;
  readonly blocked: number;
  /** Resident memory of the server: before the slow ones came, all connected and reading, all blocked; MB. */
  readonly rss: readonly [number, number, number];
  readonly kilobytesPerBlocked: number;
  readonly catchUpsPerReturn: number;
  readonly cut: number;
  readonly cutAfterSeconds: number;
  readonly differences: number;
  readonly compared: number;
}

/** Readers in one or more processes. */
class Readers {
  readonly count: number;
  readonly #first: number;
  readonly #children: readonly ChildProcess[];

  /** `yielding`: on machines of their own they would take no processor from the server and the healthy. */
  constructor(first: number, count: number, yielding: boolean) {
    this.#first = first;
    this.count = count;
    this.#children = Array.from({ length: Math.ceil(count / perProcess) }, () =>
      fork(join(import.meta.dirname, "reader-process.ts"), { serialization: "advanced" }),
    );
    for (const { pid } of yielding ? this.#children : []) {
      setPriority(pid ?? 0, constants.priority.PRIORITY_LOW);
    }
  }

  join(target: { readonly url: string; readonly serverKeyHex: string; readonly authKey: string }): Promise<unknown> {
    const share = Math.ceil(this.count / this.#children.length);
    return Promise.all(
      this.#children.map((child, index) => {
        const skipped = index * share;
        const count = Math.min(share, this.count - skipped);
        return ask(child, { kind: "join", ...target, first: this.#first + skipped, count });
      }),
    );
  }

  all(command: ReaderCommand): Promise<readonly ReaderAnswer[]> {
    return Promise.all(this.#children.map((child) => ask(child, command)));
  }

  end(): void {
    for (const child of this.#children) {
      child.kill("SIGKILL");
    }
  }
}

function ask(child: ChildProcess, command: ReaderCommand): Promise<ReaderAnswer> {
  return new Promise((done, fail) => {
    child.once("message", (answer: ReaderAnswer) =>
      answer.error === undefined ? done(answer) : fail(new Error(answer.error)),
    );
    child.send(command);
  });
}

export async function run(options: {
  /** How many do not read well, of all kinds. */
  readonly sizes: readonly number[];
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
}): Promise<{ readonly results: readonly SlowReadersResult[]; readonly exitCode: number }> {
  const { print, say } = options;
  const results: SlowReadersResult[] = [];
  let exitCode = 0;
  for (const size of options.sizes) {
    const result = await measure(size, say);
    results.push(result);
    const { without, withThem } = result;
    const ratio = withThem.p99 / without.p99;
    const { dead, slow, returning, blocked, rss, cut } = result;
    print(`${healthyCount} healthy readers, ${dead} dead, ${slow} slow, ${returning} that come back`);
    print(`  a change at the healthy, without the others: ${told(without)}`);
    print(`  with them: ${told(withThem)}`);
    print(`  p99 × ${number(ratio)} (mark ≤ ${mark})`);
    print(
      `  resident: ${rss.map((value) => `${number(value)} MB`).join(", ")} (without, all reading, ${blocked} blocked)`,
    );
    print(`  above what all reading hold, for each that is blocked: ${number(result.kilobytesPerBlocked)} KB`);
    print(`  catch-ups for each that came back: ${number(result.catchUpsPerReturn)} (1 is the mark)`);
    print(`  cut: ${cut} of ${dead} dead ones, ${number(result.cutAfterSeconds)} s after the last was blocked`);
    print(`  ${result.compared} peers compared with fresh maps, ${result.differences} differences`);
    const fine =
      ratio <= mark && result.differences === 0 && cut === dead && Math.abs(result.catchUpsPerReturn - 1) < 0.05;
    exitCode = fine ? exitCode : 1;
  }
  return { results, exitCode };
}

async function measure(size: number, say: (line: string) => void): Promise<SlowReadersResult> {
  const server = await ServerProcess.start();
  const dead = Math.round(size * 0.7);
  const slow = Math.round(size * 0.15);
  const returning = size - dead - slow;
  const groups = {
    healthy: new Readers(0, healthyCount, false),
    dead: new Readers(healthyCount, dead, true),
    slow: new Readers(healthyCount + dead, slow, true),
    returning: new Readers(healthyCount + dead + slow, returning, true),
  };
  const movers: SimClient[] = [];
  try {
    const keys = await prepare(server);
    const serverPublic = await fetchServerKey(server.url, 142);
    const serverKeyHex = Buffer.from(serverPublic).toString("hex");
    say(`registering ${healthyCount + size}`);
    for (let index = 0; index <= fillerCount; index++) {
      const client = new SimClient({ url: server.url, serverPublic, hostname: `mover-${index}` });
      await client.join({ authKey: index === 0 ? keys.mover : keys.filler });
      await client.openMap();
      movers.push(client);
    }
    for (const group of Object.values(groups)) {
      const authKey = group === groups.healthy ? keys.healthy : keys.other;
      await group.join({ url: server.url.href, serverKeyHex, authKey });
    }
    await groups.healthy.all({ kind: "open" });
    await sleep(3000);
    const rssWithout = server.usage().rss;

    say("changes without slow readers");
    await tellChanges(groups.healthy, movers, 10_000, 5);
    const without = await timed(server, () => tellChanges(groups.healthy, movers, 20_000, changes));

    say(`connecting ${size} that will not read well`);
    for (const group of [groups.dead, groups.slow, groups.returning]) {
      await group.all({ kind: "open" });
    }
    await sleep(3000);
    const rssReading = server.usage().rss;
    const before = await server.metrics();
    for (const group of [groups.dead, groups.slow, groups.returning]) {
      await group.all({ kind: "pause" });
    }
    say("filling their sockets");
    const blocked = await fill(server, movers.slice(1), size);
    const blockedAt = performance.now();
    const rssBlocked = server.usage().rss;
    // Filling was a storm, after which the server waits longer to merge; that is another subject.
    await sleep(afterStormMs);
    await groups.slow.all({ kind: "dawdle", readMs: 50, everyMs: 4000 });

    say(`${blocked} are blocked; the same changes again`);
    const withThem = await timed(server, () => tellChanges(groups.healthy, movers, 30_000, changes));

    say("some come back");
    const last = `198.51.100.99:60001`;
    await movers[0]?.update({ endpoints: [last] });
    await groups.slow.all({ kind: "resume" });
    const mover = movers[0]?.netmap.self?.ID ?? 0;
    await caughtUp(groups.slow, mover, last);
    const { catchUps: catchUpsBefore } = await counters(server);
    await groups.returning.all({ kind: "resume" });
    await caughtUp(groups.returning, mover, last);
    const catchUps = (await counters(server)).catchUps - catchUpsBefore;

    say("waiting until the dead ones are cut");
    const cutBefore = before.get("hawser_control_streams_cut_total") ?? 0;
    let cut = 0;
    const deadline = performance.now() + 120_000;
    while (cut < dead && performance.now() < deadline) {
      await sleep(1000);
      cut = (await counters(server)).cut - cutBefore;
    }
    const cutAfterSeconds = (performance.now() - blockedAt) / 1000;

    say("comparing");
    await sleep(2000);
    const compared: ReaderAnswer[] = [];
    for (const group of [groups.healthy, groups.slow, groups.returning]) {
      compared.push(...(await group.all({ kind: "compare" })));
    }
    for (const sample of compared.flatMap(({ samples = [] }) => samples).slice(0, 5)) {
      say(sample);
    }
    return {
      dead,
      slow,
      returning,
      without,
      withThem,
      blocked,
      rss: [rssWithout / 1e6, rssReading / 1e6, rssBlocked / 1e6],
      kilobytesPerBlocked: (rssBlocked - rssReading) / blocked / 1000,
      catchUpsPerReturn: catchUps / returning,
      cut,
      cutAfterSeconds,
      differences: compared.reduce((sum, { differences = 0 }) => sum + differences, 0),
      compared: compared.reduce((sum, answer) => sum + (answer.compared ?? 0), 0),
    };
  } finally {
    for (const group of Object.values(groups)) {
      group.end();
    }
    for (const mover of movers) {
      mover.close();
    }
    await server.discard();
  }
}

async function counters(server: ServerProcess): Promise<{ readonly catchUps: number; readonly cut: number }> {
  const metrics = await server.metrics();
  return {
    catchUps: metrics.get("hawser_netmap_catch_ups_total") ?? 0,
    cut: metrics.get("hawser_control_streams_cut_total") ?? 0,
  };
}

/** Who reads sees the mover and, if it does not read well, the fillers, and nobody else. */
async function prepare(
  server: ServerProcess,
): Promise<Readonly<Record<"mover" | "filler" | "healthy" | "other", string>>> {
  const owners = [`${(await server.createUser("bench")).name}@`];
  const policy = {
    tagOwners: { "tag:healthy": owners, "tag:other": owners, "tag:mover": owners, "tag:filler": owners },
    acls: [
      { action: "accept", src: ["tag:healthy", "tag:other"], dst: ["tag:mover:*"] },
      { action: "accept", src: ["tag:other"], dst: ["tag:filler:*"] },
    ],
  };
  const file = join(server.folder, "policy.hujson");
  writeFileSync(file, JSON.stringify(policy));
  await server.cli("policy", "set", "--file", file);
  return {
    mover: await server.taggedKey("tag:mover"),
    filler: await server.taggedKey("tag:filler"),
    healthy: await server.taggedKey("tag:healthy"),
    other: await server.taggedKey("tag:other"),
  };
}

/** One change after the other; how long each took to each of the readers, ms. */
async function tellChanges(
  readers: Readers,
  movers: readonly SimClient[],
  firstPort: number,
  count: number,
): Promise<readonly number[]> {
  const [mover] = movers;
  await readers.all({ kind: "watch", node: mover?.netmap.self?.ID ?? 0 });
  const sentAt = new Map<number, number>();
  for (let index = 0; index < count; index++) {
    const port = firstPort + index;
    sentAt.set(port, wallClock());
    await mover?.update({ endpoints: [`${watchedAddress}${port}`] });
    await sleep(changeEveryMs);
  }
  await sleep(1500);
  const arrived = (await readers.all({ kind: "arrivals" })).flatMap(({ arrivals = [] }) => arrivals);
  const times: number[] = [];
  for (const own of arrived) {
    let next = 0;
    for (const [port, sent] of sentAt) {
      // A change that was merged with a later one came with it.
      while ((own[next]?.[0] ?? Infinity) < port) {
        next++;
      }
      times.push((own[next]?.[1] ?? Infinity) - sent);
    }
  }
  return times;
}

/** Large changes until so many sessions are blocked: faster than the server gives those up that read nothing. */
async function fill(server: ServerProcess, movers: readonly SimClient[], wanted: number): Promise<number> {
  let blocked = 0;
  for (let round = 0; round < 100 && blocked < wanted; round++) {
    await Promise.all(movers.map((mover) => mover.update({ endpoints: manyEndpoints() })));
    await sleep(200);
    blocked = (await server.metrics()).get("hawser_netmap_sessions_blocked") ?? 0;
  }
  return blocked;
}

/** As many as a server keeps of one node; random, so that they do not become smaller by compressing them. */
function manyEndpoints(): readonly string[] {
  const part = (): string => Math.floor(Math.random() * 65_536).toString(16);
  return Array.from(
    { length: 128 },
    () => `[2001:db8:${Array.from({ length: 6 }, part).join(":")}]:${1 + Math.floor(Math.random() * 65_000)}`,
  );
}

async function caughtUp(readers: Readers, node: number, endpoint: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const answers = await readers.all({ kind: "behind", node, endpoint });
    const behind = answers.reduce((sum, answer) => sum + (answer.behind ?? 0), 0);
    if (behind === 0) {
      return;
    }
    if (performance.now() > deadline) {
      throw new Error(`${behind} of ${readers.count} readers never caught up`);
    }
    await sleep(100);
  }
}

/** The times of changes, and the server's own account of them. */
async function timed(server: ServerProcess, tell: () => Promise<readonly number[]>): Promise<Healthy> {
  const before = await server.metrics();
  const { cpu } = server.usage();
  const began = performance.now();
  const times = await tell();
  const seconds = (performance.now() - began) / 1000;
  const share = (server.usage().cpu - cpu) / seconds;
  const after = await server.metrics();
  const inServer = (part: number): number =>
    histogramQuantile("hawser_propagation_seconds", before, after, part) * 1000;
  return {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    serverP50: inServer(0.5),
    serverP99: inServer(0.99),
    cpu: share * 100,
  };
}

function told({ p50, p99, serverP50, serverP99, cpu }: Healthy): string {
  return `p50 ${ms(p50)}, p99 ${ms(p99)}; in the server ${ms(serverP50)} and ${ms(serverP99)}, at ${number(cpu)} % of a core`;
}

function ms(value: number): string {
  return `${number(value)} ms`;
}

function sleep(time: number): Promise<void> {
  return new Promise((done) => setTimeout(done, time));
}
