// One server per data folder: two would overwrite each other's node keys and hand out addresses twice. The lock is a
// file that names its process; it is taken over when that process is gone, or is another one under the same number.
import { linkSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";

export interface ProcessLock {
  release(): void;
}

export type LockOutcome =
  | { readonly ok: true; readonly lock: ProcessLock }
  | { readonly ok: false; readonly holder: number };

interface Holder {
  readonly pid: number;
  /** When the process began, as the kernel counts; "" where that cannot be told. */
  readonly began: string;
}

export function takeLock(path: string): LockOutcome {
  const own: Holder = { pid: process.pid, began: beganAt(process.pid) };
  // The file appears with its content or not at all.
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        linkSync(draft, path);
        return { ok: true, lock: { release: () => releaseIfOwn(path, own) } };
      } catch (error) {
        if (!isCode(error, "EEXIST")) {
          throw error;
        }
      }
      const holder = readHolder(path);
      if (holder !== undefined && isAlive(holder) && holder.pid !== process.pid) {
        return { ok: false, holder: holder.pid };
      }
      rmSync(path, { force: true });
    }
    return { ok: false, holder: readHolder(path)?.pid ?? 0 };
  } finally {
    unlinkSync(draft);
  }
}

function releaseIfOwn(path: string, own: Holder): void {
  const holder = readHolder(path);
  if (holder?.pid === own.pid && holder.began === own.began) {
    rmSync(path, { force: true });
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value === "object" && value !== null && "pid" in value && "began" in value) {
      const { pid, began } = value;
      return typeof pid === "number" && typeof began === "string" ? { pid, began } : undefined;
    }
  } catch {
    // Gone, or half of a file from a crash: nobody holds it.
  }
  return undefined;
}

function isAlive({ pid, began }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return isCode(error, "EPERM");
  }
  return began === "" || beganAt(pid) === began;
}

/** The 22nd field of /proc/PID/stat; the second one may contain anything, so counting starts behind it. */
function beganAt(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
