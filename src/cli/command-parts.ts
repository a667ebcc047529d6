// What several groups of commands have in common.
import type { FlagSpec, Leaf } from "./command.ts";

type Settings = Omit<Leaf, "kind" | "name" | "summary" | "run">;

export function leaf(name: string, summary: string, run: Leaf["run"], settings: Settings = {}): Leaf {
  return { kind: "leaf", name, summary, run, ...settings };
}

export const identifier: FlagSpec = {
  name: "identifier",
  short: "i",
  type: "string",
  about: "node: its id, or its name",
  required: true,
  completes: "node",
};

export const ownerName: FlagSpec = {
  name: "user",
  short: "u",
  type: "string",
  about: "name of the user",
  // As users were called before 0.17, and the letter of that time.
  formerly: ["namespace", "n"],
  completes: "user name",
};
export const keyId: FlagSpec = { name: "id", short: "i", type: "uint", about: "id of the key" };

export const policyFile: FlagSpec = {
  name: "file",
  short: "f",
  type: "string",
  about: "policy file in HuJSON",
  required: true,
  completes: "file",
};
