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

/** A round that told so many sessions, each of so many changed peers. */
const told = (sessions: number, changesEach = 1) => ({ messages: sessions, sessions, changes: sessions * changesEach });

test("after a round whose changes were for different sessions the next waits as long as it took, at least 50 ms", () => {
  const { pace, begun, runUntil, setNow } = rig();
  setNow(10);
  pace.finished(0, told(0));
  pace.ask();
  runUntil(10_000);
  assert.deepEqual(begun, [10 + 50]);
  setNow(10_200);
  pace.finished(10_000, told(1));
  pace.ask();
  runUntil(20_000);
  assert.deepEqual(begun.at(-1), 10_400);
});

test("a cheap round holds up the next by no more than twelve times its cost", () => {
  const { pace, begun, runUntil } = rig();
  pace.finished(0, told(40));
  pace.ask();
  runUntil(10_000);
  assert.deepEqual(begun, [12]);
});

test("a round that took no time is priced by its messages", () => {
  const { pace, begun, runUntil } = rig();
  pace.finished(0, told(4000));
  pace.ask();
  runUntil(10_000);
  assert.deepEqual(begun, [100]);
});

test("a round asked for while another was under way waits until that one's cost is paid", () => {
  const { pace, begun, runUntil } = rig();
  pace.ask();
  pace.finished(0, told(1000));
  runUntil(10_000);
  assert.deepEqual(begun, [50]);
});

/** Rounds as fast as the pace allows, told of what came in between; how long each waited after the one before. */
function intervals(seconds: number, changesPerSecond: number, tally: (changes: number) => ReturnType<typeof told>) {
  const { pace, begun, runUntil, setNow } = rig();
  const waited: number[] = [];
  let now = 0;
  for (let last = 0; now < seconds * 1000;) {
    const round = tally(Math.max(1, Math.round((changesPerSecond * (now - last)) / 1000)));
    last = now;
    const ended = now + round.messages * 0.025;
    setNow(ended);
    pace.finished(now, round);
    pace.ask();
    runUntil(ended + 1000);
    now = begun.at(-1) ?? 0;
    waited.push(now - ended);
  }
  return waited;
}

test("in a storm that all sessions hear of, rounds wait for half a second, so that it becomes few messages", () => {
  const waits = intervals(10, 300, (changes) => told(3000, changes));
  assert.deepEqual(new Set(waits.slice(3)), new Set([500]));
});

test("changes that keep coming to all sessions wait the longer the more of them merge", () => {
  const last = (rate: number) => intervals(20, rate, (changes) => told(1000, changes)).at(-1) ?? NaN;
  assert.equal(last(2), 50);
  assert.ok(last(20) > 100 && last(20) < 300, `${last(20)} ms`);
  assert.ok(last(20) > last(10), `${last(20)} and ${last(10)} ms`);
});

test("as many changes, each for few of many sessions, wait little", () => {
  const waits = intervals(10, 50, (changes) => told(300 * changes));
  assert.ok(Math.max(...waits) <= 100, waits.join(", "));
});

test("what was a storm is forgotten within seconds", () => {
  const { pace, begun, runUntil, setNow } = rig();
  const waitAfter = (now: number, round: ReturnType<typeof told>) => {
    setNow(now);
    pace.finished(now, round);
    pace.ask();
    runUntil(now + 1000);
    return (begun.at(-1) ?? 0) - now;
  };
  const storm = [0, 600, 1200, 1800].map((now) => waitAfter(now, told(3000, 100)));
  assert.equal(storm.at(-1), 500);
  assert.ok(waitAfter(2400, told(1000)) > 200);
  assert.equal(waitAfter(10_000, told(1000)), 50);
});

test("the clock begins a round whose timer was lost", () => {
  const { pace, begun, lose } = rig();
  pace.ask();
  lose();
  assert.equal(pace.tick(), true);
  assert.equal(pace.tick(), false);
  assert.deepEqual(begun, [0]);
});
