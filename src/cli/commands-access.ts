// The policy, the keys of programs, and the audit log.
import { areas } from "../api/call.ts";
import type { FlagSpec, Group } from "./command.ts";
import { keyId, leaf, policyFile } from "./command-parts.ts";

const keys = () => import("./commands/keys.ts");
const policy = () => import("./commands/policy.ts");
const policyQuestions = () => import("./commands/policy-questions.ts");
const configuration = () => import("./commands/configuration.ts");
const audit = () => import("./commands/audit.ts");

const bypass: FlagSpec = {
  name: "bypass-grpc-and-access-database-directly",
  type: "bool",
  about: "work on the database of a server that does not run",
};

export const policyCommands: Group = {
  kind: "group",
  name: "policy",
  summary: "Who may reach what",
  children: [
    leaf("get", "Print the policy", async (run) => (await policy()).getPolicy(run), {
      aliases: ["show", "view", "fetch"],
      flags: [bypass],
      examples: ["policy get > policy.hujson"],
    }),
    leaf("set", "Replace the policy", async (run) => (await policy()).setPolicy(run), {
      aliases: ["put", "update"],
      flags: [policyFile, bypass],
      about: "It says what changes, and at a terminal asks when somebody loses access.",
      examples: ["policy set --file policy.hujson"],
    }),
    leaf("check", "Check a policy and run its tests", async (run) => (await policy()).checkPolicy(run), {
      flags: [policyFile, bypass],
      examples: ["policy check --file policy.hujson"],
    }),
    leaf(
      "mode",
      "Print where the policy lives: file or database",
      async (run) => (await configuration()).policyMode(run),
      { hidden: true },
    ),
    leaf(
      "test",
      "Run the tests of the policy in force, or of a file",
      async (run) => (await policy()).testPolicy(run),
      {
        flags: [{ ...policyFile, required: false }],
        examples: ["policy test", "policy test --file policy.hujson"],
      },
    ),
    leaf(
      "explain",
      "Say whether one may reach the other, and why",
      async (run) => (await policyQuestions()).explainPolicy(run),
      {
        operands: "SOURCE DESTINATION[:PORT]",
        completes: ["party", "party"],
        about: "Both may be a node's name or id, an address, a user, a group or a tag.",
        flags: [
          { name: "src", type: "string", about: "in place of the first word", completes: "party" },
          { name: "dst", type: "string", about: "in place of the second word", completes: "party" },
          {
            name: "proto",
            type: "string",
            about: "protocol: tcp, udp, icmp or a number",
            value: "PROTOCOL",
            fallback: "any",
            completes: ["tcp", "udp", "icmp"],
          },
          { name: "ssh", type: "string", about: "ask for SSH as this user, too", value: "USER" },
          { ...policyFile, about: "ask a draft instead of the policy in force", required: false },
        ],
        examples: ["policy explain alice@example.com db-1:5432", "policy explain laptop db-1 --ssh root"],
      },
    ),
    leaf(
      "preview",
      "Say what putting a file in force would change",
      async (run) => (await policyQuestions()).previewPolicy(run),
      {
        operands: "FILE",
        completes: ["file"],
        flags: [{ ...policyFile, required: false }],
        examples: ["policy preview policy.hujson"],
      },
    ),
    leaf("history", "List earlier policies, or print one", async (run) => (await policy()).policyHistory(run), {
      operands: "[ID]",
      examples: ["policy history", "policy history 3"],
      completes: ["policy id"],
    }),
    leaf("rollback", "Put an earlier policy in force again", async (run) => (await policy()).rollbackPolicy(run), {
      operands: "ID",
      examples: ["policy rollback 3"],
      completes: ["policy id"],
    }),
    leaf("fmt", "Lay a policy out evenly; comments stay", async (run) => (await policy()).formatPolicy(run), {
      aliases: ["format"],
      examples: ["policy fmt policy.hujson", "policy fmt --write policy.hujson"],
      operands: "[FILE]",
      completes: ["file"],
      flags: [
        { ...policyFile, required: false },
        { name: "write", short: "w", type: "bool", about: "change the file itself" },
      ],
    }),
  ],
};

const apiKeyChoice: readonly FlagSpec[] = [
  { ...keyId, completes: "api key id" },
  { name: "prefix", short: "p", type: "string", about: "prefix of the key", completes: "api key prefix" },
];

export const apiKeyCommands: Group = {
  kind: "group",
  name: "apikeys",
  aliases: ["apikey", "api"],
  summary: "Keys for programs that manage the server",
  children: [
    leaf("create", "Create a key", async (run) => (await keys()).createApiKey(run), {
      aliases: ["c", "new"],
      flags: [
        {
          name: "expiration",
          short: "e",
          type: "string",
          about: "how long it is good: 30m, 24h, 90d, never",
          value: "DURATION",
          fallback: "90d",
        },
        { name: "description", type: "string", about: "what it is for" },
        {
          name: "scopes",
          type: "list",
          about: "read, write, or nodes:read, users:write, …; none is everything",
          completes: ["read", "write", ...areas.flatMap((area) => [`${area}:read`, `${area}:write`])],
        },
        { name: "reusable", type: "bool", about: "does nothing", hidden: true },
        { name: "ephemeral", type: "bool", about: "does nothing", hidden: true },
      ],
      examples: ["apikeys create", "apikeys create --description dashboard --scopes read --expiration never"],
    }),
    leaf("list", "List keys", async (run) => (await keys()).listApiKeys(run), { aliases: ["ls", "show"] }),
    leaf("expire", "End a key now", async (run) => (await keys()).expireApiKey(run), {
      aliases: ["revoke", "exp", "e"],
      flags: apiKeyChoice,
      examples: ["apikeys expire --id 2"],
    }),
    leaf("delete", "Delete a key", async (run) => (await keys()).deleteApiKey(run), {
      aliases: ["remove", "del"],
      flags: apiKeyChoice,
      examples: ["apikeys delete --id 2"],
    }),
  ],
};

export const auditCommands: Group = {
  kind: "group",
  name: "audit",
  summary: "Who changed what",
  children: [
    leaf("list", "The latest changes", async (run) => (await audit()).listAudit(run), {
      aliases: ["ls", "show"],
      flags: [{ name: "limit", short: "n", type: "uint", about: "how many, at most 1000", fallback: "50" }],
      examples: ["audit list --limit 10"],
    }),
    leaf(
      "verify",
      "Tell whether entries were changed, removed or added past the server",
      async (run) => (await audit()).verifyAudit(run),
      {
        flags: [
          {
            name: "noted",
            type: "string",
            about: "a hash that an earlier verify printed: the log must hold it",
            value: "HASH",
          },
          {
            name: "file",
            short: "f",
            type: "string",
            about: "an exported log, instead of the server's",
            completes: "file",
          },
        ],
        examples: ["audit verify", "audit verify --file audit.jsonl"],
      },
    ),
    leaf(
      "export",
      "All changes, oldest first, one JSON object a line",
      async (run) => (await audit()).exportAudit(run),
      {
        flags: [{ name: "after", type: "uint", about: "only entries with a higher id" }],
        examples: ["audit export > audit.jsonl"],
      },
    ),
  ],
};
