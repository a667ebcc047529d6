// Who else has a database open. SQLite itself only notices other programs that use a write-ahead
// log; a headscale without one (write_ahead_log: false) holds no lock while it is idle; Linux tells which process has the file open.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { foldLog } from "./sqlite-files.ts";

/** Who has the database open, with its log folded into the file when it is nobody. */
export function holderOf(path: string): string | undefined {
  return openElsewhere(path) ?? (foldLog(path) ? undefined : "another program");
}

/** `headscale (process 4711)`, or undefined: nobody, or nobody whom this user may look at. */
function openElsewhere(path: string): string | undefined {
  const pid = numbersIn("/proc").find(
    (candidate) =>
      candidate !== String(process.pid) &&
      numbersIn(join("/proc", candidate, "fd")).some((fd) => isFile(join("/proc", candidate, "fd", fd), path)),
  );
  return pid === undefined ? undefined : `${nameOf(pid)} (process ${pid})`;
}

function isFile(descriptor: string, path: string): boolean {
  try {
    // By name first: a look at a file on a dead network share would not return.
    if (basename(readlinkSync(descriptor)) !== basename(path)) {
      return false;
    }
    const [there, here] = [statSync(descriptor), statSync(path)];
    return there.ino === here.ino && there.dev === here.dev;
  } catch {
    // Closed in the meantime.
    return false;
  }
}

function numbersIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    // Another user's process, one that has just ended, or no Linux.
    return [];
  }
}

function nameOf(pid: string): string {
  try {
    return readFileSync(join("/proc", pid, "comm"), "utf8").trim();
  } catch {
    return "another program";
  }
}
