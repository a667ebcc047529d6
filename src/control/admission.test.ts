// Who is let in when, by a clock that the test moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createManualClock } from "../identity/manual-clock.test-data.ts";
import { type AdmissionOptions, createAdmission, type Ticket } from "./admission.ts";

interface Guest {
  gone: boolean;
  /** Letting it in is a fault of the program. */
  broken: boolean;
  ticket: Ticket | undefined;
  turnedAway: boolean;
}

/** An admission whose handshakes take two milliseconds each. */
function rig(options: Partial<AdmissionOptions> = {}) {
  const clock = createManualClock();
  const turns: (() => void)[] = [];
  const faults: unknown[] = [];
  const admission = createAdmission({
    clock,
    later: (task) => turns.push(task),
    failed: (fault) => faults.push(fault),
    ...options,
  });
  const admitted: string[] = [];
  return {
    clock,
    admission,
    admitted,
    faults,
    add: (source: string, name = source): Guest | undefined => {
      const guest: Guest = { gone: false, broken: false, ticket: undefined, turnedAway: false };
      const taken = admission.add(source, {
        gone: () => guest.gone,
        admit(ticket) {
          if (guest.broken) {
            throw new RangeError("a fault of the program");
          }
          admitted.push(name);
          guest.ticket = ticket;
          clock.advance(2);
        },
        turnAway: () => (guest.turnedAway = true),
      });
      return taken ? guest : undefined;
    },
    /** One turn of the loop; false when there is nothing to do. */
    turn: (): boolean => {
      const task = turns.shift();
      task?.();
      return task !== undefined;
    },
    run: (): void => {
      for (let left = turns.length === 0 ? 0 : 100_000; left > 0 && turns.length > 0; left--) {
        turns.shift()?.();
      }
    },
  };
}

function present(guest: Guest | undefined): Guest {
  assert.ok(guest !== undefined);
  return guest;
}

test("a fault in one handshake costs that visitor and its ticket, and the next are let in", () => {
  const { add, admission, admitted, faults, run } = rig({ silent: 1, sliceMs: 100 });
  const broken = present(add("one"));
  broken.broken = true;
  add("two");
  run();
  assert.deepEqual([admitted, broken.turnedAway, faults.length], [["two"], true, 1]);
  assert.equal(admission.silent, 1);
  assert.ok(add("three") !== undefined);
});

test("handshakes of a flood wait behind themselves", () => {
  const { add, admitted, admission, turn } = rig({ capacity: 10, sliceMs: 4 });
  const flood = Array.from({ length: 8 }, (_, index) => add("flood", `flood ${index}`) !== undefined);
  assert.deepEqual(flood, [true, true, true, true, true, false, false, false]);
  assert.ok(add("honest"));
  for (let before = 0; turn(); before = admitted.length) {
    assert.ok(admitted.length - before <= 2, "other work gets its turn");
  }
  assert.deepEqual(admitted, ["flood 0", "honest", "flood 1", "flood 2", "flood 3", "flood 4"]);
  assert.equal(admission.waiting, 0);
});

test("while others arrive there are no handshakes for a moment, so that all are taken in", () => {
  const { clock, add, admitted, turn } = rig({ sliceMs: 4 });
  const gaps: number[] = [];
  let last = 0;
  // One arrives in each turn, which takes half a millisecond without handshakes.
  for (let index = 0; index < 400; index++) {
    add(`host ${index}`);
    const before = admitted.length;
    turn();
    clock.advance(0.5);
    if (admitted.length > before) {
      gaps.push(index - last);
      last = index;
    }
  }
  assert.ok(gaps.length >= 10, `${gaps.length} turns had handshakes: whoever waits is not forgotten`);
  assert.ok(
    gaps.slice(1).every((gap) => gap >= 30),
    `turns between handshakes: ${gaps.join(" ")}`,
  );
});

