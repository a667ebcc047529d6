// Header blocks of replies. They carry no state of a connection, so the few that there are get made once.
import { responseHead } from "../wire/h2-server.ts";

const heads = new Map<string, Uint8Array>();

export function replyHead(
  status: number,
  contentType: string,
  headers: readonly (readonly [name: string, value: string])[] = [],
): Uint8Array {
  const fields: (readonly [string, string])[] = contentType === "" ? [] : [["content-type", contentType]];
  if (headers.length > 0) {
    return responseHead(status, [...fields, ...headers]);
  }
  const name = `${status} ${contentType}`;
  const known = heads.get(name);
  if (known !== undefined) {
    return known;
  }
  const block = responseHead(status, fields);
  heads.set(name, block);
  return block;
}
