// `npm run bench [SCENARIO] [-- --sizes 100,300,1000]`: what the server costs, measured from outside, with simulated
// clients that speak the real protocol. A table on stdout, everything as JSON in bench/results/.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { admin, adminTable } from "./admin.ts";
import { run as runCrowd } from "./crowd.ts";
import { allCommands, printMarks } from "./marks.ts";
import { mesh, meshMarks, type MeshResult } from "./mesh.ts";
import { inNamespace } from "./namespace.ts";
import { run as runPeerBytes } from "./peer-bytes.ts";
import { run as runPolicy } from "./policy.ts";
import type { Layout } from "./protocol.ts";
import { run as runSlowReaders } from "./slow-readers.ts";
import { run as runSteady } from "./steady.ts";
import { run as runStorm } from "./storm.ts";
import { meshTable } from "./table.ts";
import { run as runThreads } from "./threads.ts";

const usage = `npm run bench [SCENARIO] [-- --sizes N,N,N]

  mesh    N nodes that all see each other (100, 300, 1000): registration, connecting, endpoint changes, idle,
          all back at once, killed and started again
  groups  N nodes that see 300 others each, and a hub that all see (1000, 3000, 10000): the same, and the hub's changes
  steady  endpoints that keep changing in such groups (10000), --rate a second (50) for --seconds (20)
  peer-bytes  what one peer costs in a full map, by member
  admin   reads over REST with 1,000 nodes, and nodes list of 10,000
  policy  1,000 rules over 1k to 30k nodes: compiling, changes, filters, peers (--sizes to choose)
  crowd   N nodes that see one hub and nothing else (10000): what a session costs by itself
  storm   N nodes that see 300 others each, all back in one moment, and after the server was killed (10000)
  slow-readers  a thousand healthy clients beside N that do not read well (4000)
  marks   every mark beside what the newest run of its scenario found here
  all     all scenarios that have marks, one after the other (an hour), then those
  threads the same changes with connections on the main thread, on one edge thread and on two (1000)
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sizes: { type: "string" },
    rate: { type: "string", default: "50" },
    seconds: { type: "string", default: "20" },
    help: { type: "boolean", short: "h", default: false },
  },
});
const scenario = positionals[0] ?? "mesh";

if (values.help) {
  process.stdout.write(usage);
} else if (scenario === "mesh") {
  await runSizes(scenario, values.sizes ?? "100,300,1000", (nodes) => ({ nodes, group: nodes, hub: false }));
} else if (scenario === "groups") {
  await runSizes(scenario, values.sizes ?? "1000,3000,10000", (nodes) => ({ nodes, group: 300, hub: true }));
} else if (scenario === "steady") {
  const sizes = (values.sizes ?? "10000").split(",").map(Number);
  const pace = { rate: Number(values.rate), seconds: Number(values.seconds) };
  finish("steady", await runSteady({ sizes, ...pace, print, say }));
} else if (scenario === "peer-bytes") {
  finish("peer-bytes", await runPeerBytes({ print, say }));
} else if (scenario === "admin") {
  const result = await admin((text) => process.stderr.write(`${text}\n`));
  process.stdout.write(`${adminTable(result)}\n`);
  save("admin", result);
} else if (scenario === "policy") {
  const sizes = values.sizes?.split(",").map(Number);
  const { results, exitCode } = runPolicy({
    ...(sizes === undefined ? {} : { sizes }),
    print: (line) => process.stdout.write(`${line}\n`),
  });
  save("policy", results);
  process.exitCode = exitCode;
} else if (scenario === "crowd") {
  finish("crowd", await runCrowd({ sizes: (values.sizes ?? "10000").split(",").map(Number), print, say }));
} else if (scenario === "storm") {
  finish("storm", await runStorm({ sizes: (values.sizes ?? "10000").split(",").map(Number), print, say }));
} else if (scenario === "slow-readers") {
  const sizes = (values.sizes ?? "4000").split(",").map(Number);
  const inside = await inNamespace();
  if (inside === undefined) {
    finish("slow-readers", await runSlowReaders({ sizes, print, say }));
  } else {
    process.exitCode = inside;
  }
} else if (scenario === "threads") {
  finish("threads", await runThreads({ sizes: (values.sizes ?? "1000").split(",").map(Number), print, say }));
} else if (scenario === "marks") {
  process.exitCode = printMarks(resultsFolder(), print) === 0 ? 0 : 1;
} else if (scenario === "all") {
  for (const command of allCommands) {
    say(`\nbench ${command.join(" ")}`);
    spawnSync(process.execPath, [...process.execArgv, import.meta.filename, ...command], { stdio: "inherit" });
  }
  process.exitCode = printMarks(resultsFolder(), print) === 0 ? 0 : 1;
} else {
  process.stderr.write(`there is no scenario "${scenario}"\n${usage}`);
  process.exitCode = 2;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function finish(name: string, { results, exitCode }: { readonly results: unknown; readonly exitCode: number }): void {
  save(name, results);
  process.exitCode = exitCode;
}

async function runSizes(name: string, sizes: string, layoutOf: (nodes: number) => Layout): Promise<void> {
  const results: MeshResult[] = [];
  for (const nodes of sizes.split(",").map(Number)) {
    results.push(await mesh(layoutOf(nodes), (text) => process.stderr.write(`${text}\n`)));
  }
  process.stdout.write(`${meshTable(results, meshMarks)}\n\n`);
  for (const { nodes, differences, compared, samples } of results) {
    process.stdout.write(`${nodes} nodes: ${compared} peers compared with fresh maps, ${differences} differences\n`);
    for (const sample of samples) {
      process.stdout.write(`  ${sample}\n`);
    }
  }
  save(name, results);
  process.exitCode = results.some(({ differences }) => differences > 0) ? 1 : 0;
}

function resultsFolder(): string {
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  return folder;
}

function save(name: string, results: unknown): void {
  const folder = resultsFolder();
  const at = new Date().toISOString();
  const file = join(folder, `${name}-${at.replaceAll(":", "").slice(0, 17)}.json`);
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memory: totalmem(), kernel: release() };
  writeFileSync(
    file,
    `${JSON.stringify({ name, at, node: process.version, machine, load: loadavg(), results }, null, 1)}\n`,
  );
  process.stderr.write(`written to ${file}\n`);
}
