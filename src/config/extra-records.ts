// dns.extra_records_path: a JSON file of DNS records that other programs write and this server follows. Whatever
// happens to the file (replaced, deleted, half written), the last good records stay.
import { createHash } from "node:crypto";
import { watch } from "node:fs";
import type { FSWatcher } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { ExtraRecord } from "./config.ts";
import { recordOf } from "./values.ts";

export type ParsedRecords =
  | { readonly ok: true; readonly records: readonly ExtraRecord[] }
  | { readonly ok: false; readonly fault: string };

/** Reads a JSON array of {name, type, value}; the names of fields in any case; repeated records count once. */
export function parseExtraRecords(text: string): ParsedRecords {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, fault: error instanceof Error ? error.message : String(error) };
  }
  if (!Array.isArray(value)) {
    return { ok: false, fault: "not a JSON array of records" };
  }
  const records = new Map<string, ExtraRecord>();
  for (const [index, item] of value.entries()) {
    const record = typeof item === "object" && item !== null ? recordOf(Object.entries(item)) : undefined;
    if (record === undefined) {
      return { ok: false, fault: `record ${index} needs a name and a value` };
    }
    records.set(JSON.stringify([record.name, record.type, record.value]), record);
  }
  return { ok: true, records: [...records.values()] };
}

export interface RecordsListener {
  /** The records changed; never called twice with the same content. */
  readonly changed: (records: readonly ExtraRecord[]) => void;
  /** Something is wrong with the file; the last good records stay. Said once for each content. */
  readonly problem: (text: string) => void;
}

export interface RecordsWatcher {
  /** The last good records. */
  readonly records: () => readonly ExtraRecord[];
  /** Looks at the file now; ends when what was found has been told. */
  readonly check: () => Promise<void>;
  readonly close: () => void;
}

export interface WatchTimes {
  /** Writers write in several steps: how long to wait after the first sign of a change, ms. */
  readonly settle: number;
  /** Signs get lost (network file systems, a folder that is made later): how often to look anyway, ms. */
  readonly interval: number;
}

const usualTimes: WatchTimes = { settle: 100, interval: 10_000 };
const maxRecordsBytes = 4 * 1024 * 1024;

/** Reads the file once, then follows it until closed. A file that is not there yet is a problem, not an error. */
export async function watchExtraRecords(
  path: string,
  listener: RecordsListener,
  times: WatchTimes = usualTimes,
): Promise<RecordsWatcher> {
  let records: readonly ExtraRecord[] = [];
  let seen = "";
  let queue: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    const content = await contentOf(path);
    if (content.digest === seen) {
      return;
    }
    seen = content.digest;
    const parsed: ParsedRecords = content.ok ? parseExtraRecords(content.text) : content;
    if (!parsed.ok) {
      listener.problem(`dns.extra_records_path: ${path}: ${parsed.fault}`);
    } else if (JSON.stringify(parsed.records) !== JSON.stringify(records)) {
      records = parsed.records;
      listener.changed(records);
    }
  };
  const check = (): Promise<void> => {
    queue = queue.then(look);
    return queue;
  };
  await check();
  const stop = followFolder(dirname(path), () => void check(), times);
  return { records: () => records, check, close: stop };
}

type Content =
  | { readonly ok: true; readonly digest: string; readonly text: string }
  | { readonly ok: false; readonly digest: string; readonly fault: string };

async function contentOf(path: string): Promise<Content> {
  try {
    const { size } = await stat(path);
    if (size > maxRecordsBytes) {
      return fault(`larger than ${maxRecordsBytes} bytes`);
    }
    const text = await readFile(path, "utf8");
    // An empty file is one that is about to be written.
    return text.trim() === ""
      ? fault("empty: the last records stay")
      : { ok: true, digest: createHash("sha256").update(text).digest("hex"), text };
  } catch (error) {
    return fault(error instanceof Error && "code" in error ? String(error.code) : String(error));
  }
}

function fault(text: string): Content {
  return { ok: false, digest: `fault: ${text}`, fault: text };
}

/** Calls after something in the folder changed: the folder, because editors and Kubernetes replace the file in it. */
function followFolder(folder: string, call: () => void, { settle, interval }: WatchTimes): () => void {
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  const open = (): void => {
    try {
      watcher = watch(folder, { persistent: false }, () => {
        timer ??= setTimeout(() => {
          timer = undefined;
          call();
        }, settle).unref();
      });
      watcher.on("error", () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // No such folder yet: the interval tries again.
      watcher = undefined;
    }
  };
  open();
  const ticker = setInterval(() => {
    if (watcher === undefined) {
      open();
    }
    call();
  }, interval).unref();
  return () => {
    clearInterval(ticker);
    clearTimeout(timer);
    watcher?.close();
  };
}
