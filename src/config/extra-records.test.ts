import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { ExtraRecord } from "./config.ts";
import { parseExtraRecords, watchExtraRecords } from "./extra-records.ts";
import { scratch } from "./scratch.test-data.ts";

const one = [{ name: "a.x", type: "A", value: "100.64.0.1" }];
const two = [...one, { name: "b.x", type: "AAAA", value: "fd7a::1" }];

/** A listener that remembers, and lets a test wait for the next change. */
function recorder() {
  const changes: (readonly ExtraRecord[])[] = [];
  const problems: string[] = [];
  let next = Promise.withResolvers<readonly ExtraRecord[]>();
  return {
    changes,
    problems,
    next: () => next.promise,
    changed: (records: readonly ExtraRecord[]) => {
      changes.push(records);
      next.resolve(records);
      next = Promise.withResolvers();
    },
    problem: (text: string) => void problems.push(text),
  };
}

suite("extra DNS records", () => {
  test("names of fields may be in any case, and a record that repeats counts once", () => {
    const text = '[{"Name":"a.x","Type":"A","Value":"100.64.0.1"},{"name":"a.x","type":"A","value":"100.64.0.1"}]';
    assert.deepEqual(parseExtraRecords(text), { ok: true, records: one });
  });

  test("what is not a list of records is a fault", () => {
    for (const text of ["", "{", "{}", "[1]", '[{"name":"a"}]', '[{"value":"1.2.3.4"}]', '[{"name":1,"value":"x"}]']) {
      assert.equal(parseExtraRecords(text).ok, false, text);
    }
  });

  test("the file is followed through edits, and only a change of content is told", async () => {
    using place = scratch();
    const path = place.write("r/records.json", JSON.stringify(one));
    const seen = recorder();
    const watcher = await watchExtraRecords(path, seen, { settle: 1, interval: 60_000 });
    assert.deepEqual(seen.changes, [one]);
    writeFileSync(path, `  ${JSON.stringify(one)}\n`);
    await watcher.check();
    assert.equal(seen.changes.length, 1);
    const change = seen.next();
    writeFileSync(path, JSON.stringify(two));
    assert.deepEqual(await change, two);
    const replaced = seen.next();
    place.write("r/new.json", JSON.stringify(one));
    renameSync(join(place.folder, "r/new.json"), path);
    assert.deepEqual(await replaced, one);
    watcher.close();
  });

  test("the last good records stay when the file is broken, emptied or deleted, and the problem is told once", async () => {
    using place = scratch();
    const path = place.write("records.json", JSON.stringify(two));
    const seen = recorder();
    const watcher = await watchExtraRecords(path, seen, { settle: 60_000, interval: 60_000 });
    for (const spoil of [() => writeFileSync(path, "[{"), () => writeFileSync(path, "\n"), () => rmSync(path)]) {
      spoil();
      await watcher.check();
      await watcher.check();
      assert.deepEqual(watcher.records(), two);
    }
    assert.equal(seen.problems.length, 3);
    writeFileSync(path, JSON.stringify(two));
    await watcher.check();
    assert.equal(seen.changes.length, 1, "the same records again are no change");
    watcher.close();
  });

  test("a file that comes later, in a folder that comes later, is found", async () => {
    using place = scratch();
    const path = join(place.folder, "later/records.json");
    const seen = recorder();
    const watcher = await watchExtraRecords(path, seen, { settle: 1, interval: 5 });
    assert.deepEqual([watcher.records(), seen.problems.length], [[], 1]);
    const change = seen.next();
    mkdirSync(join(place.folder, "later"));
    writeFileSync(path, JSON.stringify(one));
    assert.deepEqual(await change, one);
    watcher.close();
  });

  test("a link that is turned to another file, as Kubernetes does, is followed", async () => {
    using place = scratch();
    place.write("v1/records.json", JSON.stringify(one));
    place.write("v2/records.json", JSON.stringify(two));
    const link = join(place.folder, "data");
    symlinkSync("v1", link);
    const path = join(place.folder, "records.json");
    symlinkSync("data/records.json", path);
    const seen = recorder();
    const watcher = await watchExtraRecords(path, seen, { settle: 1, interval: 60_000 });
    const change = seen.next();
    symlinkSync("v2", `${link}.new`);
    renameSync(`${link}.new`, link);
    assert.deepEqual(await change, two);
    watcher.close();
  });
});
