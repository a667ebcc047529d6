// How a call fails, in the terms that headscale's clients know: a gRPC code and a text (headscale reference §3.2).
import type { CommandError } from "../tailnet/contract.ts";

/** gRPC's codes, in their numbering. */
export const rpcCodeNames = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
] as const;
export type RpcCodeName = (typeof rpcCodeNames)[number];

export interface RpcError {
  readonly code: RpcCodeName;
  readonly message: string;
}

export type Answer<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: RpcError };

export function answer<Value>(value: Value): Answer<Value> {
  return { ok: true, value };
}

export function refuse(code: RpcCodeName, message: string): { readonly ok: false; readonly error: RpcError } {
  return { ok: false, error: { code, message } };
}

const codeOfCommandError: Readonly<Record<CommandError["code"], RpcCodeName>> = {
  "not-found": "NotFound",
  invalid: "InvalidArgument",
  conflict: "Unknown",
  denied: "InvalidArgument",
  exhausted: "ResourceExhausted",
  unavailable: "Unavailable",
};

/**
 * A command's refusal as a call's. `codes` are the exceptions of one call: headscale answers many plain mistakes with
 * Unknown, and scripts look at the status.
 */
export function refusal(
  error: CommandError,
  codes: Partial<Record<CommandError["code"], RpcCodeName>> = {},
  prefix = "",
): { readonly ok: false; readonly error: RpcError } {
  return refuse(codes[error.code] ?? codeOfCommandError[error.code], prefix + error.text);
}

export function rpcCodeNumber(code: RpcCodeName): number {
  return rpcCodeNames.indexOf(code);
}

export function httpStatus(code: RpcCodeName): number {
  switch (code) {
    case "OK":
      return 200;
    case "Canceled":
      return 499;
    case "InvalidArgument":
    case "FailedPrecondition":
    case "OutOfRange":
      return 400;
    case "Unauthenticated":
      return 401;
    case "PermissionDenied":
      return 403;
    case "NotFound":
      return 404;
    case "AlreadyExists":
    case "Aborted":
      return 409;
    case "ResourceExhausted":
      return 429;
    case "Unimplemented":
      return 501;
    case "Unavailable":
      return 503;
    case "DeadlineExceeded":
      return 504;
    case "Unknown":
    case "Internal":
    case "DataLoss":
      return 500;
  }
}
