import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { NodeId, UserId } from "../wire/ids.ts";
import { changed, ChangeLog } from "./change-log.ts";

const id = (number: number) => number as NodeId;

test("what changed since a step is all that later steps say", () => {
  const log = new ChangeLog(100);
  log.append(new Map([[id(1), changed.online]]), new Set());
  log.append(new Map([[id(1), changed.derp]]), new Set([7 as UserId]));
  log.append(new Map([[id(2), changed.key]]), new Set());
  assert.deepEqual(log.since(0, [])?.users, new Set([7 as UserId]));
  assert.equal(log.since(0, [id(1)])?.nodes.get(id(1)), changed.online | changed.derp);
  assert.equal(log.since(1, [id(1)])?.nodes.get(id(1)), changed.derp);
  assert.equal(log.since(2, [id(1)])?.nodes.get(id(1)), undefined);
  assert.deepEqual(log.since(3, [id(1), id(2)]), { nodes: new Map(), users: new Set() });
});

test("the log holds a bounded number of changes and says how far back it reaches", () => {
  const log = new ChangeLog(10);
  for (let step = 1; step <= 500; step++) {
    log.append(new Map([[id(step), changed.online]]), new Set());
  }
  assert.equal(log.current, 500);
  assert.equal(log.horizon, 495);
  assert.equal(log.since(494, []), undefined);
  assert.deepEqual([...(log.since(495, [])?.nodes.keys() ?? [])].length <= 5, true);
});

test("the bound may move: what is beyond it is forgotten with the next step", () => {
  let bound = 100;
  const log = new ChangeLog(() => bound);
  for (let step = 1; step <= 40; step++) {
    log.append(new Map([[id(step), changed.online]]), new Set());
  }
  assert.equal(log.horizon, 0);
  bound = 10;
  log.append(new Map([[id(41), changed.online]]), new Set());
  assert.equal(log.horizon, 36);
});

test("one step larger than the bound leaves nothing to catch up with", () => {
  const log = new ChangeLog(3);
  log.append(new Map([1, 2, 3, 4].map((number) => [id(number), changed.body])), new Set());
  assert.equal(log.horizon, 1);
  assert.equal(log.since(0, []), undefined);
  assert.deepEqual(log.since(1, []), { nodes: new Map(), users: new Set() });
});

test("asked by node or by step, the answer for those nodes is the same", () => {
  const steps = fc.array(fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 255 }))), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(steps, fc.nat(40), fc.subarray([1, 2, 3, 4, 5, 6, 7, 8, 9]), (history, since, asked) => {
      const log = new ChangeLog(40);
      const plain: Map<NodeId, number>[] = [];
      for (const step of history) {
        const nodes = new Map<NodeId, number>(step.map(([number, bits]) => [id(number), bits]));
        plain.push(nodes);
        log.append(nodes, new Set());
      }
      const changes = log.since(since, asked.map(id));
      if (since > log.current || since < log.horizon) {
        assert.equal(since < log.horizon, changes === undefined);
        return;
      }
      for (const number of asked) {
        const bits = plain.slice(since).reduce((all, nodes) => all | (nodes.get(id(number)) ?? 0), 0);
        assert.equal(changes?.nodes.get(id(number)) ?? 0, bits);
      }
    }),
  );
});
