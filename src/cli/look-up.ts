// Finding users and nodes by what people have at hand: an id, or a name.
import { GetNode, ListNodes, ListUsers } from "../api/calls.ts";
import type { NodeValue, UserValue } from "../api/messages.ts";
import type { Client } from "./client.ts";
import { CliError } from "./cli-error.ts";
import type { Flags } from "./flags.ts";

/** The one user that --identifier or --name (or an operand) means. Throws CliError. */
export async function oneUser(
  client: Client,
  flags: Flags,
  operand: string | undefined,
  doing: string,
): Promise<UserValue> {
  const id = flags.number("identifier", -1);
  const name = flags.text("name") || (operand ?? "");
  if (id < 0 && name === "") {
    throw new CliError("--name or --identifier flag is required");
  }
  const { users } = await client.call(ListUsers, id >= 0 ? { id } : { name }, doing);
  const matching = id >= 0 ? users.filter((user) => user.id === id) : users;
  const [user, second] = matching;
  if (user === undefined) {
    throw new CliError(`${doing}: no user matches; "users list" shows who there is`);
  }
  if (second !== undefined) {
    throw new CliError(`${doing}: multiple users match query, specify an ID`);
  }
  return user;
}

/** A user's id from an id or a name. Throws CliError. */
export async function userId(client: Client, text: string, doing: string): Promise<number> {
  if (/^\d+$/.test(text)) {
    return Number(text);
  }
  const { users } = await client.call(ListUsers, { name: text }, doing);
  const [user, second] = users;
  if (user === undefined || second !== undefined) {
    const problem = user === undefined ? "no user has the name" : "several users have the name";
    throw new CliError(`${doing}: ${problem} ${JSON.stringify(text)}; give the user's id ("users list")`);
  }
  return user.id;
}

/** A node from its id or its name in DNS. Throws CliError. */
export async function oneNode(client: Client, text: string, doing: string): Promise<NodeValue> {
  if (/^\d+$/.test(text)) {
    const { node } = await client.call(GetNode, { nodeId: Number(text) }, doing);
    if (node === null) {
      throw new CliError(`${doing}: node not found`);
    }
    return node;
  }
  const { nodes } = await client.call(ListNodes, {}, doing);
  const named = nodes.find((node) => node.givenName.toLowerCase() === text.toLowerCase());
  if (named === undefined) {
    throw new CliError(`${doing}: no node has the name ${JSON.stringify(text)}; "nodes list" shows what there is`);
  }
  return named;
}

/** The node id that --identifier means: a number as it is (the server judges it), a name by looking it up. */
export async function nodeId(client: Client, flags: Flags, doing: string): Promise<number> {
  const text = flags.text("identifier");
  return /^\d+$/.test(text) ? Number(text) : (await oneNode(client, text, doing)).id;
}
