// headscale.v1.HeadscaleService as a request handler for Node's HTTP/2. Transport, framing and status trailers are
// connect's; what a call does is the same table of operations as REST's.
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { DescMethod, DescMethodUnary, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextKey, createContextValues } from "@connectrpc/connect";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Authentication } from "../authenticate.ts";
import type { Operation, OperationDeps } from "../operation.ts";
import { maxBodyBytes } from "../read-body.ts";
import { mayCall } from "../scopes.ts";
import { fromMessage, toMessageInTurns } from "./convert.ts";
import { serviceOf } from "./descriptors.ts";
import { addReflection } from "./reflection.ts";

export interface GrpcOptions {
  readonly deps: OperationDeps;
  readonly operations: readonly Operation[];
  /** Who calls; asked once per request. */
  readonly authenticate: (request: Http2ServerRequest) => Authentication;
  readonly onFault: (fault: unknown) => void;
  /** Tell whoever asks what is served here. */
  readonly reflection: boolean;
}

export type GrpcHandler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

type Refusal = Exclude<Authentication, { readonly kind: "caller" }>;

const noOne: Refusal = { kind: "refused", reason: "authorization token not supplied" };
const callerKey = createContextKey<Authentication>(noOne);

export function createGrpcHandler({ deps, operations, authenticate, onFault, reflection }: GrpcOptions): GrpcHandler {
  const ours = operations.filter(({ call }) => call.inHeadscale);
  const service = serviceOf(ours.map(({ call }) => call));
  const callers = new WeakMap<object, Authentication>();
  const adapter = connectNodeAdapter({
    grpcWeb: false,
    connect: false,
    readMaxBytes: maxBodyBytes,
    contextValues: (request) => createContextValues().set(callerKey, callers.get(request) ?? noOne),
    routes: (router: ConnectRouter) => {
      for (const operation of ours) {
        const method = service.methods.find(({ name }) => name === operation.call.name);
        if (isUnary(method)) {
          router.rpc(method, async (input: Message, context: HandlerContext) => {
            const { call } = operation;
            const answer = await runUnary({ deps, operation, onFault }, input, context.values.get(callerKey));
            return toMessageInTurns(call.response, method.output, answer);
          });
        }
      }
      if (reflection) {
        addReflection(router, [service]);
      }
    },
  });
  return (request, response) => {
    repairAuthority(request);
    try {
      // Throws when the client has gone meanwhile.
      const known = authenticate(request);
      if (known.kind !== "caller") {
        refuseUnread(request, response, known);
        return;
      }
      callers.set(request, known);
      adapter(request, response);
    } catch (fault) {
      // The adapter throws at once on what it cannot make a URL of; nobody else must notice.
      if (!response.stream.destroyed) {
        onFault(fault);
        response.stream.destroy();
      }
    }
  };
}

/** Strangers are answered without their message being read: a connection could otherwise fill the memory with a hundred of them. */
function refuseUnread(request: Http2ServerRequest, response: Http2ServerResponse, refusal: Refusal): void {
  const { message, code } = rejection(refusal);
  request.resume();
  // The status must stand in the frame that ends the stream: grpc-go takes no empty one after it.
  response.stream.respond(
    { ":status": 200, "content-type": "application/grpc", "grpc-status": code, "grpc-message": message },
    { endStream: true },
  );
}

function rejection(refusal: Refusal): { readonly message: string; readonly code: Code } {
  switch (refusal.kind) {
    case "refused":
      return { message: refusal.reason, code: Code.Unauthenticated };
    case "too-many":
      return { message: "too many wrong API keys from this address", code: Code.ResourceExhausted };
  }
}

function isUnary(method: DescMethod | undefined): method is DescMethodUnary {
  return method?.methodKind === "unary";
}

/**
 * The adapter builds a URL of the authority, and an authority that is none would end the process: grpc-go sends
 * `%2Fpath%2Fto.sock` over a Unix socket, and anybody may send anything.
 */
function repairAuthority(request: Http2ServerRequest): void {
  if (!URL.canParse(`http://${request.authority}`)) {
    request.headers[":authority"] = "localhost";
  }
  if (!URL.canParse(request.url, "http://localhost")) {
    request.headers[":path"] = "/";
    request.url = "/";
  }
}

interface UnaryPlace {
  readonly deps: OperationDeps;
  readonly operation: Operation;
  readonly onFault: (fault: unknown) => void;
}

async function runUnary(
  { deps, operation, onFault }: UnaryPlace,
  input: Message,
  authentication: Authentication,
): Promise<object> {
  const { call } = operation;
  if (authentication.kind !== "caller") {
    const { message, code } = rejection(authentication);
    throw new ConnectError(message, code);
  }
  const { caller } = authentication;
  if (!mayCall(caller.scopes, call.scope)) {
    throw new ConnectError(`this API key lacks the scope ${call.scope}`, Code.PermissionDenied);
  }
  const decoded = fromMessage(call.request, input);
  if (!decoded.ok) {
    throw new ConnectError(decoded.problem, Code.InvalidArgument);
  }
  const answer = await operation.run(deps, caller, decoded.value).catch((fault: unknown) => {
    onFault(fault);
    throw new ConnectError("internal error", Code.Internal);
  });
  if (!answer.ok) {
    const { code, message } = answer.error;
    throw new ConnectError(message, Code[code === "OK" ? "Unknown" : code]);
  }
  return answer.value;
}
