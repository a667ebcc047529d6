// Deciding on who waits to join.
import { AuthApprove, AuthRegister, AuthReject, DebugCreateNode, RegisterNode } from "../../api/calls.ts";
import { Node } from "../../api/messages.ts";
import { ListWaiting } from "../../api/own-calls.ts";
import { Waiting } from "../../api/own-messages.ts";
import { CliError } from "../cli-error.ts";
import { tableTime } from "../durations.ts";
import type { Invocation } from "../invocation.ts";
import { many, one, plain } from "../output-shapes.ts";
import { renderTable, tableStyle } from "../table.ts";

const authIdForm = /hskey-authreq-[A-Za-z0-9_-]{24}/;

/** The auth id, from itself or from the whole link that a client printed. */
function authId(text: string): string {
  return /^https?:\/\//.test(text) ? (authIdForm.exec(text)?.[0] ?? text) : text;
}

export async function registerAuth(run: Invocation): Promise<void> {
  const { flags } = run;
  const client = await run.client();
  const input = { user: flags.text("user"), authId: authId(flags.text("auth-id")) };
  const { node } = await client.call(AuthRegister, input, "registering node");
  run.answer(one(Node, node ?? Node.unset), `Node ${node?.givenName ?? ""} registered`);
}

export async function registerNode(run: Invocation): Promise<void> {
  const { flags } = run;
  run.note("note: today's spelling is: auth register --user USER --auth-id ID");
  const key = authId(flags.text("key"));
  if (/^(node|m)key:/.test(key)) {
    throw new CliError(
      "registering node: --key takes the auth id from the link that the client printed (hskey-authreq-…), not the node's key",
    );
  }
  const client = await run.client();
  const { node } = await client.call(RegisterNode, { user: flags.text("user"), key }, "registering node");
  run.answer(one(Node, node ?? Node.unset), `Node ${node?.givenName ?? ""} registered`);
}

export async function listWaiting(run: Invocation): Promise<void> {
  const client = await run.client();
  const { waiting } = await client.call(ListWaiting, {}, "listing who waits");
  const rows = waiting.map((entry) => [
    entry.authId,
    entry.kind === "MACHINE"
      ? `machine ${entry.hostname}`
      : `SSH from node ${entry.sourceNode} to ${entry.localUser} on node ${entry.destinationNode}`,
    entry.from,
    tableTime(entry.createdAt),
    tableTime(entry.expiresAt),
  ]);
  const header = ["Auth ID", "Who", { title: "From", drop: 2 }, { title: "Since", drop: 1 }, "Until"];
  run.answer(many(Waiting, waiting), renderTable(header, rows, tableStyle(run.io)));
}

export async function approveAuth(run: Invocation): Promise<void> {
  const client = await run.client();
  await client.call(AuthApprove, { authId: authId(run.flags.text("auth-id")) }, "approving auth request");
  run.answer(plain({}), "Auth request approved");
}

export async function rejectAuth(run: Invocation): Promise<void> {
  const client = await run.client();
  await client.call(AuthReject, { authId: authId(run.flags.text("auth-id")) }, "rejecting auth request");
  run.answer(plain({}), "Auth request rejected");
}

export async function debugCreateNode(run: Invocation): Promise<void> {
  const { flags } = run;
  const client = await run.client();
  const input = {
    name: flags.text("name"),
    user: flags.text("user"),
    key: flags.text("key"),
    routes: flags.list("route"),
  };
  const { node } = await client.call(DebugCreateNode, input, "creating node");
  run.answer(one(Node, node ?? Node.unset), "Node created");
}
