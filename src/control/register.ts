// POST /machine/register (protocol §3): who a machine is, or where its user can say so. Refusals are 200 with a text in
// `Error`, the only text that `tailscale up` shows; clients repeat a refused request for ever, so all of it is cheap
// and changes nothing the second time. The order of the questions decides security: the Noise session's machine key is
// the identity, and nothing is said about a node that belongs to another one.
import type { Clock } from "../identity/clock.ts";
import { type AuthId, parseAuthId, type Pending } from "../identity/pending.ts";
import type { Actor, Registration, Result, Tailnet } from "../tailnet/contract.ts";
import type { Node, User } from "../tailnet/model.ts";
import { taggedDevicesUserId } from "../wire/ids.ts";
import type { LoginIdentity, LoginUser, RegisterRequest, RegisterResponse } from "../wire/tailcfg.ts";
import { retryAfterCapVersion, versionRefusal } from "./client-version.ts";
import { sourceOf } from "./client-address.ts";
import type { ControlCounters } from "./counters.ts";
import type { EdgeReply } from "./edge-link.ts";
import { type Log, shortKey } from "./log.ts";
import type { MachineCall } from "./machine-call.ts";
import type { RateLimit } from "./rate-limit.ts";
import { jsonReply, textReply } from "./reply.ts";

export interface RegisterRoom {
  readonly tailnet: Tailnet;
  readonly pending: Pending;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: ControlCounters;
  /** Where users open pages; no slash at the end. */
  readonly serverUrl: string;
  /** Clients repeat a refused request for ever; one line a minute says so. */
  readonly refusalLines: RateLimit;
  /** Refused auth keys and newly opened logins, by machine key and by source. */
  readonly perMachine: RateLimit;
  readonly perSource: RateLimit;
  /** Machines whose auth keys are being looked at and stored, and how many may be. */
  readonly joining: { count: number; readonly most: number };
}

/**
 * How long a follow-up is held before the client is sent round again: under the read timeouts of proxies, over the
 * patience of nobody.
 */
export const followupHoldMs = 120_000;

/** When as many machines join as may, the next is told to come back after this and up to twice as long. */
const crowdedMs = 3000;

export async function register(
  room: RegisterRoom,
  call: MachineCall,
  request: RegisterRequest,
): Promise<EdgeReply | undefined> {
  const refusal = versionRefusal(request.Version);
  if (refusal !== undefined) {
    return refused(room, call, request, refusal);
  }
  if (request.Expiry !== undefined && request.Expiry <= room.clock.now()) {
    return logout(room, call, request);
  }
  const standing = room.tailnet.standing(call.machineKey, request.NodeKey);
  switch (standing.kind) {
    case "foreign":
      return refused(room, call, request, "node key already in use by another machine");
    case "valid":
      return request.Expiry === undefined
        ? accepted(room, standing.node)
        : shorten(room, call, request, request.Expiry);
    case "expired":
      if (request.AuthKey === undefined && request.Followup === "") {
        // The client makes a new key at once and comes back with this one as the old one.
        return jsonReply(response({ NodeKeyExpired: true }), true);
      }
      return join(room, call, request, standing.node);
    case "unknown":
      return join(room, call, request, undefined);
  }
}

/** The machine brings a key that opens nothing (any more): a credential or a person decides. */
async function join(
  room: RegisterRoom,
  call: MachineCall,
  request: RegisterRequest,
  expired: Node | undefined,
): Promise<EdgeReply | undefined> {
  if (request.OldNodeKey !== undefined) {
    const old = room.tailnet.standing(call.machineKey, request.OldNodeKey);
    if (old.kind === "foreign") {
      return refused(room, call, request, "node key already in use by another machine");
    }
  }
  // The URL is opaque to the client, so what stands before the id need not be what it once was.
  const id = parseAuthId(request.Followup.slice(request.Followup.lastIndexOf("/") + 1));
  if (id !== undefined) {
    const outcome = room.pending.look(id, call.machineKey);
    switch (outcome.kind) {
      case "approved":
        if (outcome.node.nodeKey === request.NodeKey) {
          return approved(room, call, outcome.node);
        }
        break;
      case "rejected":
        return refused(room, call, request, outcome.text ?? rejection);
      case "undecided": {
        const { NodeKey, Followup } = request;
        const { Hostname = "" } = request.Hostinfo;
        return waitForDecision(room, call, id, { NodeKey, Followup, Hostinfo: { Hostname } }, expired !== undefined);
      }
      case "unknown":
        // Forgotten or never given out: the client gets a fresh link instead of an error that nobody can act on.
        break;
    }
  }
  if (request.AuthKey !== undefined) {
    return joinWithKey(room, call, request, request.AuthKey);
  }
  return openLogin(room, call, request);
}

