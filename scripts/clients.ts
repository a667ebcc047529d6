// The real Tailscale clients that the end-to-end tests run: built once by `go install` and kept in a cache folder.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Newest and oldest client that Hawser is tried with. */
export const newestClient = "1.102.5";
export const oldestClient = "1.80.3";

export interface ClientPrograms {
  readonly version: string;
  readonly tailscale: string;
  readonly tailscaled: string;
}

function cacheFolder(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(base, "hawser", "clients");
}

/** The programs of one version, built when they are not in the cache yet (minutes, then never again); a string says why not. */
export function clientPrograms(version: string): ClientPrograms | string {
  const folder = join(cacheFolder(), version);
  const programs = { version, tailscale: join(folder, "tailscale"), tailscaled: join(folder, "tailscaled") };
  if (existsSync(programs.tailscale) && existsSync(programs.tailscaled)) {
    return programs;
  }
  if (spawnSync("go", ["version"], { stdio: "ignore" }).status !== 0) {
    return "no Go to build the Tailscale client with";
  }
  console.error(`Building tailscale ${version} (once; takes a few minutes) ...`);
  const building = `${folder}.building-${process.pid}`;
  mkdirSync(building, { recursive: true });
  const targets = ["tailscale", "tailscaled"].map((name) => `tailscale.com/cmd/${name}@v${version}`);
  const build = spawnSync("go", ["install", ...targets], {
    env: { ...process.env, GOBIN: building, CGO_ENABLED: "0" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (build.status !== 0) {
    rmSync(building, { recursive: true, force: true });
    return `building the Tailscale client ${version} failed`;
  }
  try {
    rmSync(folder, { recursive: true, force: true });
    renameSync(building, folder);
  } catch (error) {
    // Another run may have built them at the same time, and put its own there first.
    rmSync(building, { recursive: true, force: true });
    if (!existsSync(programs.tailscaled)) {
      throw error;
    }
  }
  return programs;
}

if (import.meta.main) {
  for (const version of [newestClient, oldestClient]) {
    const programs = clientPrograms(version);
    console.log(typeof programs === "string" ? programs : `${version}: ${programs.tailscaled}`);
  }
}
