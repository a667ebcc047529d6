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

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const tally = { passed: 0, failed: 0, skipped: 0, skippedNames: [] as string[], failedNames: [] as string[] };
  for await (const event of source) {
    if (event.type === "test:pass" || event.type === "test:fail") {
      const details = event.data.details as Details | undefined;
      if (details?.type === "suite") {
        continue;
      }
      const file = event.data.file === undefined ? "" : relative(process.cwd(), event.data.file);
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
    } else if (event.type === "test:stderr" || event.type === "test:stdout") {
      yield event.data.message;
    }
  }
  const target = process.env["HAWSER_TEST_REPORT"];
  if (target !== undefined) {
    writeFileSync(target, JSON.stringify(tally));
  }
}
