// Questions about draft policies, answered on a thread of their own where they could hold up the one that serves nodes.
// One at a time; what the thread needs to know is read when its turn comes and sent in parts.
import { dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { answerDraft, type DraftAnswer, type DraftQuestion, type InForce } from "../policy/drafts.ts";
import type { PolicyInput } from "../policy/index.ts";
import type { TailnetReader } from "../tailnet/contract.ts";
import type { FromDraftThread, ToDraftThread } from "./policy-draft-thread.ts";

export interface PolicyDrafts {
  ask(question: DraftQuestion): Promise<DraftAnswer>;
  close(): Promise<void>;
}

/** What of the tailnet says what is in force. */
type Ruled = Pick<TailnetReader, "policy" | "policyProblem" | "policyVersion" | "nodes">;

interface Options {
  readonly tailnet: Ruled;
  readonly input: () => PolicyInput;
  /** What the thread runs; tests give one that fails. */
  readonly thread?: URL;
}

/** Below both of these a question takes a few milliseconds, less than starting a thread. */
const fewNodes = 200;
const shortText = 32 * 1024;
/** Sent at once; some three milliseconds of cloning. */
const part = 500;
const longestMs = 120_000;
/** Heap of the thread; ten thousand nodes take a tenth of it. */
const mostMegabytes = 1024;
/** A thread that nobody asks ends, and gives its memory back. */
const idleMs = 30_000;

export function openPolicyDrafts({ tailnet, input, thread = threadFile() }: Options): PolicyDrafts {
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function end(): Promise<void> {
    clearTimeout(idle);
    const ending = worker;
    worker = undefined;
    await ending?.terminate();
  }

  function start(): Worker {
    const fresh = new Worker(thread, { execArgv: [], resourceLimits: { maxOldGenerationSizeMb: mostMegabytes } });
    // Whoever waits for an answer hears of it too; when nobody does, it must not end the server.
    fresh.on("error", () => undefined);
    fresh.on("exit", () => {
      if (worker === fresh) {
        worker = undefined;
      }
    });
    return fresh;
  }

  async function ask(question: DraftQuestion): Promise<DraftAnswer> {
    const inForce = inForceOf(tailnet);
    const known = input();
    if (inForce === undefined || (known.nodes.length <= fewNodes && question.text.length <= shortText)) {
      return answerDraft(question, known, () => tailnet.policy);
    }
    clearTimeout(idle);
    worker ??= start();
    try {
      return await askThread(worker, question, known, inForce);
    } catch (error) {
      await end();
      throw error;
    } finally {
      idle = setTimeout(() => void end(), idleMs).unref();
    }
  }

  return {
    ask(question) {
      const answer = last.then(() => ask(question));
      last = answer.catch(() => undefined);
      return answer;
    },
    close: end,
  };
}

/** Undefined: what is in force is not what the newest text says. */
function inForceOf(tailnet: Ruled): InForce | undefined {
  if (tailnet.policyProblem !== undefined) {
    return undefined;
  }
  const text = tailnet.policyVersion?.text.trim() ?? "";
  if (text !== "") {
    return { kind: "text", text };
  }
  const [node] = tailnet.nodes();
  return node === undefined ? undefined : { kind: tailnet.policy.filterOf(node.id).length > 0 ? "open" : "closed" };
}

async function askThread(
  worker: Worker,
  question: DraftQuestion,
  { users, nodes, settings }: PolicyInput,
  inForce: InForce,
): Promise<DraftAnswer> {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const send = (message: ToDraftThread): void => worker.postMessage(message);
  // Listens from the start: a thread that ends while it is being told would never answer.
  const said = answerOf(worker);
  said.catch(() => undefined);
  for (let at = 0; at < users.length; at += part) {
    send({ kind: "users", users: users.slice(at, at + part) });
    await setImmediate();
  }
  for (let at = 0; at < nodes.length; at += part) {
    send({ kind: "nodes", nodes: nodes.slice(at, at + part) });
    await setImmediate();
  }
  const { derpMapFaults: _, ...plain } = settings;
  send({ kind: "ask", question, settings: plain, inForce });
  return said;
}

function answerOf(worker: Worker): Promise<DraftAnswer> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => settle(() => reject(new Error(`the question took longer than ${longestMs / 1000} seconds`))),
      longestMs,
    );
    const onMessage = (said: FromDraftThread): void =>
      settle(() => (said.ok ? resolve(said.answer) : reject(new Error(said.fault))));
    const onError = (error: unknown): void =>
      settle(() => reject(error instanceof Error ? error : new Error(String(error))));
    const onExit = (): void => settle(() => reject(new Error("the thread that was asked has ended")));
    const settle = (answer: () => void): void => {
      clearTimeout(late);
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      answer();
    };
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
  });
}

/** Beside this file in the sources; at the top of the built program. */
function threadFile(): URL {
  const here = import.meta.url;
  if (here.endsWith(".ts")) {
    return new URL("./policy-draft-thread.ts", here);
  }
  const inChunks = dirname(fileURLToPath(here)).endsWith("chunks");
  return new URL(inChunks ? "../policy-draft-thread.js" : "./policy-draft-thread.js", here);
}
