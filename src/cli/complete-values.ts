// What the server knows that may be the value of a flag or an operand.
import { ListApiKeys, ListNodes, ListPreAuthKeys, ListUsers } from "../api/calls.ts";
import { ListPolicyHistory, ListWaiting } from "../api/own-calls.ts";
import type { Client } from "./client.ts";
import type { Completes } from "./command.ts";
import type { Candidate } from "./complete.ts";
import { tableTime } from "./durations.ts";

const doing = "completing";

/** `part` is what stands there already; `node` the one that --identifier names, or "". Throws CliError. */
export async function serverValues(
  client: Client,
  wanted: Extract<Completes, string>,
  part: string,
  node: string,
): Promise<readonly Candidate[]> {
  const found = await valuesOf(client, wanted, part, node);
  // What holds an end of line or a tab cannot be typed, and would look like other candidates.
  return found
    .filter(({ text }) => text !== "" && !/\p{Cc}/u.test(text))
    .map(({ text, about }) => ({ text, about: about.replaceAll(/\p{Cc}/gu, " ") }));
}

async function valuesOf(
  client: Client,
  wanted: Extract<Completes, string>,
  part: string,
  node: string,
): Promise<readonly Candidate[]> {
  switch (wanted) {
    case "node":
      return nodes(client, /^\d/.test(part));
    case "user name":
      return users(client, false);
    case "user id":
      // An id is wanted; a name will do where somebody begins one.
      return users(client, !/^\D/.test(part));
    case "party":
      return [...(await nodes(client, false)), ...(await users(client, false)), ...(await tags(client))];
    case "tag":
      return tags(client);
    case "route":
      return routes(client, node);
    case "pre-auth key id": {
      const { preAuthKeys } = await client.call(ListPreAuthKeys, {}, doing);
      return preAuthKeys.map(({ id, key, user, aclTags }) => ({
        text: String(id),
        about: [key, user?.name ?? "", ...aclTags].filter((text) => text !== "").join(" "),
      }));
    }
    case "api key id":
    case "api key prefix": {
      const { apiKeys } = await client.call(ListApiKeys, {}, doing);
      return apiKeys.map(({ id, prefix, createdAt }) => {
        const bare = /^hskey-api-(.*)-\*+$/.exec(prefix)?.[1] ?? prefix.replace(/\*+$/, "");
        const made = `made ${tableTime(createdAt)}`;
        return wanted === "api key id"
          ? { text: String(id), about: `${prefix}, ${made}` }
          : { text: bare, about: `id ${id}, ${made}` };
      });
    }
    case "auth id": {
      const { waiting } = await client.call(ListWaiting, {}, doing);
      return waiting.map(({ authId, hostname, from }) => ({
        text: authId,
        about: [hostname, from].filter((text) => text !== "").join(" from "),
      }));
    }
    case "policy id": {
      const { revisions } = await client.call(ListPolicyHistory, {}, doing);
      return revisions.map(({ id, setAt, setBy }) => ({ text: String(id), about: `${tableTime(setAt)} by ${setBy}` }));
    }
    case "file":
      return [];
  }
}

/** By name; by id too where digits have been typed. */
async function nodes(client: Client, withIds: boolean): Promise<readonly Candidate[]> {
  const { nodes: all } = await client.call(ListNodes, {}, doing);
  const owner = ({ user, tags: own }: (typeof all)[number]): string => own.join(" ") || (user?.name ?? "");
  const named = all.map((node) => ({ text: node.givenName, about: `id ${node.id}, ${owner(node)}` }));
  const numbered = all.map((node) => ({ text: String(node.id), about: `${node.givenName}, ${owner(node)}` }));
  return withIds ? [...numbered, ...named] : named;
}

async function users(client: Client, byId: boolean): Promise<readonly Candidate[]> {
  const { users: all } = await client.call(ListUsers, {}, doing);
  return all.map(({ id, name, displayName, email }) => {
    const who = [displayName, email].find((text) => text !== "") ?? "";
    return byId
      ? { text: String(id), about: [name, who].filter((text) => text !== "").join(", ") }
      : { text: name, about: who === "" ? `id ${id}` : `id ${id}, ${who}` };
  });
}

async function tags(client: Client): Promise<readonly Candidate[]> {
  const { nodes: all } = await client.call(ListNodes, {}, doing);
  const known = [...new Set(all.flatMap((node) => node.tags))].toSorted();
  return known.map((tag) => ({ text: tag, about: "" }));
}

async function routes(client: Client, node: string): Promise<readonly Candidate[]> {
  const { nodes: all } = await client.call(ListNodes, {}, doing);
  const chosen = node === "" ? all : all.filter(({ id, givenName }) => String(id) === node || givenName === node);
  const known = [...new Set(chosen.flatMap((each) => each.availableRoutes))];
  return known.map((route) => ({ text: route, about: "" }));
}
