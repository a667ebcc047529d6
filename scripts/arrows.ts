// Holds the arrows between rooms (docs/architecture.md): each room may import only what stands in its list,
// and the pure rooms may not import Node's own modules. A wrong import fails the build.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** What each room under src/ may import, itself apart. "wire:types" means type-only imports from wire. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  wire: ["ip"],
  ip: [],
  policy: ["ip", "wire:types"],
  tailnet: ["policy", "ip", "wire"],
  netmap: ["tailnet", "policy", "ip", "wire"],
  config: ["ip", "wire"],
  store: ["tailnet", "ip", "wire", "config:types"],
  relay: ["wire", "ip"],
  identity: ["tailnet", "wire", "ip"],
  control: ["netmap", "tailnet", "policy", "identity", "relay", "wire", "ip"],
  api: ["identity", "netmap", "tailnet", "policy", "ip", "wire", "config:types"],
  ops: ["netmap", "tailnet", "policy", "relay", "store", "config", "ip", "wire"],
  cli: [
    "api",
    "identity",
    "config",
    "ops",
    "policy",
    "ip",
    "wire",
    "tailnet:types",
    "server.ts",
    "server",
    "store:types",
  ],
};

/** The one file outside src/ that rooms may read: the version is there. */
const packageFile = "../package.json";

/** Rooms that know no sockets, files, timers or random numbers of their own. */
const pure = new Set(["ip", "policy", "tailnet", "netmap"]);
/** wire needs crypto and zlib for its formats, nothing that touches the outside. */
const wireNodeModules = new Set(["node:crypto", "node:zlib", "node:buffer"]);
const impureGlobals =
  /\b(Date\.now\(|Math\.random\(|new Date\(\)|performance\.now\(|setTimeout\(|setInterval\(|setImmediate\()/;

export interface ArrowFault {
  readonly file: string;
  readonly line: number;
  readonly problem: string;
}

function* sourceFiles(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      yield* sourceFiles(path);
    } else if (entry.name.endsWith(".ts")) {
      yield path;
    }
  }
}

const importPattern = /^\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\s+from\s+)?"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/;

/** Checks every file under `src`; tests (x.test.ts, x.test-data.ts) may import Node's modules, fast-check and other rooms' test doubles. */
export function checkArrows(src: string): ArrowFault[] {
  const faults: ArrowFault[] = [];
  for (const file of sourceFiles(src)) {
    const path = relative(src, file);
    const room = path.split("/")[0] ?? "";
    const allowed = mayImport[room];
    if (allowed === undefined || /\.test(-data)?\.ts$/.test(file)) {
      continue;
    }
    const joined = readFileSync(file, "utf8").replace(/\{[^{}]*\}/g, (braces) => braces.replace(/\n/g, "\u0000"));
    joined.split("\n").forEach((text, index) => {
      const problem = faultOf(text.replaceAll("\u0000", " "), { src, file, room, allowed });
      if (problem !== undefined) {
        faults.push({ file: relative(dirname(src), file), line: index + 1, problem });
      }
    });
  }
  return faults;
}

interface Place {
  readonly src: string;
  readonly file: string;
  readonly room: string;
  readonly allowed: readonly string[];
}

function faultOf(text: string, { src, file, room, allowed }: Place): string | undefined {
  if (pure.has(room) && impureGlobals.test(text) && !/^\s*(\/\/|\*)/.test(text)) {
    return `${room}/ is pure: time, timers and randomness are passed in`;
  }
  const match = importPattern.exec(text);
  const target = match?.[2] ?? match?.[3];
  if (target === undefined) {
    return undefined;
  }
  if (!target.startsWith(".")) {
    if (pure.has(room) && target.startsWith("node:")) {
      return `${room}/ is pure and may not import ${target}`;
    }
    if (room === "wire" && target.startsWith("node:") && !wireNodeModules.has(target)) {
      return `wire/ may not import ${target}`;
    }
    return undefined;
  }
  const place = relative(src, resolve(dirname(file), target));
  const other = place.split("/")[0] ?? "";
  if (place === packageFile || other === room || allowed.includes(other)) {
    return undefined;
  }
  if (allowed.includes(`${other}:types`)) {
    return match?.[1] === undefined ? `${room}/ may import only types from ${other}/ (write "import type")` : undefined;
  }
  return `${room}/ may not import from ${other}/`;
}
