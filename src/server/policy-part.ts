// Where the policy comes from: a file that is watched, or the database. A bad text never replaces a good one; where
// there is a policy file and no text of it was ever good, nothing is allowed rather than everything.
import { watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Config } from "../config/config.ts";
import type { Logger } from "../ops/logger.ts";
import type { Actor, Tailnet } from "../tailnet/contract.ts";

export interface PolicyPart {
  /** Reads the file again, or says that there is none to read; what is wrong is logged. */
  reload(): Promise<void>;
  readFile(): Promise<string | undefined>;
  /** Why something else is in force than what was written; undefined when all is well. */
  problem(): string | undefined;
  close(): void;
}

const maxPolicyBytes = 10 * 1024 * 1024;
const settleMs = 200;
const lookEveryMs = 10_000;
/** Whom history and audit log name. */
const theFile: Actor = { kind: "server", id: "file", from: "" };

export async function startPolicyPart(options: {
  readonly config: Config["policy"];
  readonly tailnet: Tailnet;
  readonly log: Logger;
}): Promise<PolicyPart> {
  const { config, tailnet, log } = options;
  const { path } = config;
  if (tailnet.policyProblem !== undefined) {
    log.error({}, tailnet.policyProblem);
  }
  if (config.mode === "database") {
    return {
      reload: async () => log.info({}, "the policy is in the database and in force; there is no file to read"),
      readFile: () => Promise.resolve(undefined),
      problem: () => tailnet.policyProblem,
      close: () => undefined,
    };
  }

  let tried: string | undefined;
  let problem: string | undefined;
  /** Why it could last not be read; said once. */
  let unreadable = "";
  /** Somebody asked for this look and wants an answer. */
  let asked = false;

  async function load(): Promise<void> {
    let text: string;
    try {
      text = (await readPolicyFile(path)) ?? "";
    } catch (error) {
      const fault = textOf(error);
      problem = `the policy file cannot be read, ${inForce()}: ${fault}`;
      if (fault !== unreadable) {
        log.error({ path }, problem);
      }
      unreadable = fault;
      tried = undefined;
      return;
    }
    unreadable = "";
    if (text === tried) {
      return;
    }
    tried = text;
    if (text === (tailnet.policyVersion?.text ?? "") && tailnet.policyProblem === undefined) {
      if (asked) {
        log.info({ path }, path === "" ? "no policy file is configured: everything is allowed" : "policy unchanged");
      }
      asked = false;
      problem = undefined;
      return;
    }
    if (path !== "" && isBlank(text) && !isBlank(tailnet.policyVersion?.text ?? "")) {
      problem = `the policy file is empty, ${inForce()}; {} in it lets everybody reach everybody`;
      log.error({ path }, problem);
      return;
    }
    const outcome = await tailnet.setPolicy(theFile, text);
    if (outcome.ok) {
      problem = undefined;
      log.info({ path, version: outcome.value.id }, "policy loaded");
    } else {
      problem = `the policy file is not used, ${inForce()}: ${outcome.error.text}`;
      log.error({ path }, problem);
    }
  }

  function inForce(): string {
    return tailnet.policyVersion === null ? "nothing is allowed" : "the last good policy stays in force";
  }

  let running: Promise<void> = Promise.resolve();
  function look(): Promise<void> {
    running = running.then(load, load);
    return running;
  }

  await look();
  const stop = path === "" ? () => undefined : follow(path, () => void look());
  return {
    async reload() {
      tried = undefined;
      unreadable = "";
      asked = true;
      await look();
    },
    readFile: () => readPolicyFile(path),
    problem: () => problem ?? tailnet.policyProblem,
    close: stop,
  };
}

/** So files are for a moment while they are written, and for longer on a full disk: nothing that anybody decided. */
function isBlank(text: string): boolean {
  return text.trim() === "";
}

/** Undefined when no file is configured: everybody may reach everybody. */
async function readPolicyFile(path: string): Promise<string | undefined> {
  if (path === "") {
    return undefined;
  }
  const { size } = await stat(path);
  if (size > maxPolicyBytes) {
    throw new Error(`it is larger than ${maxPolicyBytes} bytes`);
  }
  return readFile(path, "utf8");
}

/** Calls when the file may have changed: the folder is watched, because editors replace files, and looked at anyway. */
function follow(path: string, call: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const soon = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      call();
    }, settleMs).unref();
  };
  let close = (): void => undefined;
  try {
    // Kubernetes swaps a link beside the file, so a change of any name may be one of this file.
    const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
      if (name === null || name === basename(path) || name.startsWith("..")) {
        soon();
      }
    });
    watcher.on("error", () => watcher.close());
    close = () => watcher.close();
  } catch {
    // No such folder (yet): the interval looks.
  }
  const interval = setInterval(call, lookEveryMs).unref();
  return () => {
    close();
    clearInterval(interval);
    clearTimeout(timer);
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
