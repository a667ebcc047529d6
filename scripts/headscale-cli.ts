// headscale's own program, for the test that it works against a Hawser server: built once from its Go module and kept
// in a cache folder. `node scripts/headscale-cli.ts` builds it, as the end-to-end tests do; it is the whole program, its
// server too. Other tests are skipped where it is not there.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const version = "0.29.2";

function cachedPath(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(base, "hawser", "headscale", version, "headscale");
}

/** The program, if it was built. */
export function headscaleProgram(): string | undefined {
  const path = cachedPath();
  return existsSync(path) ? path : undefined;
}

/** The program, built when it is not in the cache yet (minutes, then never again); or why there is none. */
export function headscaleOrReason(): { readonly program: string } | string {
  const there = headscaleProgram();
  if (there !== undefined) {
    return { program: there };
  }
  if (spawnSync("go", ["version"], { stdio: "ignore" }).status !== 0) {
    return "no Go to build headscale with";
  }
  console.error(`Building headscale ${version} (once; takes a few minutes) ...`);
  try {
    return { program: build() };
  } catch (error) {
    return `building headscale ${version} failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Builds it; takes minutes. Throws with Go's words. */
function build(): string {
  const folder = mkdtempSync(join(tmpdir(), "hawser-headscale-"));
  try {
    writeFileSync(join(folder, "go.mod"), "module build\n");
    const go = (...words: string[]): void => {
      const { status } = spawnSync("go", words, {
        cwd: folder,
        env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=mod" },
        stdio: ["ignore", "inherit", "inherit"],
      });
      if (status !== 0) {
        throw new Error(`go ${words.join(" ")} failed`);
      }
    };
    go("get", `github.com/juanfont/headscale/cmd/headscale@v${version}`);
    go("build", "-o", "headscale", "github.com/juanfont/headscale/cmd/headscale");
    const path = cachedPath();
    mkdirSync(join(path, ".."), { recursive: true });
    // The cache may lie on another file system, and another test run may build at the same time.
    const draft = `${path}.${process.pid}`;
    copyFileSync(join(folder, "headscale"), draft);
    renameSync(draft, path);
    return path;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  console.log(headscaleProgram() ?? build());
}
