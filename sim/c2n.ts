// What a client answers when the server asks it something (c2n, protocol §5.3–5.4): HTTP/1.1 text in, HTTP/1.1 text out.

export interface C2nRequest {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
}

export interface C2nResponse {
  readonly status: number;
  readonly body: Uint8Array | string;
}

/** Undefined leaves the request to the answers every client has. */
export type C2nHandler = (request: C2nRequest) => C2nResponse | undefined;

const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  400: "Bad Request",
  405: "Method Not Allowed",
};

/** The whole response text to the request text of a PingRequest's payload. */
export function answerC2n(payload: Buffer, handler?: C2nHandler): Buffer {
  const request = parse(payload);
  const { status, body } = request === undefined ? badRequest : (handler?.(request) ?? answer(request));
  const bytes = Buffer.from(body);
  const head = `HTTP/1.1 ${status} ${reasons[status] ?? "Status"}\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), bytes]);
}

const badRequest: C2nResponse = { status: 400, body: "malformed request" };

function parse(payload: Buffer): C2nRequest | undefined {
  const end = payload.indexOf("\r\n\r\n");
  const [method = "", target = "", protocol = ""] = (payload.toString("latin1").split("\r\n")[0] ?? "").split(" ");
  return end === -1 || !protocol.startsWith("HTTP/1.")
    ? undefined
    : { method, path: target, body: payload.subarray(end + 4) };
}

function answer({ method, path, body }: C2nRequest): C2nResponse {
  switch (path.split("?")[0] ?? "") {
    case "/echo":
      return { status: 200, body };
    case "/logtail/flush":
    case "/debug/logheap":
      return { status: 204, body: "" };
    case "/debug/metrics":
      return { status: 200, body: "sim_clients 1\n" };
    case "/posture/identity":
      return method === "GET" ? { status: 200, body: '{"PostureDisabled":true}' } : { status: 405, body: "bad method" };
    case "/update":
      return { status: 200, body: '{"Enabled":false,"Supported":false}' };
    default:
      return { status: 400, body: "unknown c2n path" };
  }
}
