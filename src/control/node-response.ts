// The raw HTTP/1.1 response that a client posts as the answer to a c2n request. The node is not trusted: the text is
// bounded by the body limit, header names and counts are checked, and nothing in it is followed.

export interface NodeResponse {
  /** 100 … 599. */
  readonly status: number;
  /** Names in lower case; of repeated ones the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

const maxHeaders = 100;
const statusLine = /^HTTP\/1\.[01] ([1-5][0-9]{2})(?: .*)?$/;
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Undefined when the bytes are not one whole response. */
export function parseNodeResponse(bytes: Uint8Array): NodeResponse | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = buffer.indexOf("\r\n\r\n");
  if (end === -1) {
    return undefined;
  }
  const [first = "", ...lines] = buffer.toString("latin1", 0, end).split("\r\n");
  const status = statusLine.exec(first)?.[1];
  if (status === undefined || lines.length > maxHeaders) {
    return undefined;
  }
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    if (colon < 1 || !headerName.test(name)) {
      return undefined;
    }
    headers.set(name.toLowerCase(), line.slice(colon + 1).trim());
  }
  const body = bodyOf(buffer.subarray(end + 4), headers);
  return body === undefined ? undefined : { status: Number(status), headers, body };
}

function bodyOf(rest: Buffer, headers: ReadonlyMap<string, string>): Uint8Array | undefined {
  if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") {
    return joinChunks(rest);
  }
  const length = headers.get("content-length");
  if (length === undefined) {
    return rest;
  }
  return /^[0-9]{1,9}$/.test(length) && Number(length) <= rest.length ? rest.subarray(0, Number(length)) : undefined;
}

function joinChunks(rest: Buffer): Uint8Array | undefined {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf("\r\n", at);
    const size = lineEnd === -1 ? undefined : /^([0-9a-fA-F]{1,7})(?:;.*)?$/.exec(rest.toString("latin1", at, lineEnd));
    if (size?.[1] === undefined) {
      return undefined;
    }
    const length = Number.parseInt(size[1], 16);
    const start = lineEnd + 2;
    if (length === 0) {
      return Buffer.concat(chunks);
    }
    if (start + length + 2 > rest.length) {
      return undefined;
    }
    chunks.push(rest.subarray(start, start + length));
    at = start + length + 2;
  }
}