test("no more are silent and no more ask than may, and each that goes on lets in the next", () => {
  const { add, admitted, admission, run } = rig({ silent: 3, asking: 2 });
  const guests = Array.from({ length: 10 }, (_, index) => present(add(`host ${index}`)));
  const counts = (): number[] => [admitted.length, admission.silent, admission.asking, admission.waiting];
  const ticketOf = (index: number): Ticket => {
    assert.ok(guests[index]?.ticket !== undefined, `${index} was let in`);
    return guests[index].ticket;
  };
  run();
  assert.deepEqual(counts(), [3, 3, 0, 7]);
  ticketOf(0).spoke();
  run();
  assert.deepEqual(counts(), [4, 3, 1, 6]);
  ticketOf(1).spoke();
  run();
  assert.deepEqual(counts(), [4, 2, 2, 6], "two ask: nobody else comes in, though one more might be silent");
  ticketOf(0).served();
  ticketOf(0).served();
  run();
  assert.deepEqual(counts(), [5, 3, 1, 5]);
  for (let index = 1; index < guests.length; index++) {
    ticketOf(index).spoke();
    ticketOf(index).served();
    run();
  }
  assert.deepEqual(counts(), [10, 0, 0, 0]);
});

test("those who say nothing, or wait for an answer, keep others out for half a second, no longer", () => {
  const { clock, add, admitted, run } = rig({ silent: 2, asking: 1, sliceMs: 100 });
  const first = present(add("asks for long"));
  run();
  first.ticket?.spoke();
  add("kept out");
  run();
  clock.advance(450);
  run();
  assert.deepEqual(admitted, ["asks for long"]);
  clock.advance(100);
  run();
  assert.deepEqual(admitted, ["asks for long", "kept out"]);
  add("silent");
  add("honest");
  run();
  assert.deepEqual(admitted.slice(2), ["silent"]);
  clock.advance(600);
  run();
  assert.deepEqual(admitted.slice(2), ["silent", "honest"]);
});

test("nothing is done for a client that has given up, and it costs nobody's turn", () => {
  const { add, admitted, run } = rig();
  const guests = Array.from({ length: 1000 }, (_, index) => present(add(`host ${index}`)));
  for (const guest of guests.slice(0, 999)) {
    guest.gone = true;
  }
  run();
  assert.deepEqual(admitted, ["host 999"]);
  assert.ok(guests.every(({ turnedAway }) => !turnedAway));
});

test("whoever waited for so long that it is about to give up is sent away, and those after it are not", () => {
  const { clock, add, admitted, run } = rig({ patienceMs: 8000 });
  const tooLate = present(add("too late"));
  clock.advance(8001);
  const inTime = present(add("in time"));
  run();
  assert.deepEqual([tooLate.turnedAway, inTime.turnedAway, admitted], [true, false, ["in time"]]);
});

test("whatever comes, leaves and is served, no bound is passed and everybody is let in, sent away or gone", () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), source: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ kind: fc.constant("leave" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("speak" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("serve" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 3000 }) }),
    fc.record({ kind: fc.constant("turn" as const) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      const { clock, admission, add, turn, run } = rig({ silent: 4, asking: 2, capacity: 20, patienceMs: 5000 });
      const guests: Guest[] = [];
      const pick = (which: number): Guest | undefined => guests[which % Math.max(1, guests.length)];
      for (const step of events) {
        switch (step.kind) {
          case "add": {
            const guest = add(String(step.source));
            if (guest !== undefined) {
              guests.push(guest);
            }
            break;
          }
          case "leave": {
            const guest = pick(step.which);
            if (guest !== undefined) {
              guest.gone = true;
            }
            break;
          }
          case "speak":
            pick(step.which)?.ticket?.spoke();
            break;
          case "serve":
            pick(step.which)?.ticket?.served();
            break;
          case "wait":
            clock.advance(step.ms);
            break;
          case "turn":
            turn();
            break;
        }
        assert.ok(admission.silent <= 4 && admission.waiting <= 20);
      }
      for (let second = 0; second < 20; second++) {
        run();
        clock.advance(1000);
      }
      run();
      assert.equal(admission.waiting, 0);
      for (const { gone, ticket, turnedAway } of guests) {
        assert.ok(gone || (ticket !== undefined) !== turnedAway, "one way or the other");
      }
      assert.equal(clock.timers, 0, "an idle admission has no timer");
    }),
  );
});
