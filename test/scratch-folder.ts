import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/**
 * A folder that goes when the test ends. What a test leaves is undone in the order in which it was made, so a server may
 * still be at work in its folder: then a file can appear in what was empty a moment ago, and the removal is tried again.
 */
export function scratchFolder(context: TestContext, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `hawser-${name}-`));
  context.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return folder;
}
