// What a call is, apart from what it does: the declaration that the REST router, gRPC, the OpenAPI document and the
// command line's client share. The handlers are in operations-*.ts.
import type { MessageType } from "./message.ts";

export const areas = ["users", "nodes", "authkeys", "apikeys", "policy", "auth", "server", "audit"] as const;
export type Area = (typeof areas)[number];
export type Access = "read" | "write";
export type Scope = `${Area}:${Access}`;

export type Method = "GET" | "POST" | "PUT" | "DELETE";

export interface Call<Input extends object, Output extends object> {
  readonly name: string;
  readonly method: Method;
  /** `{old_id}` names a field of the request by its protobuf name. */
  readonly path: string;
  readonly scope: Scope;
  readonly request: MessageType<Input>;
  readonly response: MessageType<Output>;
  readonly about: string;
  /**
   * Where fields that are not in the path come from. "query or body": headscale reads only the query there, which
   * surprises people, so a body is read too and the query wins.
   */
  readonly input: "body" | "query" | "query or body";
  /** A call of headscale.v1.HeadscaleService, so also there over gRPC. */
  readonly inHeadscale: boolean;
}

export type AnyCall = Call<object, object>;

export interface CallDeclaration {
  /** The path without /api/v1. */
  readonly route: `${Method} ${string}`;
  readonly scope: Scope;
  readonly about: string;
  readonly input?: "query or body";
}

export function declareCall<Input extends object, Output extends object>(
  name: string,
  request: MessageType<Input>,
  response: MessageType<Output>,
  { route, scope, about, input }: CallDeclaration,
  inHeadscale: boolean,
): Call<Input, Output> {
  const [method, path] = route.split(" ") as [Method, string];
  const place = input ?? (method === "POST" || method === "PUT" ? "body" : "query");
  return { name, method, path: `/api/v1${path}`, scope, request, response, about, input: place, inHeadscale };
}
