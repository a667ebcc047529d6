// gRPC with a real client over the real socket and TCP listener.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import test from "node:test";
import { create, toJson as toProtoJson } from "@bufbuild/protobuf";
import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createAdminWorld } from "../../../test/admin-world.ts";
import type { AdminWorld } from "../../../test/admin-world.ts";
import { ListNodes } from "../calls.ts";
import { rowsInTurn } from "../in-turns.ts";
import { Node, User } from "../messages.ts";
import { operations } from "../operations.ts";
import { withTurns } from "../turns.test-data.ts";
import { fromMessage, toMessage, toMessageInTurns } from "./convert.ts";
import { serviceOf } from "./descriptors.ts";
import { protoText } from "./proto-text.ts";

const calls = operations.map(({ call }) => call).filter((call) => call.inHeadscale);
const service = serviceOf(calls);

type Ask = (method: string, input?: object) => Promise<unknown>;

interface Clients {
  readonly world: AdminWorld;
  readonly local: Ask;
  readonly remote: (authorization?: string) => Ask;
  readonly port: number;
}

/** Answers as protobuf's own JSON, so that they compare with REST's. */
function asker(baseUrl: string, nodeOptions: object, headers: Record<string, string> = {}): Ask {
  const client = createClient(service, createGrpcTransport({ baseUrl, nodeOptions }));
  return async (name, input = {}) => {
    const method = service.methods.find((candidate) => candidate.name === name);
    assert.ok(method !== undefined, name);
    const rpc: unknown = Reflect.get(client, method.localName);
    assert.ok(typeof rpc === "function");
    const answer = (await rpc(input, { headers })) as Message;
    return toProtoJson(method.output, answer, { alwaysEmitImplicit: true });
  };
}

async function withClients(check: (clients: Clients) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  try {
    const { port } = await world.api.listenGrpc({ host: "127.0.0.1", port: 0 });
    const local = asker("http://localhost", { createConnection: () => connect(world.socketPath) });
    const remote = (authorization?: string): Ask =>
      asker(`http://127.0.0.1:${port}`, {}, authorization === undefined ? {} : { authorization });
    await check({ world, local, remote, port });
  } finally {
    await world.close();
  }
}

async function refused(answer: Promise<unknown>, code: Code, message: string | RegExp): Promise<void> {
  await assert.rejects(answer, (fault: unknown) => {
    assert.ok(fault instanceof ConnectError);
    assert.equal(Code[fault.code], Code[code]);
    if (typeof message === "string") {
      assert.equal(fault.rawMessage, message);
    } else {
      assert.match(fault.rawMessage, message);
    }
    return true;
  });
}

test("the .proto file says what the declarations say", () => {
  assert.equal(readFileSync(new URL("headscale.proto", import.meta.url), "utf8"), protoText(calls));
});

test("field numbers are headscale's", () => {
  const numbers = (name: string): Record<string, number> => {
    const call = calls.find(({ request, response }) => request.name === name || response.name === name);
    const type = call?.request.name === name ? call.request : call?.response;
    const inner = type?.fields[0]?.kind;
    const fields = inner?.is === "message" ? inner.type.fields : (type?.fields ?? []);
    return Object.fromEntries(fields.map((field) => [field.snake, field.number]));
  };
  assert.deepEqual(numbers("GetNodeResponse"), {
    id: 1,
    machine_key: 2,
    node_key: 3,
    disco_key: 4,
    ip_addresses: 5,
    name: 6,
    user: 7,
    last_seen: 8,
    expiry: 10,
    pre_auth_key: 11,
    created_at: 12,
    register_method: 13,
    given_name: 21,
    online: 22,
    approved_routes: 23,
    available_routes: 24,
    subnet_routes: 25,
    tags: 26,
  });
  assert.deepEqual(numbers("ExpireApiKeyRequest"), { prefix: 1, id: 2 });
  assert.deepEqual(numbers("ExpireNodeRequest"), { node_id: 1, expiry: 2, disable_expiry: 3 });
});

test("the socket serves gRPC without a key, and REST beside it", () =>
  withClients(async ({ world, local }) => {
    const made = await local("CreateUser", { name: "infra" });
    const { users } = (await world.rest("GET", "/api/v1/user")).body as { users: unknown[] };
    assert.deepEqual(made, { user: users[0] });
    await world.join(1, 1);
    const overRest = (await world.rest("GET", "/api/v1/node")).body;
    const nodes = (await local("ListNodes")) as { nodes: Record<string, unknown>[] };
    // protobuf leaves an unset message out where REST writes null.
    assert.deepEqual(
      nodes.nodes.map((node) => ({ expiry: null, preAuthKey: null, ...node })),
      (overRest as { nodes: object[] }).nodes,
    );
    assert.equal((await world.cli("users list -o json-line")).code, 0);
  }));

test("over TCP every call needs a key, with headscale's reasons", () =>
  withClients(async ({ world, remote }) => {
    await refused(remote()("ListUsers"), Code.Unauthenticated, "authorization token not supplied");
    await refused(
      remote("Basic x")("ListUsers"),
      Code.Unauthenticated,
      'missing "Bearer " prefix in "Authorization" header',
    );
    await refused(remote("Bearer x")("ListUsers"), Code.Unauthenticated, "invalid token");
    assert.deepEqual(await remote(`Bearer ${world.apiKey}`)("ListUsers"), { users: [] });
  }));

