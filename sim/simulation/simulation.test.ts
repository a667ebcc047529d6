import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "./simulation.ts";

for (let seed = 1; seed <= 10; seed++) {
  test(`seed ${seed}: after all that can happen every client has the netmap of a server that starts from scratch`, async () => {
    const report = await simulate({ seed, clients: 50, steps: 250 });
    assert.deepEqual(
      report.faults,
      [],
      `replay: npm run simulate -- --first ${seed} --seeds 1 --clients 50 --steps 250`,
    );
    assert.ok(report.compared > 5);
  });
}

test("hundreds of clients", async () => {
  const report = await simulate({ seed: 4711, clients: 200, steps: 700 });
  assert.deepEqual(report.faults, []);
  assert.ok(report.compared > 60);
});

test("the same seed does the same again", async () => {
  const options = { seed: 99, clients: 30, steps: 200 };
  assert.deepEqual(await simulate(options), await simulate(options));
});
