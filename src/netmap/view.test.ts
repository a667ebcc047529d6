import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { PolicyView, RouteShare } from "../policy/engine.ts";
import type { NodeId } from "../wire/ids.ts";
import { prefix } from "./tailnet.test-data.ts";
import { pairs, sameShare, View } from "./view.ts";

const id = (number: number) => number as NodeId;

function share(routes: number): RouteShare {
  return {
    id: routes,
    ifPrimary: Array.from({ length: routes }, (_, i) => prefix(`10.${i}.0.0/16`)),
    always: [],
    withoutIPv4: false,
  };
}

/** A policy view whose answers a test sets. */
class Answers implements PolicyView {
  readonly id = 1;
  readonly shares = new Map<NodeId, RouteShare>();

  peers(): readonly NodeId[] {
    return [...this.shares.keys()].sort((a, b) => a - b);
  }
  sees(peer: NodeId): boolean {
    return this.shares.has(peer);
  }
  routesOf(peer: NodeId): RouteShare {
    return this.shares.get(peer) ?? share(0);
  }
}

/** Who is seen, and with how many routes. */
function picture(ids: readonly NodeId[], shares: readonly RouteShare[]): readonly (readonly [number, number])[] {
  return ids.map((peer, index) => [peer, shares[index]?.ifPrimary.length ?? -1]);
}

test("shares with the same routes are the same, whatever object they are", () => {
  assert.equal(sameShare(share(2), share(2)), true);
  assert.equal(sameShare(share(2), share(1)), false);
  assert.equal(sameShare(share(0), { ...share(0), withoutIPv4: true }), false);
  assert.equal(sameShare(share(1), { ...share(0), always: share(1).ifPrimary }), false);
});

test("a view knows for every cursor what it was then", () => {
  const change = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: -1, max: 2 }));
  const steps = fc.array(fc.record({ changes: fc.array(change, { maxLength: 5 }), all: fc.boolean() }), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(steps, (history) => {
      const answers = new Answers();
      answers.shares.set(id(3), share(1));
      const view = new View(answers, () => true);
      const then = [picture(view.ids, view.asOf(0).shares)];
      history.forEach(({ changes, all }, index) => {
        for (const [peer, routes] of changes) {
          if (routes < 0) {
            answers.shares.delete(id(peer));
          } else {
            answers.shares.set(id(peer), share(routes));
          }
        }
        if (all) {
          view.refreshAll(index + 1);
        } else {
          view.refresh(
            index + 1,
            changes.map(([peer]) => id(peer)),
          );
        }
        then.push(answers.peers().map((peer) => [peer, answers.routesOf(peer).ifPrimary.length]));
      });
      then.forEach((expected, cursor) => {
        const { ids, shares } = view.asOf(cursor);
        assert.deepEqual(picture(ids, shares), expected);
      });
      assert.deepEqual(picture(view.ids, view.asOf(Infinity).shares), then.at(-1));
    }),
  );
});

test("a node that is gone from the tailnet is not seen, whatever the policy says", () => {
  const answers = new Answers();
  for (const peer of [1, 2, 3]) {
    answers.shares.set(id(peer), share(0));
  }
  let gone = 2;
  const view = new View(answers, (peer) => peer !== gone);
  assert.deepEqual(view.ids, [1, 3]);
  gone = 3;
  view.refresh(1, [id(2), id(3)]);
  assert.deepEqual(view.ids, [1, 2]);
});

test("what no cursor can ask for any more is forgotten, and the rest is not", () => {
  const answers = new Answers();
  const view = new View(answers, () => true);
  for (let step = 1; step <= 200; step++) {
    answers.shares.set(id(step), share(0));
    view.refresh(step, [id(step)]);
  }
  view.forget(150);
  assert.equal(view.changesSince(150).size, 50);
  assert.equal(view.asOf(170).ids.length, 170);
});

test("ranges of ids leave out the lower bound and include the upper", () => {
  const answers = new Answers();
  for (const peer of [2, 4, 6, 8]) {
    answers.shares.set(id(peer), share(0));
  }
  const view = new View(answers, () => true);
  assert.deepEqual(view.slice(id(2), id(6)), [4, 6]);
  assert.deepEqual(view.slice(id(3), id(7)), [4, 6]);
  assert.deepEqual(view.slice(null, id(2)), [2]);
  assert.deepEqual(view.slice(id(6), null), [8]);
});

test("users are told from a step on, and a session knows those of its cursor", () => {
  const view = new View(new Answers(), () => true);
  view.tell(1 as never, 3);
  view.tell(1 as never, 9);
  view.tell(2 as never, 5);
  assert.deepEqual(
    [2, 3, 4, 5].map((cursor) => [view.knows(1 as never, cursor), view.knows(2 as never, cursor)]),
    [
      [false, false],
      [true, false],
      [true, false],
      [true, true],
    ],
  );
  assert.deepEqual(view.toldSince(3), [2]);
  assert.deepEqual(view.toldSince(0), [1, 2]);
});

test("two lists are walked side by side", () => {
  const walked = [...pairs([id(1), id(3)], [share(1), share(0)], [id(2), id(3)], [share(0), share(2)])];
  assert.deepEqual(
    walked.map(({ id: peer, before, now }) => [peer, before?.id ?? null, now?.id ?? null]),
    [
      [1, 1, null],
      [2, null, 0],
      [3, 0, 2],
    ],
  );
});
