// `npm run build`: the program as plain JavaScript in dist/. Each command, and the server, is a chunk of its own that
// is loaded when it is needed, so that a command starts without the server. bin/hawser runs dist/ as long as it is
// newer than the sources.
import { execFileSync } from "node:child_process";
import { readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");

export interface BuildResult {
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
}

/** Builds into `folder`, which is replaced whole when everything went well. */
export async function build(folder: string): Promise<BuildResult> {
  const fresh = `${folder}.new`;
  const began = new Date();
  rmSync(fresh, { recursive: true, force: true });
  const bundle = await rolldown({
    cwd: root,
    // A thread has a file of its own (src/store/sqlite-thread.ts and src/control/edge-threads.ts look for theirs at the
    // top of the folder).
    input: {
      hawser: "src/cli/main.ts",
      "sqlite-writer": "src/store/sqlite-writer.ts",
      "edge-thread": "src/control/edge-thread.ts",
      "policy-draft-thread": "src/server/policy-draft-thread.ts",
    },
    platform: "node",
    tsconfig: false,
    // pg asks for its native sibling and carries on without it.
    external: ["pg-native"],
    transform: { define: buildTexts() },
    onLog(level, log, handler) {
      if (level === "warn" && !quiet.has(log.code ?? "")) {
        throw new Error(`rolldown: ${log.message}`);
      }
      handler(level, log);
    },
  });
  await bundle.write({
    dir: fresh,
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name]-[hash].js",
    sourcemap: false,
    comments: { legal: true, jsdoc: false, annotation: false },
  });
  await bundle.close();
  // Written last, with the time of the start: bin/hawser compares the sources' times with this file's, and what was
  // edited during the build may or may not be in it.
  const stamp = join(fresh, ".built");
  writeFileSync(stamp, `${began.toISOString()}\n`);
  utimesSync(stamp, began, began);
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
  const sizes = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)).size);
  return { folder, files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** Warnings of libraries that are none of ours. */
const quiet = new Set(["EVAL", "CIRCULAR_DEPENDENCY", "MISSING_EXPORT_OPTIONAL"]);

/** What `hawser version` says of the build. */
function buildTexts(): Record<string, string> {
  return {
    "process.env.HAWSER_BUILD_COMMIT": JSON.stringify(commit()),
    "process.env.HAWSER_BUILD_TIME": JSON.stringify(sourceTime()),
  };
}

function git(...args: readonly string[]): string | undefined {
  try {
    return execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

function commit(): string {
  return git("rev-parse", "HEAD") ?? "unknown";
}

/** The commit's time, so that the same sources give the same bytes. */
function sourceTime(): string {
  return git("log", "-1", "--format=%cI") ?? "unknown";
}

if (import.meta.main) {
  const { folder, files, bytes } = await build(join(root, "dist"));
  console.log(`${folder}: ${files} files, ${(bytes / 1e6).toFixed(1)} MB`);
}