test("a scoped key does over gRPC what its scopes say", () =>
  withClients(async ({ world, remote }) => {
    const made = await world.rest("POST", "/api/v1/apikey", { scopes: ["users:read"] });
    const scoped = remote(`Bearer ${(made.body as { apiKey: string }).apiKey}`);
    assert.deepEqual(await scoped("ListUsers"), { users: [] });
    await refused(
      scoped("CreateUser", { name: "x" }),
      Code.PermissionDenied,
      "this API key lacks the scope users:write",
    );
    await refused(scoped("ListNodes"), Code.PermissionDenied, "this API key lacks the scope nodes:read");
  }));

test("the gRPC address answers REST too", () =>
  withClients(async ({ world, port }) => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/user`, {
      headers: { authorization: `Bearer ${world.apiKey}` },
    });
    assert.deepEqual([response.status, await response.json()], [200, { users: [] }]);
  }));

test("refusals carry headscale's codes and texts", () =>
  withClients(async ({ local }) => {
    await refused(local("GetNode", { nodeId: 9n }), Code.NotFound, "node not found");
    await refused(local("DeleteUser", { id: 9n }), Code.Unknown, "user not found");
    await refused(local("SetTags", { nodeId: 9n, tags: [] }), Code.InvalidArgument, /^cannot remove all tags/);
    await refused(local("GetNode", { nodeId: 2n ** 60n }), Code.InvalidArgument, "nodeId is out of range");
  }));

test("times travel both ways, and year 1 is none", () =>
  withClients(async ({ local }) => {
    await local("CreateUser", { name: "infra" });
    const keyWith = async (expiration: object): Promise<unknown> =>
      ((await local("CreatePreAuthKey", { user: 1n, expiration })) as { preAuthKey: { expiration?: unknown } })
        .preAuthKey.expiration;
    assert.equal(await keyWith({ seconds: 1800000000n, nanos: 5_000_000 }), "2027-01-15T08:00:00.005Z");
    assert.equal(await keyWith({ seconds: -62135596800n }), "2026-01-02T04:04:05Z");
  }));

test("an authority that is no host does not end the server", () =>
  withClients(async ({ world, port, local }) => {
    for (const authority of ["%2Ftmp%2Fto.sock", "a%2Fb", "[", "a:b:c"]) {
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      const status = await new Promise<unknown>((resolve, reject) => {
        session.on("error", reject);
        const stream = session.request({
          ":method": "POST",
          ":path": "/headscale.v1.HeadscaleService/ListUsers",
          ":authority": authority,
          "content-type": "application/grpc",
          authorization: `Bearer ${world.apiKey}`,
          te: "trailers",
        });
        stream.on("response", (headers) => resolve(headers[":status"]));
        stream.on("error", () => resolve("reset"));
        stream.end(Buffer.from([0, 0, 0, 0, 0]));
      });
      assert.equal(status, 200, authority);
      session.close();
    }
    assert.deepEqual(await local("ListUsers"), { users: [] });
  }));

test("a stranger's message is refused unread, and nobody lists the services", () =>
  withClients(async ({ world, port }) => {
    const ask = async (path: string, headers: Record<string, string>, body: Buffer): Promise<unknown[]> => {
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      // The message never ends.
      stream.write(body);
      const [head] = (await once(stream, "response")) as [Record<string, unknown>];
      session.destroy();
      return [head[":status"], head["grpc-status"]];
    };
    const begun = Buffer.concat([Buffer.from([0, 0, 0x3f, 0xff, 0xff]), Buffer.alloc(50_000)]);
    const users = "/headscale.v1.HeadscaleService/CreateUser";
    assert.deepEqual(await ask(users, {}, begun), [200, String(Code.Unauthenticated)]);
    assert.deepEqual(await ask(users, { authorization: "Bearer x" }, begun), [200, String(Code.Unauthenticated)]);
    const authorization = `Bearer ${world.apiKey}`;
    for (const version of ["v1", "v1alpha"]) {
      const reflection = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
      const [status, code] = await ask(reflection, { authorization }, Buffer.from([0, 0, 0, 0, 0]));
      assert.ok(status === 404 || code === String(Code.Unimplemented), JSON.stringify([status, code]));
    }
  }));

test("what is converted to a message and back is the same for every response", () => {
  for (const { response } of calls) {
    const method = service.methods.find(({ output }) => output.name === response.name);
    assert.ok(method !== undefined);
    const back = fromMessage(response, toMessage(response, method.output, response.unset));
    assert.deepEqual(back, { ok: true, value: { ...response.unset } }, response.name);
    assert.equal(create(method.output).$typeName, `headscale.v1.${response.name}`);
  }
});

test("a long list becomes a message a slice at a time, and is the same message", async () => {
  const method = service.methods.find(({ output }) => output.name === ListNodes.response.name);
  assert.ok(method !== undefined);
  const row = { ...Node.unset, tags: ["tag:a"], user: User.unset, lastSeen: 1_700_000_000_123 };
  const nodes = Array.from({ length: 3 * rowsInTurn + 1 }, (_, id) => ({ ...row, id }));
  const { made: message, turns } = await withTurns(() =>
    toMessageInTurns(ListNodes.response, method.output, { nodes }),
  );
  assert.equal(turns, 3);
  assert.deepEqual(message, toMessage(ListNodes.response, method.output, { nodes }));
  assert.deepEqual(fromMessage(ListNodes.response, message), { ok: true, value: { nodes } });
});
