// headscale's own program, for the test that it works against a Hawser server: built once from its Go module and kept
// in a cache folder. `node scripts/headscale-cli.ts` builds it; the test is skipped where it is not there.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
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
    renameSync(join(folder, "headscale"), path);
    return path;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  console.log(headscaleProgram() ?? build());
}
