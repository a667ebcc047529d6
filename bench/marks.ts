// `npm run bench marks`: every mark that Hawser is held to beside what the newest run of its scenario found here, with
// the load and the day of that run. `npm run bench all` runs them all first. Reads bench/results/ and measures nothing.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isShown } from "./growth.ts";
import { number } from "./table.ts";

/** As `save` in main.ts and soak.ts write them; what a mark does not need is passed over. */
const saved = z.object({
  at: z.string(),
  load: z.array(z.number()).optional(),
  results: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]),
});
const sized = z.object({ nodes: z.number(), marks: z.record(z.string(), z.number()) });
const steadyResult = z.object({ nodes: z.number(), p99: z.number() });
const threadsResult = z.object({ nodes: z.number(), edgeThreads: z.number(), busiestPerMessage: z.number() });
const slowResult = z.object({
  without: z.object({ p99: z.number() }),
  withThem: z.object({ p99: z.number() }),
  catchUpsPerReturn: z.number(),
});
const soakLine = z.object({ perHour: z.number(), uncertainty: z.number() });
const soakResult = z.object({ minutes: z.number(), heap: soakLine, resident: soakLine });

interface Mark {
  readonly work: string;
  /** What binds: processor time, bytes, counts, memory and ratios. Times on the clock are told beside their load. */
  readonly binds: boolean;
  readonly scenario: string;
  /** How to run it. */
  readonly command: string;
  readonly most: number;
  readonly unit: string;
  /** Undefined where the run did not look at it. */
  readonly value: (results: unknown) => number | undefined;
}

function atSize(nodes: number, name: string): (results: unknown) => number | undefined {
  return (results) => listOf(sized, results).find((result) => result.nodes === nodes)?.marks[name];
}

function listOf<Item>(schema: z.ZodType<Item>, results: unknown): readonly Item[] {
  const list = z.array(schema).safeParse(results);
  return list.success ? list.data : [];
}

