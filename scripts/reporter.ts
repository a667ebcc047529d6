// A node:test reporter: quiet on success, full on failure, and a tally written to $HAWSER_TEST_REPORT at the end.
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

interface Details {
  readonly type?: string;
  readonly duration_ms?: number;
  readonly error?: unknown;
}

/** What was heard of one test file. */
export interface FileTally {
  /** Tests whose outcome was heard. */
  heard: number;
  /** Tests that the file's process says it ran; it says so last of all, so null when it did not come to its end. */
  ran: number | null;
}

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  readonly skippedNames: string[];
  readonly failedNames: string[];
  /** By path from the current folder. */
  readonly files: Record<string, FileTally>;
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0, skippedNames: [], failedNames: [], files: {} };
  const fileOf = (path: string): FileTally => (tally.files[fromHere(path)] ??= { heard: 0, ran: null });
  for await (const event of source) {
    if (event.type === "test:pass" || event.type === "test:fail") {
      const details = event.data.details as Details | undefined;
      if (details?.type === "suite") {
        continue;
      }
      // A test that no file brought is the runner's word on a whole file.
      if (event.data.entryFile !== undefined) {
        fileOf(event.data.entryFile).heard++;
      }
      const file = event.data.file === undefined ? "" : fromHere(event.data.file);
      const name = `${file}: ${event.data.name}`;
      if (event.data.skip !== undefined && event.data.skip !== false) {
        tally.skipped++;
        tally.skippedNames.push(typeof event.data.skip === "string" ? `${name} (${event.data.skip})` : name);
      } else if (event.type === "test:pass") {
        tally.passed++;
        if ((details?.duration_ms ?? 0) > 5000) {
          yield `slow ${name}: ${Math.round(details?.duration_ms ?? 0)} ms\n`;
        }
      } else {
        tally.failed++;
        tally.failedNames.push(name);
        yield `FAIL ${name}\n${inspect(details?.error, { depth: 4 })}\n`;
      }
    } else if (event.type === "test:summary") {
      if (event.data.file !== undefined) {
        fileOf(event.data.file).ran = event.data.counts.tests;
      }
    } else if (event.type === "test:stderr" || event.type === "test:stdout") {
      yield event.data.message;
    } else if (event.type === "test:diagnostic" && event.data.message.startsWith("Error:")) {
      // What a test left behind went wrong after its end: that fails the file, and is told nowhere else.
      yield `${event.data.message}\n`;
    }
  }
  const target = process.env["HAWSER_TEST_REPORT"];
  if (target !== undefined) {
    writeFileSync(target, JSON.stringify(tally));
  }
}

function fromHere(path: string): string {
  return relative(process.cwd(), path);
}
