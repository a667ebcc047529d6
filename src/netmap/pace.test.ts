import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace } from "./pace.ts";

function rig() {
  let now = 0;
  let turns: { readonly at: number; readonly run: () => void }[] = [];
  const begun: number[] = [];
  const pace = new Pace(
    () => now,
    (run, afterMs) => turns.push({ at: now + afterMs, run }),
    () => begun.push(now),
  );
  const runUntil = (time: number) => {
    for (;;) {
      const due = turns.filter(({ at }) => at <= time).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) {
        now = time;
        return;
      }
      turns = turns.filter((turn) => turn !== due);
      now = Math.max(now, due.at);
      due.run();
    }
  };
  return { pace, begun, runUntil, setNow: (time: number) => (now = time), lose: () => (turns = []) };
}

test("on a quiet tailnet a round begins in the next turn of the loop", () => {
  const { pace, begun, runUntil } = rig();
  pace.ask();
  assert.deepEqual(begun, []);
  runUntil(0);
  assert.deepEqual(begun, [0]);
});

test("asking again before the round begins changes nothing", () => {
  const { pace, begun, runUntil } = rig();
  pace.ask();
  pace.ask();
  runUntil(1000);
  assert.equal(begun.length, 1);
});

test("after a dear round the next waits several times its cost, and never longer than half a second", () => {
  const { pace, begun, runUntil, setNow } = rig();
  setNow(10);
  pace.finished(0, 0);
  pace.ask();
  runUntil(10_000);
  assert.deepEqual(begun, [10 + 120]);
  setNow(11_000);
  pace.finished(10_000, 1);
  pace.ask();
  runUntil(20_000);
  assert.deepEqual(begun.at(-1), 11_500);
});

test("a round that took no time is priced by its messages", () => {
  const { pace, begun, runUntil } = rig();
  pace.finished(0, 1000);
  pace.ask();
  runUntil(10_000);
  assert.deepEqual(begun, [300]);
});

test("a round asked for while another was under way waits until that one's cost is paid", () => {
  const { pace, begun, runUntil } = rig();
  pace.ask();
  pace.finished(0, 1000);
  runUntil(10_000);
  assert.deepEqual(begun, [300]);
});

test("the clock begins a round whose timer was lost", () => {
  const { pace, begun, lose } = rig();
  pace.ask();
  lose();
  assert.equal(pace.tick(), true);
  assert.equal(pace.tick(), false);
  assert.deepEqual(begun, [0]);
});
