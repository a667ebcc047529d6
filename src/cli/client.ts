// The command line's connection to a server: REST over the Unix socket, or over HTTPS with an API key.
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { Call } from "../api/call.ts";
import { fromJson, toJson } from "../api/json-dialect.ts";
import { fieldOf } from "../api/message.ts";
import { rpcCodeNames } from "../api/rpc-error.ts";
import { CliError } from "./cli-error.ts";

export type ServerPlace =
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "remote"; readonly url: URL; readonly apiKey: string; readonly insecure: boolean };

export interface ClientOptions {
  readonly place: ServerPlace;
  /** Milliseconds until a connection must stand. */
  readonly timeout: number;
  /** Milliseconds until the whole answer must be there; undefined waits for it. */
  readonly patience?: number;
  readonly programName: string;
}

export interface Client {
  /**
   * Calls and gives the decoded answer. `doing` is what the command is about ("creating user"): a refusal reads
   * `<doing>: rpc error: code = <Code> desc = <text>`. Fields left out of `input` are unset. Throws CliError.
   */
  call<Input extends object, Output extends object>(
    call: Call<Input, Output>,
    input: Partial<Input>,
    doing: string,
  ): Promise<Output>;
}

export function createClient(options: ClientOptions): Client {
  return {
    async call(call, input, doing) {
      const whole = { ...call.request.unset, ...input };
      const { path, body } = requestFor(call, whole);
      const answer = await exchange(options, call.method, path, body);
      return readAnswer(call, answer, doing);
    },
  };
}

function requestFor<Input extends object>(
  call: Call<Input, object>,
  input: Input,
): { readonly path: string; readonly body: string | undefined } {
  const inPath = new Set<string>();
  const path = call.path.replace(/\{([^}]+)\}/g, (_match, snake: string) => {
    inPath.add(snake);
    const field = call.request.fields.find((candidate) => candidate.snake === snake);
    return encodeURIComponent(String(field === undefined ? "" : fieldOf(input, field.local)));
  });
  const asJson = toJson(call.request, input);
  const given: Record<string, unknown> = {};
  for (const field of call.request.fields) {
    const value = fieldOf(input, field.local);
    if (!inPath.has(field.snake) && value !== field.unset) {
      given[field.local] = fieldOf(asJson as object, field.local);
    }
  }
  if (call.input === "body") {
    return { path, body: JSON.stringify(given) };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given)) {
    for (const text of Array.isArray(value) ? value : [value]) {
      query.append(name, String(text));
    }
  }
  return { path: query.size === 0 ? path : `${path}?${query.toString()}`, body: undefined };
}

interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

function exchange(options: ClientOptions, method: string, path: string, body: string | undefined): Promise<HttpAnswer> {
  const { place } = options;
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    headers["content-length"] = String(Buffer.byteLength(body));
  }
  // No keep-alive: a command makes a call or two and must end when it has its answer.
  const base: RequestOptions = { method, path, headers, agent: false };
  // An import of these modules touches every one of their exports, and with them loads a second HTTP client and more:
  // half of what a short command costs.
  const { request: httpRequest } = process.getBuiltinModule("node:http");
  if (place.kind === "socket") {
    return send(
      options,
      httpRequest,
      { ...base, socketPath: place.path, headers: { ...headers, host: "local" } },
      body,
    );
  }
  headers["authorization"] = `Bearer ${place.apiKey}`;
  const { hostname, port, protocol } = place.url;
  const target = { ...base, hostname: hostname.replace(/^\[|\]$/g, ""), port, headers };
  if (protocol === "http:") {
    return send(options, httpRequest, target, body);
  }
  const { request: httpsRequest } = process.getBuiltinModule("node:https");
  return send(options, httpsRequest, { ...target, rejectUnauthorized: !place.insecure }, body);
}

type Requester = (
  options: RequestOptions & { rejectUnauthorized?: boolean },
  onResponse: (response: IncomingMessage) => void,
) => ClientRequest;

function send(
  options: ClientOptions,
  requester: Requester,
  target: RequestOptions & { rejectUnauthorized?: boolean },
  body: string | undefined,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const request = requester(target, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
      response.on("error", (fault) => reject(new CliError(connectionProblem(options, fault))));
    });
    const giveUp = (): void => {
      request.destroy(Object.assign(new Error("context deadline exceeded"), { code: "ETIMEDOUT" }));
    };
    const late = setTimeout(giveUp, options.timeout);
    const impatient = options.patience === undefined ? undefined : setTimeout(giveUp, options.patience);
    request.once("close", () => clearTimeout(impatient));
    request.once("socket", (socket) => {
      if (socket.connecting) {
        socket.once("connect", () => clearTimeout(late));
      } else {
        clearTimeout(late);
      }
    });
    request.on("error", (fault) => {
      clearTimeout(late);
      reject(new CliError(connectionProblem(options, fault)));
    });
    request.end(body);
  });
}

function connectionProblem({ place, programName }: ClientOptions, fault: Error): string {
  const given = fieldOf(fault, "code");
  const code = typeof given === "string" ? given : "";
  if (place.kind === "remote") {
    const hint =
      code.includes("CERT") || code.includes("SIGNATURE") ? " (cli.insecure skips the check of its certificate)" : "";
    return `connecting to ${programName}: connecting to ${place.url.host}: ${fault.message}${hint}`;
  }
  if (code === "EACCES" || code === "EPERM") {
    return `unable to read/write to ${programName} socket "${place.path}", do you have the correct permissions? Run the command as root or as a member of the socket's group`;
  }
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return `connecting to ${programName}: connecting to ${place.path}: no server is listening there; start it with "${programName} serve", or name its configuration with --config`;
  }
  return `connecting to ${programName}: connecting to ${place.path}: ${fault.message}`;
}

function readAnswer<Output extends object>(call: Call<object, Output>, answer: HttpAnswer, doing: string): Output {
  if (answer.status === 401) {
    throw new CliError(`${doing}: rpc error: code = Unauthenticated desc = invalid token`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.text);
  } catch {
    const start = answer.text.trim().slice(0, 120);
    throw new CliError(`${doing}: the server answered ${answer.status} with something else than expected: ${start}`);
  }
  if (answer.status !== 200) {
    const { code, message } = refusalOf(parsed);
    throw new CliError(`${doing}: rpc error: code = ${code} desc = ${message}`);
  }
  const decoded = fromJson(call.response, parsed);
  if (!decoded.ok) {
    throw new CliError(`${doing}: the server's answer cannot be read: ${decoded.problem}`);
  }
  return decoded.value;
}

function refusalOf(parsed: unknown): { readonly code: string; readonly message: string } {
  if (typeof parsed !== "object" || parsed === null) {
    return { code: "Unknown", message: String(parsed) };
  }
  const number = Number(fieldOf(parsed, "code"));
  return { code: rpcCodeNames[number] ?? "Unknown", message: String(fieldOf(parsed, "message")) };
}

/**
 * Where `cli.address` points: `host:port` (as headscale's remote command line has it, always TLS), or a URL.
 * Throws CliError.
 */
export function remotePlace(address: string, apiKey: string, insecure: boolean, programName: string): ServerPlace {
  if (apiKey === "") {
    throw new CliError(`connecting to ${programName}: HEADSCALE_CLI_API_KEY environment variable needs to be set`);
  }
  const text = /^https?:\/\//.test(address) ? address : `https://${address}`;
  if (!URL.canParse(text)) {
    throw new CliError(
      `connecting to ${programName}: cli.address ${JSON.stringify(address)} is neither host:port nor a URL`,
    );
  }
  return { kind: "remote", url: new URL(text), apiKey, insecure };
}