/** Of a request as much as the answers need. */
type Asked = Pick<RegisterRequest, "NodeKey" | "Followup"> & { readonly Hostinfo: { readonly Hostname?: string } };

const rejection = "registration was rejected by an administrator";

/** Anybody may wait here for minutes, so nothing is held meanwhile but what the answer needs. */
async function waitForDecision(
  room: RegisterRoom,
  call: MachineCall,
  id: AuthId,
  asked: Asked,
  known: boolean,
): Promise<EdgeReply | undefined> {
  const outcome = await room.pending.wait(id, call.machineKey, call.signal(), followupHoldMs);
  switch (outcome.kind) {
    case "approved":
      if (outcome.node.nodeKey === asked.NodeKey) {
        return approved(room, call, outcome.node);
      }
      break;
    case "rejected":
      return refused(room, call, asked, outcome.text ?? rejection);
    case "aborted":
      return undefined;
    case "timeout":
    case "unknown":
      break;
  }
  // The client asks again, with all that it has to say; a link that is lost is replaced then.
  return jsonReply(response({ AuthURL: asked.Followup }), known);
}

function approved(room: RegisterRoom, call: MachineCall, node: Node): EdgeReply {
  room.counters.registrations++;
  room.log.info(
    { node: node.id, name: node.givenName, machine: shortKey(call.machineKey), from: call.source },
    "node joined after approval",
  );
  return accepted(room, node);
}

async function joinWithKey(
  room: RegisterRoom,
  call: MachineCall,
  request: RegisterRequest,
  secret: string,
): Promise<EdgeReply> {
  const source = sourceOf(call.source);
  const wait = Math.max(room.perMachine.wait(call.machineKey), room.perSource.wait(source));
  if (wait > 0) {
    return slowDown(room, call, request, wait);
  }
  if (room.joining.count >= room.joining.most) {
    // Everybody joins at once, or the database is slow; each comes back at another moment.
    return slowDown(room, call, request, crowdedMs * (1 + Math.random()));
  }
  room.joining.count++;
  const outcome = await room.tailnet
    .register(actorOf(call), registrationOf(call, request), { kind: "auth-key", secret })
    .finally(() => room.joining.count--);
  if (!outcome.ok) {
    room.perMachine.take(call.machineKey);
    room.perSource.take(source);
    return refused(room, call, request, outcome.error.text);
  }
  room.counters.registrations++;
  room.log.info(
    { node: outcome.value.id, name: outcome.value.givenName, machine: shortKey(call.machineKey), from: call.source },
    "node joined with an auth key",
  );
  return accepted(room, outcome.value);
}

function openLogin(room: RegisterRoom, call: MachineCall, request: RegisterRequest): EdgeReply {
  const source = sourceOf(call.source);
  const wait = Math.max(room.perMachine.take(call.machineKey), room.perSource.take(source));
  if (wait > 0) {
    return slowDown(room, call, request, wait);
  }
  const id = room.pending.open(registrationOf(call, request), source);
  room.log.info(
    { hostname: request.Hostinfo.Hostname, machine: shortKey(call.machineKey), from: call.source },
    "a machine asks to join and waits for approval",
  );
  return jsonReply(response({ AuthURL: `${room.serverUrl}/register/${id}` }), false);
}

async function logout(room: RegisterRoom, call: MachineCall, request: RegisterRequest): Promise<EdgeReply> {
  const standing = room.tailnet.standing(call.machineKey, request.NodeKey);
  switch (standing.kind) {
    case "foreign":
      return refused(room, call, request, "node key already in use by another machine");
    case "unknown":
      // Already gone, which is what the client wants; it ignores the content.
      return jsonReply(response({}), false);
    case "expired":
      return jsonReply(response({ NodeKeyExpired: true }), true);
    case "valid": {
      const outcome = await room.tailnet.logout(call.machineKey, request.NodeKey, call.source);
      if (!outcome.ok) {
        return refused(room, call, request, outcome.error.text);
      }
      room.log.info({ node: standing.node.id, machine: shortKey(call.machineKey) }, "node logged out");
      return jsonReply(response({ NodeKeyExpired: standing.node.ephemeral }), true);
    }
  }
}

