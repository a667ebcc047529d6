// `npm run simulate -- --seeds 10000 [--first 1] [--clients 60] [--steps 400]`: many runs of the deterministic simulation.
// A failing seed is printed with what is wrong; `--first SEED --seeds 1` replays it.
import { parseArgs } from "node:util";
import { simulate } from "./simulation/simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    first: { type: "string", default: "1" },
    clients: { type: "string", default: "60" },
    steps: { type: "string", default: "400" },
  },
});

let failed = 0;
let compared = 0;
let crashes = 0;
const first = Number(values.first);
const seeds = Number(values.seeds);
for (let seed = first; seed < first + seeds; seed++) {
  const report = await simulate({ seed, clients: Number(values.clients), steps: Number(values.steps) });
  compared += report.compared;
  crashes += report.crashes;
  if (report.faults.length > 0) {
    failed += 1;
    console.log(`seed ${seed}: ${report.faults.length} faults`);
    for (const fault of report.faults.slice(0, 10)) {
      console.log(`  ${fault}`);
    }
  }
  if ((seed - first + 1) % 50 === 0) {
    console.error(`${seed - first + 1} of ${seeds} seeds, ${failed} failed`);
  }
}
console.log(
  `${seeds - failed} seeds as they should be, ${failed} not; ${compared} netmaps compared, ${crashes} crashes survived`,
);
process.exitCode = failed === 0 ? 0 : 1;
