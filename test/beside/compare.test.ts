import assert from "node:assert/strict";
import { test } from "node:test";
import { createCanonical } from "./canonical.ts";
import { absent, findings } from "./compare.ts";

const canonical = createCanonical({ url: new URL("http://127.0.0.1:8080"), folder: "/somewhere" });

test("what differs is found at its place, and lists of other lengths as a whole", () => {
  assert.deepEqual(findings({ a: [{ b: 1 }, { b: 2 }] }, { a: [{ b: 1 }, { b: 3, c: null }] }), [
    { path: "a.*.b", theirs: 2, ours: 3 },
    { path: "a.*.c", theirs: absent, ours: null },
  ]);
  assert.deepEqual(findings({ a: [1] }, { a: [] }), [{ path: "a", theirs: [1], ours: [] }]);
  assert.deepEqual(findings({ a: "1" }, { a: 1 }), [{ path: "a", theirs: "1", ours: 1 }]);
  assert.deepEqual(findings({ a: [] }, { a: null }), [{ path: "a", theirs: [], ours: null }]);
});

test("answers of different statuses are one difference", () => {
  const [theirs, ours] = [
    { status: 200, body: {} },
    { status: 404, body: { code: 5 } },
  ];
  assert.deepEqual(findings(theirs, ours), [{ path: "status", theirs, ours }]);
});

test("secrets become numbers, so that the same one is known again and another is not", () => {
  const key = (letter: string): string => `hskey-auth-${letter.repeat(12)}-${letter.repeat(64)}`;
  assert.deepEqual(canonical([key("a"), key("b"), key("a"), `hskey-auth-${"b".repeat(12)}-***`]), [
    "hskey-auth-<1>-secret",
    "hskey-auth-<2>-secret",
    "hskey-auth-<1>-secret",
    "hskey-auth-<2>-***",
  ]);
});

test("times near now become their distance, in every form; others stay, and so do their forms", () => {
  const now = Date.now();
  const iso = (minutes: number): string => new Date(now + minutes * 60_000).toISOString();
  assert.deepEqual(canonical([iso(0), iso(60), { seconds: Math.floor(now / 1000), nanos: 5 }]), [
    "<now>",
    "<now+60min>",
    "<now>",
  ]);
  const far = ["0001-01-01T00:00:00Z", "2099-01-02T03:04:05.678Z", { seconds: -62_135_596_800 }];
  assert.deepEqual(canonical(far), far);
});
