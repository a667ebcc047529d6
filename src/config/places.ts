// Where things are on this machine: the configuration file, the data folder, the machine's address.
import { existsSync } from "node:fs";
import { homedir, networkInterfaces } from "node:os";
import { dirname, join, resolve } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the loader may know of its surroundings; tests put their own in. */
export interface Surroundings {
  /** From the command line: `-c FILE`. */
  readonly file: string | undefined;
  readonly env: Environment;
  readonly workingDir: string;
  readonly home: string;
  /** The folder with this program's package.json; undefined in a single-file executable. */
  readonly programRoot: string | undefined;
  /** Folders that are searched first, for a machine-wide configuration. */
  readonly systemFolders: readonly string[];
  /** An address other machines can reach this one at. */
  readonly machineAddress: () => string;
}

export function surroundings(overrides: Partial<Surroundings> = {}): Surroundings {
  return {
    file: undefined,
    env: process.env,
    workingDir: process.cwd(),
    home: homedir(),
    programRoot: findProgramRoot(import.meta.dirname),
    systemFolders: ["/etc/hawser", "/etc/headscale"],
    machineAddress: firstAddress,
    ...overrides,
  };
}

function findProgramRoot(start: string | undefined): string | undefined {
  let folder = start;
  while (folder !== undefined) {
    if (existsSync(join(folder, "package.json"))) {
      return folder;
    }
    const parent = dirname(folder);
    folder = parent === folder ? undefined : parent;
  }
  return undefined;
}

const installedData = "/var/lib/hawser";
const installFolders = ["/usr/", "/opt/", "/nix/", "/lib/", "/app/"];

/** A checkout keeps its data in itself; an installation where the system keeps such things. */
export function defaultDataDir({ programRoot }: Surroundings): string {
  if (programRoot === undefined) {
    return installedData;
  }
  const installed = installFolders.some((folder) => programRoot.startsWith(folder));
  return installed && !existsSync(join(programRoot, ".git")) ? installedData : join(programRoot, "data");
}

const names = ["config.yaml", "config.yml", "config.json"];
/** headscale's library would read these too; they are named in a message instead of being passed over. */
const foreignNames = ["config.toml", "config.hcl", "config.env", "config.properties", "config.ini"];

export interface FoundFile {
  readonly path: string;
  /** Named by a flag or the environment, so that its absence is an error. */
  readonly explicit: boolean;
  readonly foreign: boolean;
}

/** The file to read; undefined when none is named and none is where one would be. */
export function findConfigFile({ file, env, workingDir, home, systemFolders }: Surroundings): FoundFile | undefined {
  const named = file ?? (nonEmpty(env["HAWSER_CONFIG"]) || nonEmpty(env["HEADSCALE_CONFIG"]));
  if (named !== undefined) {
    const path = resolve(workingDir, named);
    return { path, explicit: true, foreign: foreignNames.some((name) => path.endsWith(name.slice(6))) };
  }
  for (const folder of [...systemFolders, join(home, ".hawser"), join(home, ".headscale"), workingDir]) {
    for (const name of [...names, ...foreignNames]) {
      const path = join(folder, name);
      if (existsSync(path)) {
        return { path, explicit: false, foreign: foreignNames.includes(name) };
      }
    }
  }
  return undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** Interfaces of containers and tunnels: nobody outside reaches those. */
const innerInterfaces = /^(docker|br-|veth|virbr|tailscale|wg|cni|flannel|lxc|podman|tun|utun)/;

function firstAddress(): string {
  const all = Object.entries(networkInterfaces())
    .toSorted(([x], [y]) => Number(innerInterfaces.test(x)) - Number(innerInterfaces.test(y)))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter((address) => !address.internal);
  const v4 = all.find(({ family, address }) => family === "IPv4" && !address.startsWith("169.254."));
  const v6 = all.find(({ family, scopeid }) => family === "IPv6" && !scopeid);
  return v4?.address ?? (v6 === undefined ? "127.0.0.1" : `[${v6.address}]`);
}
