// Reflection with a client of its own over the real socket: what it learns there is enough to make calls.
import assert from "node:assert/strict";
import { connect } from "node:net";
import test from "node:test";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import type { DescService, Message } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createAdminWorld } from "../../../test/admin-world.ts";
import type { AdminWorld } from "../../../test/admin-world.ts";
import { reflectionService, reflectionVersions } from "./reflection-descriptors.ts";
import type { ReflectionVersion } from "./reflection-descriptors.ts";

type Json = Readonly<Record<string, unknown>>;

function socketTransport(world: AdminWorld) {
  return createGrpcTransport({
    baseUrl: "http://localhost",
    nodeOptions: { createConnection: () => connect(world.socketPath) },
  });
}

async function* inTurn(requests: readonly object[]): AsyncGenerator<object> {
  yield* requests;
}

/** The answers to these questions on one stream, as `case` and value. */
async function ask(
  transport: ReturnType<typeof createGrpcTransport>,
  version: ReflectionVersion,
  questions: readonly Json[],
  headers: Record<string, string> = {},
): Promise<readonly { readonly case: unknown; readonly value: Json }[]> {
  const client = createClient(reflectionService(version), transport);
  const rpc: unknown = Reflect.get(client, "serverReflectionInfo");
  assert.ok(typeof rpc === "function");
  const requests = questions.map((question) => {
    const [[name, value] = ["", ""]] = Object.entries(question);
    return { host: "here", messageRequest: { case: name, value } };
  });
  const answers: { case: unknown; value: Json }[] = [];
  for await (const answer of rpc(inTurn(requests), { headers }) as AsyncIterable<Json>) {
    assert.equal(answer["validHost"], "here");
    const { case: name, value } = object(answer["messageResponse"]);
    answers.push({ case: name, value: object(value) });
  }
  return answers;
}

function object(value: unknown): Json {
  assert.ok(typeof value === "object" && value !== null);
  return { ...value };
}

function list(value: unknown): readonly unknown[] {
  assert.ok(Array.isArray(value));
  return value;
}

/** The services that these descriptors make. */
function servicesIn(answer: Json): readonly DescService[] {
  const files = list(answer["fileDescriptorProto"]).map((bytes) => {
    assert.ok(bytes instanceof Uint8Array);
    return fromBinary(FileDescriptorProtoSchema, bytes);
  });
  // A registry wants what others build on first.
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: files.toReversed() }));
  return [...registry].filter((type) => type.kind === "service");
}

async function withWorld(check: (world: AdminWorld) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  try {
    await check(world);
  } finally {
    await world.close();
  }
}

for (const version of reflectionVersions) {
  test(`${version}: a tool that knows nothing lists the services, learns one, and calls it`, () =>
    withWorld(async (world) => {
      const transport = socketTransport(world);
      const [services, learnt] = await ask(transport, version, [
        { listServices: "" },
        { fileContainingSymbol: "headscale.v1.HeadscaleService" },
      ]);
      assert.deepEqual(
        list(services?.value["service"]).map((service) => object(service)["name"]),
        [
          "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection",
          "headscale.v1.HeadscaleService",
        ],
      );
      const [service] = servicesIn(learnt?.value ?? {});
      assert.ok(service !== undefined);
      assert.equal(service.methods.length, 29);
      const createUser: unknown = Reflect.get(createClient(service, transport), "createUser");
      assert.ok(typeof createUser === "function");
      const made = (await createUser({ name: "infra" })) as Message & { readonly user?: { readonly name: string } };
      assert.equal(made.user?.name, "infra");
    }));
}

test("files, messages, methods and fields are found by name, and strangers' names are not", () =>
  withWorld(async (world) => {
    const answers = await ask(socketTransport(world), "v1", [
      { fileByFilename: "headscale/v1/headscale.proto" },
      { fileByFilename: "google/protobuf/timestamp.proto" },
      { fileContainingSymbol: "headscale.v1.Node" },
      { fileContainingSymbol: "headscale.v1.Node.given_name" },
      { fileContainingSymbol: "headscale.v1.HeadscaleService.ListNodes" },
      { fileContainingSymbol: "headscale.v1.RegisterMethod" },
      { fileContainingSymbol: "google.protobuf.Timestamp" },
      { fileContainingSymbol: "grpc.reflection.v1.ErrorResponse" },
      { allExtensionNumbersOfType: "headscale.v1.Node" },
      { fileByFilename: "nothing.proto" },
      { fileContainingSymbol: "headscale.v1.Nothing" },
      { allExtensionNumbersOfType: "headscale.v1.Nothing" },
      { fileContainingExtension: { containingType: "headscale.v1.Node", extensionNumber: 5 } },
    ]);
    const kinds = answers.map(({ case: kind }) => kind);
    assert.deepEqual(
      kinds.slice(0, 8),
      Array.from({ length: 8 }, () => "fileDescriptorResponse"),
    );
    assert.equal(kinds[8], "allExtensionNumbersResponse");
    for (const { case: kind, value } of answers.slice(9)) {
      assert.equal(kind, "errorResponse");
      assert.equal(value["errorCode"], Code.NotFound);
    }
    assert.equal(answers.length, 13);
  }));

test("over TCP there is no reflection, with a key or without", () =>
  withWorld(async (world) => {
    const { port } = await world.api.listenGrpc({ host: "127.0.0.1", port: 0 });
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` });
    for (const version of reflectionVersions) {
      for (const [headers, code] of [
        [{}, Code.Unauthenticated],
        [{ authorization: `Bearer ${world.apiKey}` }, Code.Unimplemented],
      ] as const) {
        await assert.rejects(ask(transport, version, [{ listServices: "" }], { ...headers }), (fault: unknown) => {
          assert.ok(fault instanceof ConnectError);
          assert.equal(Code[fault.code], Code[code]);
          return true;
        });
      }
    }
  }));
