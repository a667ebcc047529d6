// GET /machine/ssh/action/{src}/to/{dst} (protocol §5.1): the SSH server on `dst` asks whether a session that the policy
// lets through "after a check" may go on. The first answer sends the user to a page and the client to a second URL, on
// which it waits for what the person decides. A confirmation is remembered for as long as the policy's rule says.
import type { Clock } from "../identity/clock.ts";
import type { Pending, SshCheck } from "../identity/pending.ts";
import type { Tailnet } from "../tailnet/contract.ts";
import type { Node } from "../tailnet/model.ts";
import type { NodeId } from "../wire/ids.ts";
import type { SSHAction } from "../wire/tailcfg.ts";
import { sourceOf } from "./client-address.ts";
import type { EdgeReply } from "./edge-link.ts";
import { type Log, shortKey } from "./log.ts";
import type { MachineCall } from "./machine-call.ts";
import { jsonReply, textReply } from "./reply.ts";

export interface SshRoom {
  readonly tailnet: Tailnet;
  readonly pending: Pending;
  readonly clock: Clock;
  readonly log: Log;
  readonly serverUrl: string;
  /** `<src> <dst> <local user>` → when it was confirmed. In memory only: after a restart everybody is asked again. */
  readonly approvals: Map<string, number>;
}

const pathPattern = /^\/machine\/ssh\/action\/([1-9][0-9]{0,15})\/to\/([1-9][0-9]{0,15})$/;
const maxApprovals = 10_000;
/** Characters of a local user's name: approvals and questions are kept by it. */
const maxLocalUser = 256;
const holdMs = 120_000;
const noRule = "no rule of the policy asks for this check";

export async function sshAction(room: SshRoom, call: MachineCall): Promise<EdgeReply | undefined> {
  const match = pathPattern.exec(call.path);
  if (match === null) {
    return textReply(400, "invalid node ids");
  }
  const source = room.tailnet.node(Number(match[1]) as NodeId);
  const destination = room.tailnet.node(Number(match[2]) as NodeId);
  if (destination === undefined || destination.machineKey !== call.machineKey) {
    room.log.info({ machine: shortKey(call.machineKey), from: call.source }, "ssh check refused: not the destination");
    return textReply(404, "dst node not found");
  }
  if (source === undefined) {
    return textReply(404, "src node not found");
  }
  const localUser = call.query.get("local_user") ?? "";
  if (localUser.length > maxLocalUser) {
    return textReply(400, "local user name too long");
  }
  const period = room.tailnet.policy.sshCheckPeriod(source.id, destination.id, localUser);
  if (period === undefined) {
    return refuse(noRule);
  }
  const key = `${source.id} ${destination.id} ${localUser}`;
  const approvedAt = room.approvals.get(key);
  if (approvedAt !== undefined && room.clock.now() - approvedAt < period) {
    return accept();
  }
  const authId = call.query.get("auth_id");
  return authId === null
    ? delegate(room, call, source, destination, localUser)
    : await decided(room, call, { authId, key, source, destination, localUser });
}

interface Question {
  readonly authId: string;
  readonly key: string;
  readonly source: Node;
  readonly destination: Node;
  readonly localUser: string;
}

async function decided(room: SshRoom, call: MachineCall, question: Question): Promise<EdgeReply | undefined> {
  const { authId, key, source, destination, localUser } = question;
  const check = { sourceNode: source.id, destinationNode: destination.id, localUser };
  const outcome = await room.pending.waitCheck(authId, check, call.signal(), holdMs);
  switch (outcome.kind) {
    case "approved":
      // While a person thought about it the policy may have become another one, or a node may have gone.
      if (!isAskedFor(room, check)) {
        return refuse(noRule);
      }
      remember(room, key);
      room.log.info({ source: source.id, destination: destination.id }, "ssh session confirmed");
      return accept();
    case "rejected":
      return refuse("the session was rejected");
    case "timeout":
      return jsonReply({ holdAndDelegate: waitUrl(source.id, destination.id, authId) } satisfies SSHAction, true);
    case "unknown":
      return delegate(room, call, source, destination, localUser);
    case "aborted":
      return undefined;
  }
}

function isAskedFor({ tailnet }: SshRoom, { sourceNode, destinationNode, localUser }: SshCheck): boolean {
  return (
    tailnet.node(sourceNode) !== undefined &&
    tailnet.node(destinationNode) !== undefined &&
    tailnet.policy.sshCheckPeriod(sourceNode, destinationNode, localUser) !== undefined
  );
}

function delegate(room: SshRoom, call: MachineCall, source: Node, destination: Node, localUser: string): EdgeReply {
  const id = room.pending.openCheck(
    { sourceNode: source.id, destinationNode: destination.id, localUser },
    sourceOf(call.source),
  );
  const action: SSHAction = {
    message: `# Hawser wants to know that it is you. To go on, visit:\n#   ${room.serverUrl}/auth/${id}\n`,
    holdAndDelegate: waitUrl(source.id, destination.id, id),
  };
  return jsonReply(action, true);
}

function waitUrl(source: NodeId, destination: NodeId, authId: string): string {
  return `https://unused/machine/ssh/action/${source}/to/${destination}?local_user=$LOCAL_USER&auth_id=${authId}`;
}

function remember(room: SshRoom, key: string): void {
  room.approvals.delete(key);
  const oldest = room.approvals.keys().next();
  if (room.approvals.size >= maxApprovals && oldest.done !== true) {
    room.approvals.delete(oldest.value);
  }
  room.approvals.set(key, room.clock.now());
}

function accept(): EdgeReply {
  const action: SSHAction = {
    accept: true,
    allowAgentForwarding: true,
    allowLocalPortForwarding: true,
    allowRemotePortForwarding: true,
  };
  return jsonReply(action, true);
}

function refuse(reason: string): EdgeReply {
  return jsonReply({ reject: true, message: `${reason}\n` } satisfies SSHAction, true);
}
