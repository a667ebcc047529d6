// REST, gRPC and the command line give the same answer to the same question, whatever happened before and by which of
// them it was done.
import assert from "node:assert/strict";
import { connect } from "node:net";
import test from "node:test";
import { toJson as toProtoJson } from "@bufbuild/protobuf";
import type { Message } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import * as fc from "fast-check";
import { createAdminWorld } from "../../test/admin-world.ts";
import type { AdminWorld } from "../../test/admin-world.ts";
import { serviceOf } from "./grpc/descriptors.ts";
import { operations } from "./operations.ts";

const service = serviceOf(operations.map(({ call }) => call).filter(({ inHeadscale }) => inHeadscale));

type Step =
  | { readonly kind: "create-user"; readonly name: string }
  | { readonly kind: "rename-user"; readonly id: number; readonly name: string }
  | { readonly kind: "delete-user"; readonly id: number }
  | { readonly kind: "create-key"; readonly user: number; readonly reusable: boolean }
  | { readonly kind: "expire-key"; readonly id: number }
  | { readonly kind: "rename-node"; readonly id: number; readonly name: string }
  | { readonly kind: "tag-node"; readonly id: number; readonly tag: string }
  | { readonly kind: "approve"; readonly id: number; readonly route: string }
  | { readonly kind: "delete-node"; readonly id: number };
type Via = "rest" | "grpc" | "cli";

const small = fc.integer({ min: 1, max: 4 });
const name = fc.constantFrom("anna", "bert", "web", "db", "Bad Name");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("create-user" as const), name }),
  fc.record({ kind: fc.constant("rename-user" as const), id: small, name }),
  fc.record({ kind: fc.constant("delete-user" as const), id: small }),
  fc.record({ kind: fc.constant("create-key" as const), user: small, reusable: fc.boolean() }),
  fc.record({ kind: fc.constant("expire-key" as const), id: small }),
  fc.record({ kind: fc.constant("rename-node" as const), id: small, name }),
  fc.record({ kind: fc.constant("tag-node" as const), id: small, tag: fc.constantFrom("tag:a", "tag:b", "bad") }),
  fc.record({
    kind: fc.constant("approve" as const),
    id: small,
    route: fc.constantFrom("10.0.0.0/8", "::/0", "10.0.0.1"),
  }),
  fc.record({ kind: fc.constant("delete-node" as const), id: small }),
);

/** A step in each transport's words. */
function spellings(of: Step): {
  readonly rest: readonly [method: string, path: string, body?: object];
  readonly grpc: readonly [method: string, input: object];
  readonly cli: readonly string[];
} {
  switch (of.kind) {
    case "create-user":
      return {
        rest: ["POST", "/user", { name: of.name }],
        grpc: ["createUser", { name: of.name }],
        cli: ["users", "create", of.name],
      };
    case "rename-user":
      return {
        rest: ["POST", `/user/${of.id}/rename/${encodeURIComponent(of.name)}`],
        grpc: ["renameUser", { oldId: BigInt(of.id), newName: of.name }],
        cli: ["users", "rename", "-i", String(of.id), "-r", of.name],
      };
    case "delete-user":
      return {
        rest: ["DELETE", `/user/${of.id}`],
        grpc: ["deleteUser", { id: BigInt(of.id) }],
        cli: ["users", "destroy", "-i", String(of.id), "--force"],
      };
    case "create-key":
      return {
        rest: ["POST", "/preauthkey", { user: of.user, reusable: of.reusable }],
        grpc: ["createPreAuthKey", { user: BigInt(of.user), reusable: of.reusable }],
        cli: ["preauthkeys", "create", "-u", String(of.user), ...(of.reusable ? ["--reusable"] : [])],
      };
    case "expire-key":
      return {
        rest: ["POST", "/preauthkey/expire", { id: of.id }],
        grpc: ["expirePreAuthKey", { id: BigInt(of.id) }],
        cli: ["preauthkeys", "expire", "-i", String(of.id)],
      };
    case "rename-node":
      return {
        rest: ["POST", `/node/${of.id}/rename/${encodeURIComponent(of.name)}`],
        grpc: ["renameNode", { nodeId: BigInt(of.id), newName: of.name }],
        cli: ["nodes", "rename", "-i", String(of.id), of.name],
      };
    case "tag-node":
      return {
        rest: ["POST", `/node/${of.id}/tags`, { tags: [of.tag] }],
        grpc: ["setTags", { nodeId: BigInt(of.id), tags: [of.tag] }],
        cli: ["nodes", "tag", "-i", String(of.id), "-t", of.tag],
      };
    case "approve":
      return {
        rest: ["POST", `/node/${of.id}/approve_routes`, { routes: [of.route] }],
        grpc: ["setApprovedRoutes", { nodeId: BigInt(of.id), routes: [of.route] }],
        cli: ["nodes", "approve-routes", "-i", String(of.id), "-r", of.route],
      };
    case "delete-node":
      return {
        rest: ["DELETE", `/node/${of.id}`],
        grpc: ["deleteNode", { nodeId: BigInt(of.id) }],
        cli: ["nodes", "delete", "-i", String(of.id), "--force"],
      };
  }
}

