// A server with a policy and keys for a layout of nodes: groups are tags whose members reach each other, the hub is a
// tag that everybody reaches.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Layout } from "./protocol.ts";
import type { ServerProcess } from "./server-process.ts";

/** Sets the policy and makes the keys, one a group and the hub's last. One group without a hub needs no policy. */
export async function prepare(server: ServerProcess, layout: Layout): Promise<readonly string[]> {
  const members = layout.hub ? layout.nodes - 1 : layout.nodes;
  const groups = Math.ceil(members / layout.group);
  if (groups === 1 && !layout.hub) {
    return [await server.reusableKey()];
  }
  const user = await server.createUser("bench");
  const tags = Array.from({ length: groups }, (_, index) => `tag:g${index}`);
  const rules = tags.map((tag) => ({ action: "accept", src: [tag], dst: [`${tag}:*`] }));
  const hub = layout.hub ? ["tag:hub"] : [];
  const policy = {
    tagOwners: Object.fromEntries([...tags, ...hub].map((tag) => [tag, [`${user.name}@`]])),
    acls: [...rules, ...hub.map((tag) => ({ action: "accept", src: ["*"], dst: [`${tag}:*`] }))],
  };
  const file = join(server.folder, "policy.hujson");
  writeFileSync(file, JSON.stringify(policy));
  await server.cli("policy", "set", "--file", file);
  const keys: string[] = [];
  for (const tag of [...tags, ...hub]) {
    keys.push(await server.taggedKey(tag));
  }
  return keys;
}
