import assert from "node:assert/strict";
import { test } from "node:test";
import { edgeCount } from "./edge-count.ts";

const large = { asked: undefined, cores: 4, nodes: 10_000, platform: "linux" };

test("a large tailnet's connections get the spare cores, but never more than the core can feed", () => {
  assert.equal(edgeCount(large), 3);
  assert.equal(edgeCount({ ...large, cores: 2 }), 1);
  assert.equal(edgeCount({ ...large, cores: 64 }), 8);
});

test("on one core, for a small tailnet, or where a port cannot be shared, everything is on the main thread", () => {
  assert.equal(edgeCount({ ...large, cores: 1 }), 0);
  assert.equal(edgeCount({ ...large, nodes: 1000 }), 0);
  assert.equal(edgeCount({ ...large, platform: "darwin" }), 0);
});

test("what the configuration says is done", () => {
  assert.equal(edgeCount({ ...large, asked: 0 }), 0);
  assert.equal(edgeCount({ ...large, nodes: 1, cores: 1, asked: 2 }), 2);
});