type Grpc = (method: string, input?: object) => Promise<unknown>;

function grpcOf(world: AdminWorld): Grpc {
  const nodeOptions = { createConnection: () => connect(world.socketPath) };
  const client = createClient(service, createGrpcTransport({ baseUrl: "http://localhost", nodeOptions }));
  return async (name, input = {}) => {
    const method = service.methods.find(({ localName }) => localName === name);
    const rpc: unknown = Reflect.get(client, name);
    assert.ok(method !== undefined && typeof rpc === "function", name);
    return toProtoJson(method.output, (await rpc(input)) as Message, { alwaysEmitImplicit: true });
  };
}

/** Does the step; the answer is the text of the refusal, or "". */
async function perform(world: AdminWorld, grpc: Grpc, own: Step, via: Via): Promise<string> {
  const { rest, grpc: call, cli } = spellings(own);
  switch (via) {
    case "rest": {
      const { status, body } = await world.rest(rest[0], `/api/v1${rest[1]}`, rest[2]);
      return status === 200 ? "" : (body as { message: string }).message;
    }
    case "grpc":
      return grpc(...call).then(
        () => "",
        (fault: unknown) => (fault instanceof ConnectError ? fault.rawMessage : String(fault)),
      );
    case "cli": {
      const { code, stderr } = await world.cli(cli);
      return code === 0 ? "" : stderr.replace(/^.*? desc = /s, "").trimEnd();
    }
  }
}

/** Leaves out what is unset, and turns the command line's times and numbers into REST's, so that the three compare. */
function common(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(common);
  }
  if (typeof value !== "object" || value === null) {
    return typeof value === "number" ? String(value) : value;
  }
  const entries = Object.entries(value);
  if ("seconds" in value && typeof value.seconds === "number") {
    return new Date(value.seconds * 1000).toISOString().replace(".000Z", "Z");
  }
  return Object.fromEntries(
    entries
      .map(
        ([key, inner]) =>
          [key.replaceAll(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()), common(inner)] as const,
      )
      .filter(([key, inner]) => ![null, "", false, "0", undefined].includes(inner as never) && key !== "registerMethod")
      .filter(([, inner]) => !(Array.isArray(inner) && inner.length === 0)),
  );
}

async function sameAnswers(world: AdminWorld, grpc: Grpc): Promise<void> {
  for (const [path, method, words, key] of [
    ["/user", "listUsers", "users list", "users"],
    ["/node", "listNodes", "nodes list", "nodes"],
    ["/preauthkey", "listPreAuthKeys", "preauthkeys list", "preAuthKeys"],
  ] as const) {
    const overRest = common((await world.rest("GET", `/api/v1${path}`)).body);
    const overGrpc = common(await grpc(method));
    const { stdout } = await world.cli(`${words} -o json`);
    const overCli = common({ [key]: JSON.parse(stdout) as unknown });
    assert.deepEqual(overGrpc, overRest, `gRPC and REST: ${method}`);
    assert.deepEqual(overCli, overRest, `CLI and REST: ${words}`);
  }
}

test("the three give the same answers after any steps by any of them", async () => {
  const vias: fc.Arbitrary<Via> = fc.constantFrom("rest", "grpc", "cli");
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(step, vias), { minLength: 1, maxLength: 8 }), async (steps) => {
      const world = await createAdminWorld();
      try {
        const grpc = grpcOf(world);
        await world.cli("users create infra");
        await world.join(1, 1, { Hostname: "one", RoutableIPs: ["10.0.0.0/8"] });
        await world.join(1, 2);
        for (const [own, via] of steps) {
          await perform(world, grpc, own, via);
        }
        await sameAnswers(world, grpc);
      } finally {
        await world.close();
      }
    }),
    { numRuns: 15 },
  );
});

test("the three refuse the same steps in the same words", async () => {
  const refusals: readonly Step[] = [
    { kind: "create-user", name: "infra" },
    { kind: "delete-user", id: 1 },
    { kind: "create-key", user: 9, reusable: false },
    { kind: "rename-node", id: 1, name: "Bad Name" },
    { kind: "rename-node", id: 1, name: "host-2" },
    { kind: "rename-node", id: 9, name: "x" },
    { kind: "tag-node", id: 1, tag: "bad" },
    { kind: "tag-node", id: 9, tag: "tag:a" },
    { kind: "approve", id: 1, route: "10.0.0.1" },
    { kind: "delete-node", id: 9 },
  ];
  const world = await createAdminWorld();
  try {
    const grpc = grpcOf(world);
    await world.cli("users create infra");
    await world.join(1, 1);
    await world.join(1, 2);
    for (const own of refusals) {
      const texts = [
        await perform(world, grpc, own, "rest"),
        await perform(world, grpc, own, "grpc"),
        await perform(world, grpc, own, "cli"),
      ];
      assert.notEqual(texts[0], "", own.kind);
      assert.equal(new Set(texts).size, 1, `${own.kind}: ${texts.join(" | ")}`);
    }
  } finally {
    await world.close();
  }
});
