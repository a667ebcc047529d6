// The thread that answers questions about draft policies. It is told the users and nodes in parts, for cloning many of
// them at once would hold up the thread that sends them.
import { parentPort } from "node:worker_threads";
import {
  answerDraft,
  engineInForce,
  type DraftAnswer,
  type DraftQuestion,
  type InForce,
  type PlainSettings,
} from "../policy/drafts.ts";
import type { PolicyNode, PolicyUser } from "../policy/engine.ts";
import { parsePolicyDerpMap } from "../relay/derp-map-schema.ts";

export type ToDraftThread =
  | { readonly kind: "users"; readonly users: readonly PolicyUser[] }
  | { readonly kind: "nodes"; readonly nodes: readonly PolicyNode[] }
  | {
      readonly kind: "ask";
      readonly question: DraftQuestion;
      readonly settings: PlainSettings;
      readonly inForce: InForce;
    };

export type FromDraftThread =
  | { readonly ok: true; readonly answer: DraftAnswer }
  | { readonly ok: false; readonly fault: string };

let users: PolicyUser[] = [];
let nodes: PolicyNode[] = [];

function answer(question: DraftQuestion, settings: PlainSettings, inForce: InForce): FromDraftThread {
  const input = { users, nodes, settings: { ...settings, derpMapFaults } };
  try {
    return { ok: true, answer: answerDraft(question, input, () => engineInForce(inForce, input)) };
  } catch (error) {
    return { ok: false, fault: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** What is wrong with the relays that a policy names. */
function derpMapFaults(said: Parameters<typeof parsePolicyDerpMap>[0]): readonly string[] {
  return parsePolicyDerpMap(said).problems.map(({ key, problem }) => `${key} ${problem}`);
}

parentPort?.on("message", (message: ToDraftThread) => {
  switch (message.kind) {
    case "users":
      users.push(...message.users);
      return;
    case "nodes":
      nodes.push(...message.nodes);
      return;
    case "ask": {
      const said = answer(message.question, message.settings, message.inForce);
      users = [];
      nodes = [];
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      parentPort?.postMessage(said);
    }
  }
});
