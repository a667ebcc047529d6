// Deciding on who waits: machines that asked to join without a key, and SSH sessions to confirm.
import { createHash, randomBytes } from "node:crypto";
import { parseAuthId } from "../identity/pending.ts";
import type { AuthId, PendingEntry } from "../identity/pending.ts";
import type { Registration } from "../tailnet/contract.ts";
import type { User } from "../tailnet/model.ts";
import { parseMachineKey, parseNodeKey } from "../wire/ids.ts";
import { AuthApprove, AuthRegister, AuthReject, DebugCreateNode, RegisterNode } from "./calls.ts";
import { Node } from "./messages.ts";
import type { NodeValue } from "./messages.ts";
import { operation } from "./operation.ts";
import type { Caller, Operation, OperationDeps } from "./operation.ts";
import { nodeAnswer, prefixFault } from "./operations-nodes.ts";
import { presentUser, zeroDiscoKey } from "./present.ts";
import { answer, refuse } from "./rpc-error.ts";
import type { Answer } from "./rpc-error.ts";
import { neverNoted } from "./timestamp.ts";

const authIdPrefix = "hskey-authreq-";
const authIdLength = 38;

/** Registering answers plain mistakes with Unknown, deciding on a session with InvalidArgument, as in headscale. */
function readAuthId(text: string, code: "Unknown" | "InvalidArgument" = "Unknown"): Answer<AuthId> {
  const prefix = code === "Unknown" ? "" : "invalid auth_id: ";
  if (!text.startsWith(authIdPrefix)) {
    return refuse(code, `${prefix}auth ID has invalid prefix: expected prefix "${authIdPrefix}"`);
  }
  if (text.length !== authIdLength) {
    return refuse(code, `${prefix}auth ID has invalid length: expected ${authIdLength}, got ${text.length}`);
  }
  const id = parseAuthId(text);
  return id === undefined ? refuse(code, `${prefix}auth ID has invalid characters`) : answer(id);
}

function userByName({ tailnet }: OperationDeps, name: string, doing = ""): Answer<User> {
  const [user, second] = tailnet.usersByName(name);
  if (user === undefined) {
    return refuse("Unknown", `${doing}user not found`);
  }
  return second === undefined
    ? answer(user)
    : refuse("Unknown", `${doing}several users are named ${JSON.stringify(name)}`);
}

async function registerWaiting(
  deps: OperationDeps,
  { actor }: Caller,
  userName: string,
  idText: string,
): Promise<Answer<{ readonly node: NodeValue }>> {
  const id = readAuthId(idText);
  if (!id.ok) {
    return id;
  }
  const user = userByName(deps, userName, "looking up user: ");
  if (!user.ok) {
    return user;
  }
  const entry = deps.pending.get(id.value);
  if (entry?.kind !== "register") {
    return refuse("Unknown", "node not found in registration cache");
  }
  const registered = await deps.tailnet.register(actor, entry.registration, {
    kind: "approved",
    user: user.value.id,
    method: "cli",
  });
  if (registered.ok) {
    deps.pending.settle(id.value, { kind: "approved", node: registered.value });
  }
  return nodeAnswer(deps, registered, {
    "not-found": "Unknown",
    conflict: "Unknown",
    denied: "Unknown",
    invalid: "Unknown",
  });
}

const registerNode = operation(RegisterNode, (deps, { user, key }, caller) => registerWaiting(deps, caller, user, key));

const authRegister = operation(AuthRegister, (deps, { user, authId }, caller) =>
  registerWaiting(deps, caller, user, authId),
);

function waitingEntry(deps: OperationDeps, idText: string): Answer<PendingEntry> {
  const id = readAuthId(idText, "InvalidArgument");
  if (!id.ok) {
    return id;
  }
  const entry = deps.pending.get(id.value);
  return entry === undefined ? refuse("NotFound", `no pending auth session for auth_id ${id.value}`) : answer(entry);
}

const authApprove = operation(AuthApprove, (deps, { authId }) => {
  const entry = waitingEntry(deps, authId);
  if (!entry.ok) {
    return entry;
  }
  if (entry.value.kind === "register") {
    return refuse("InvalidArgument", "a machine waits with this auth ID; say whose it is: auth register --user NAME");
  }
  const node = deps.tailnet.node(entry.value.sourceNode);
  if (node === undefined) {
    return refuse("NotFound", "the node that asks does not exist any more");
  }
  deps.pending.settle(entry.value.id, { kind: "approved", node });
  return answer({});
});

const authReject = operation(AuthReject, (deps, { authId }) => {
  const entry = waitingEntry(deps, authId);
  if (!entry.ok) {
    return entry;
  }
  deps.pending.settle(entry.value.id, { kind: "rejected" });
  return answer({});
});

/** Keys of a machine that does not exist: derived from a random seed, so that nobody has their private halves. */
function inventedRegistration(name: string, routes: readonly string[]): Registration | undefined {
  const seed = randomBytes(32);
  const hex = (label: string): string => createHash("sha256").update(label).update(seed).digest("hex");
  const machineKey = parseMachineKey(`mkey:${hex("machine")}`);
  const nodeKey = parseNodeKey(`nodekey:${hex("node")}`);
  if (machineKey === undefined || nodeKey === undefined) {
    return undefined;
  }
  const hostinfo = { Hostname: name, OS: "TestOS", RoutableIPs: routes };
  return { machineKey, nodeKey, hostinfo, capVersion: 0, ephemeral: false };
}

const debugCreateNode = operation(DebugCreateNode, (deps, { user, key, name, routes }, { actor }) => {
  const owner = userByName(deps, user);
  if (!owner.ok) {
    return owner;
  }
  const id = readAuthId(key);
  if (!id.ok) {
    return id;
  }
  const fault = routes.map(prefixFault).find((text) => text !== undefined);
  if (fault !== undefined) {
    return refuse("Unknown", fault);
  }
  const registration = inventedRegistration(name, routes);
  if (registration === undefined || deps.pending.openAs(id.value, registration, actor.from) === undefined) {
    return refuse("AlreadyExists", `auth_id ${id.value} is waiting already`);
  }
  const node: NodeValue = {
    ...Node.unset,
    name,
    machineKey: registration.machineKey,
    nodeKey: registration.nodeKey,
    discoKey: zeroDiscoKey,
    user: presentUser(owner.value),
    lastSeen: neverNoted,
    expiry: neverNoted,
    createdAt: neverNoted,
    availableRoutes: routes,
  };
  return answer({ node });
});

export const authOperations: readonly Operation[] = [
  registerNode,
  authRegister,
  authApprove,
  authReject,
  debugCreateNode,
];