/** e in cost ~ nodes^e, by least squares over the logarithms. */
function exponentOf(results: unknown): number | undefined {
  const points = listOf(sized, results)
    .filter(({ nodes }) => nodes <= 3000)
    .map(({ nodes, marks }) => [Math.log(nodes), Math.log(marks["connectCpu"] ?? NaN)] as const);
  if (points.length < 3) {
    return undefined;
  }
  const mean = (index: 0 | 1): number => points.reduce((sum, point) => sum + point[index], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
}

function busiestShare(results: unknown): number | undefined {
  const list = listOf(threadsResult, results).filter(({ nodes }) => nodes === 1000);
  const [alone, two] = [0, 2].map((threads) => list.find(({ edgeThreads }) => edgeThreads === threads));
  return alone === undefined || two === undefined ? undefined : two.busiestPerMessage / alone.busiestPerMessage;
}

const mesh = { scenario: "mesh", command: "npm run bench mesh -- --sizes 1000" };
const groups = { scenario: "groups", command: "npm run bench groups -- --sizes 300,1000,3000,10000" };
const crowd = { scenario: "crowd", command: "npm run bench crowd -- --sizes 10000" };
const steady = { scenario: "steady", command: "npm run bench steady -- --sizes 10000" };
const threads = { scenario: "threads", command: "npm run bench threads -- --sizes 1000" };
const slow = { scenario: "slow-readers", command: "npm run bench slow-readers -- --sizes 3000" };
const storm = { scenario: "storm", command: "npm run bench storm -- --sizes 10000" };
const soak = { scenario: "soak", command: "npm run soak -- --nodes 1000 --minutes 30 --rate 10" };

const marks: readonly Mark[] = [
  at1000("register: CPU each", "registerCpu", 1, "ms"),
  at1000("connect 1,000 that all see each other: CPU", "connectCpu", 6, "s"),
  at1000("… bytes sent", "connectBytes", 140, "MB"),
  at1000("… messages", "connectMessages", 60_000, ""),
  at1000("one endpoint change at 1,000: CPU", "moveCpu", 20, "ms"),
  at1000("… at the last peer, p99", "moveP99", 50, "ms", false),
  at1000("… bytes per peer", "moveBytesPerPeer", 300, "B"),
  at1000("1,000 reconnect at once: CPU", "reconnectCpu", 3, "s"),
  at1000("… all have correct maps", "reconnectWall", 6, "s", false),
  at1000("memory at 1,000: resident", "rss", 180, "MB"),
  {
    work: "… after three reconnect storms, of that",
    binds: true,
    ...mesh,
    most: 1.1,
    unit: "×",
    value: (results) => {
      const [before, after] = ["rss", "stormRss"].map((name) => atSize(1000, name)(results));
      return before === undefined || after === undefined ? undefined : after / before;
    },
  },
  at10k("10,000 that see 300 each, connect all: CPU", "connectCpu", 45, "s"),
  at10k("… resident", "rss", 800, "MB"),
  {
    work: "… change with 50/s running, p99 at the last peer",
    binds: false,
    ...steady,
    most: 250,
    unit: "ms",
    value: (results) => listOf(steadyResult, results).find(({ nodes }) => nodes === 10_000)?.p99,
  },
  inCrowd("one delta to 10,000 sessions: CPU", "deltaCpu", 200, "ms"),
  inCrowd("… resident per session", "rssPerSession", 25, "KB"),
  inCrowd("10,000 idle for a minute: share of a core", "idleCpu", 3, "%"),
  inCrowd("restart with 10,000 in the database", "restartReady", 3, "s", false),
  { work: "growth of CPU to connect N: exponent", binds: true, ...groups, most: 1.15, unit: "", value: exponentOf },
  {
    work: "two edge threads: busiest thread's CPU",
    binds: true,
    ...threads,
    most: 0.6,
    unit: "×",
    value: busiestShare,
  },
  {
    work: "3,000 slow or dead readers: p99 of the healthy",
    binds: false,
    ...slow,
    most: 1.5,
    unit: "×",
    value: (results) => listOf(slowResult, results).map(({ without, withThem }) => withThem.p99 / without.p99)[0],
  },
  {
    work: "… catch-ups for each that comes back",
    binds: true,
    ...slow,
    most: 1.05,
    unit: "",
    value: (results) => listOf(slowResult, results)[0]?.catchUpsPerReturn,
  },
  inStorm("10,000 in one moment: CPU over 100 at a time", "stormRatio", 1.5, "×"),
  inStorm("… slowest health check meanwhile", "stormHealth", 1, "s", false),
  inStorm("… slowest answer to the command line", "stormCommand", 1, "s", false),
  {
    work: "soak of 30 minutes: heap, in an hour more",
    binds: true,
    ...soak,
    most: 10,
    unit: "%",
    value: (results) => soakGrowth(results)?.heap,
  },
  {
    work: "… resident memory, in an hour more",
    binds: true,
    ...soak,
    most: 10,
    unit: "%",
    value: (results) => soakGrowth(results)?.resident,
  },
];

function at1000(work: string, name: string, most: number, unit: string, binds = true): Mark {
  return { work, binds, ...mesh, most, unit, value: atSize(1000, name) };
}

function at10k(work: string, name: string, most: number, unit: string): Mark {
  return { work, binds: true, ...groups, most, unit, value: atSize(10_000, name) };
}

function inCrowd(work: string, name: string, most: number, unit: string, binds = true): Mark {
  return { work, binds, ...crowd, most, unit, value: atSize(10_000, name) };
}

function inStorm(work: string, name: string, most: number, unit: string, binds = true): Mark {
  return { work, binds, ...storm, most, unit, value: atSize(10_000, name) };
}

/** Undefined where chance may be larger than what is looked for, as the soak itself says then. */
function soakGrowth(results: unknown): { readonly heap: number; readonly resident: number } | undefined {
  const read = soakResult.safeParse(results);
  if (!read.success || read.data.minutes < 30) {
    return undefined;
  }
  const { heap, resident } = read.data;
  return isShown([heap, resident]) ? { heap: heap.perHour * 100, resident: resident.perHour * 100 } : undefined;
}

/** What `npm run bench all` runs, in this order; the soak is started by hand. */
export const allCommands: readonly (readonly string[])[] = [
  ...new Set([mesh, groups, crowd, steady, threads, slow, storm].map(({ command }) => command)),
].map((command) => command.replace("npm run bench ", "").replace("-- ", "").split(" "));

/** Prints the table; the number of marks that bind and are not kept, or were never measured here. */
export function printMarks(folder: string, print: (line: string) => void): number {
  const newest = new Map(
    [...new Set(marks.map(({ scenario }) => scenario))].map((scenario) => [scenario, newestOf(folder, scenario)]),
  );
  let missed = 0;
  print(`${"work".padEnd(52)}${"mark".padStart(11)}${"measured".padStart(12)}         load  when`);
  for (const { work, binds, scenario, command, most, unit, value } of marks) {
    const run = newest.get(scenario);
    const found = run === undefined ? undefined : value(run.results);
    const limit = `≤ ${number(most)} ${unit}`.trimEnd().padStart(11);
    if (run === undefined || found === undefined) {
      missed++;
      print(`${work.padEnd(52)}${limit}${"–".padStart(12)}         ${command}`);
      continue;
    }
    const over = found > most;
    missed += over && binds ? 1 : 0;
    const verdict = over ? "OVER" : "";
    const load = run.load?.[0];
    print(
      `${work.padEnd(52)}${limit}${`${number(found)} ${unit}`.trimEnd().padStart(12)}  ${verdict.padEnd(5)}` +
        `${load === undefined ? "–".padStart(6) : load.toFixed(1).padStart(6)}  ${run.at.slice(0, 16).replace("T", " ")}`,
    );
  }
  return missed;
}

function newestOf(folder: string, scenario: string): z.infer<typeof saved> | undefined {
  const pattern = new RegExp(`^${scenario}-\\d{4}-.*\\.json$`);
  const name = readdirSync(folder)
    .filter((file) => pattern.test(file))
    .sort((a, b) => a.localeCompare(b))
    .at(-1);
  if (name === undefined) {
    return undefined;
  }
  const read = saved.safeParse(JSON.parse(readFileSync(join(folder, name), "utf8")));
  return read.success ? read.data : undefined;
}