async function shorten(
  room: RegisterRoom,
  call: MachineCall,
  request: RegisterRequest,
  expiry: number,
): Promise<EdgeReply> {
  const outcome: Result<Node> = await room.tailnet.shortenExpiry(call.machineKey, request.NodeKey, expiry, call.source);
  return outcome.ok ? accepted(room, outcome.value) : refused(room, call, request, outcome.error.text);
}

function slowDown(room: RegisterRoom, call: MachineCall, request: RegisterRequest, waitMs: number): EdgeReply {
  room.counters.registrationsRefused++;
  room.log[levelOf(room, call, "too many")](
    { machine: shortKey(call.machineKey), from: call.source },
    "register request held off: too many attempts",
  );
  const text = "too many registration attempts; try again later";
  if (request.Version < retryAfterCapVersion) {
    return textReply(503, text);
  }
  return { ...textReply(429, text), headers: [["retry-after", String(Math.max(1, Math.ceil(waitMs / 1000)))]] };
}

function refused(room: RegisterRoom, call: MachineCall, request: Omit<Asked, "Followup">, reason: string): EdgeReply {
  room.counters.registrationsRefused++;
  room.log[levelOf(room, call, reason)](
    {
      hostname: request.Hostinfo.Hostname,
      machine: shortKey(call.machineKey),
      nodeKey: shortKey(request.NodeKey),
      from: call.source,
    },
    `registration refused: ${reason}`,
  );
  return jsonReply(response({ Error: reason }), false);
}

function levelOf(room: RegisterRoom, call: MachineCall, reason: string): "info" | "debug" {
  return room.refusalLines.take(`${reason} ${call.machineKey}`) === 0 ? "info" : "debug";
}

function accepted(room: RegisterRoom, node: Node): EdgeReply {
  const user = node.userId === null ? undefined : room.tailnet.user(node.userId);
  const { account, login } = identityOf(user);
  return jsonReply(response({ User: account, Login: login, MachineAuthorized: true }), true);
}

function registrationOf(call: MachineCall, request: RegisterRequest): Registration {
  return {
    machineKey: call.machineKey,
    nodeKey: request.NodeKey,
    ...(request.OldNodeKey === undefined ? {} : { oldNodeKey: request.OldNodeKey }),
    ...(request.NLKey === undefined ? {} : { nodeLockKey: request.NLKey }),
    hostinfo: request.Hostinfo,
    capVersion: request.Version,
    ephemeral: request.Ephemeral,
    ...(request.Expiry === undefined ? {} : { expiry: request.Expiry }),
  };
}

function actorOf(call: MachineCall): Actor {
  return { kind: "node", id: shortKey(call.machineKey), from: call.source };
}

/** As headscale names people: e-mail, else name, else the provider's id, else the number. */
function identityOf(user: User | undefined): { readonly account: LoginUser; readonly login: LoginIdentity } {
  if (user === undefined) {
    const account = { ID: taggedDevicesUserId, DisplayName: "Tagged Devices" };
    return { account, login: { ...account, Provider: "", LoginName: "tagged-devices" } };
  }
  const loginName = [user.email, user.name, user.providerId].find((text) => text !== "") ?? String(user.id);
  const shown = {
    ID: user.id,
    DisplayName: user.displayName === "" ? loginName : user.displayName,
    ...(user.profilePicUrl === "" ? {} : { ProfilePicURL: user.profilePicUrl }),
  };
  return {
    account: { ...shown, Created: new Date(user.createdAt).toISOString() },
    login: { ...shown, Provider: user.provider, LoginName: loginName },
  };
}

function response(fields: Partial<RegisterResponse>): RegisterResponse {
  return {
    User: { ID: 0, DisplayName: "" },
    Login: { ID: 0, Provider: "", LoginName: "", DisplayName: "" },
    NodeKeyExpired: false,
    MachineAuthorized: false,
    AuthURL: "",
    NodeKeySignature: null,
    Error: "",
    ...fields,
  };
}
