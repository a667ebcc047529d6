// Users, nodes, the keys that nodes join with, and who waits.
import type { FlagSpec, Group } from "./command.ts";
import { identifier, keyId, leaf, ownerName } from "./command-parts.ts";

const users = () => import("./commands/users.ts");
const keys = () => import("./commands/keys.ts");
const nodes = () => import("./commands/nodes.ts");
const auth = () => import("./commands/auth.ts");

const userChoice: readonly FlagSpec[] = [
  { name: "identifier", short: "i", type: "int", about: "id of the user", completes: "user id" },
  { name: "name", short: "n", type: "string", about: "name of the user", completes: "user name" },
];

export const userCommands: Group = {
  kind: "group",
  name: "users",
  aliases: ["user"],
  formerNames: ["namespace", "namespaces", "ns"],
  summary: "The people who own devices",
  children: [
    leaf("create", "Create a user", async (run) => (await users()).createUser(run), {
      aliases: ["c", "new"],
      operands: "NAME",
      flags: [
        { name: "display-name", short: "d", type: "string", about: "name to show" },
        { name: "email", short: "e", type: "string", about: "e-mail address" },
        { name: "picture-url", short: "p", type: "string", about: "URL of a picture", value: "URL" },
      ],
      examples: ["users create alice --display-name Alice"],
    }),
    leaf("list", "List users", async (run) => (await users()).listUsers(run), {
      aliases: ["ls", "show"],
      flags: [...userChoice, { name: "email", short: "e", type: "string", about: "e-mail address" }],
      examples: ["users list", "users list --name alice --output json"],
    }),
    leaf("rename", "Rename a user", async (run) => (await users()).renameUser(run), {
      aliases: ["mv"],
      flags: [...userChoice, { name: "new-name", short: "r", type: "string", about: "the new name (required)" }],
      examples: ["users rename --name alice --new-name alison"],
    }),
    leaf("role", "Set what a user may do on this server", async (run) => (await users()).setUserRole(run), {
      flags: [
        ...userChoice,
        {
          name: "role",
          type: "string",
          about: "owner, admin, it-admin, network-admin, billing-admin, auditor or member",
          value: "ROLE",
          required: true,
          completes: ["owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor", "member"],
        },
      ],
      examples: ["users role --name alice --role admin"],
    }),
    leaf("destroy", "Delete a user who owns no nodes", async (run) => (await users()).destroyUser(run), {
      aliases: ["delete"],
      flags: userChoice,
      examples: ["users destroy --name alice"],
    }),
  ],
};

export const nodeCommands: Group = {
  kind: "group",
  name: "nodes",
  aliases: ["node"],
  formerNames: ["machine", "machines"],
  summary: "The devices",
  children: [
    leaf("list", "List nodes, or show one", async (run) => (await nodes()).listNodes(run), {
      aliases: ["ls", "show", "info"],
      operands: "[NODE]",
      completes: ["node"],
      flags: [
        { ...ownerName, about: "only nodes of this user" },
        { ...identifier, required: false },
        { name: "tags", short: "t", type: "bool", about: "does nothing: tags are always shown", hidden: true },
      ],
      examples: ["nodes list --user alice", "nodes show web-1"],
    }),
    leaf("rename", "Give a node another name", async (run) => (await nodes()).renameNode(run), {
      operands: "NEW_NAME",
      flags: [identifier],
      examples: ["nodes rename --identifier 3 web-1"],
    }),
    leaf("tag", "Set the tags of a node", async (run) => (await nodes()).tagNode(run), {
      aliases: ["tags", "t"],
      flags: [
        identifier,
        { name: "tags", short: "t", type: "list", about: "tags, separated by commas", completes: "tag" },
      ],
      examples: ["nodes tag --identifier 3 --tags tag:web,tag:prod"],
    }),
    leaf("expire", "Set or remove the end of a node's key", async (run) => (await nodes()).expireNode(run), {
      aliases: ["logout", "exp", "e"],
      flags: [
        identifier,
        {
          name: "expiry",
          short: "e",
          type: "string",
          about: "when, as RFC 3339 or a duration",
          fallback: "now",
          value: "WHEN",
        },
        { name: "disable", short: "d", type: "bool", about: "the key never ends" },
      ],
      examples: ["nodes expire --identifier 3", "nodes expire --identifier 3 --expiry 720h"],
    }),
    leaf("move", "Give a node to another user", async (run) => (await nodes()).moveNode(run), {
      flags: [identifier, { ...ownerName, about: "the new owner: id or name", required: true }],
      examples: ["nodes move --identifier 3 --user alice"],
    }),
    leaf("set-addresses", "Give a node other addresses", async (run) => (await nodes()).setAddresses(run), {
      flags: [
        identifier,
        { name: "ipv4", type: "string", about: "the IPv4 address", value: "ADDRESS" },
        { name: "ipv6", type: "string", about: "the IPv6 address", value: "ADDRESS" },
      ],
      examples: ["nodes set-addresses --identifier 3 --ipv4 100.64.0.30"],
    }),
    leaf("approve-routes", "Set the approved routes of a node", async (run) => (await nodes()).approveRoutes(run), {
      flags: [
        identifier,
        {
          name: "routes",
          short: "r",
          type: "list",
          about: "prefixes, separated by commas; none removes all",
          completes: "route",
        },
      ],
      examples: ["nodes approve-routes --identifier 3 --routes 10.0.0.0/24,0.0.0.0/0"],
    }),
    leaf("list-routes", "List the routes of nodes", async (run) => (await nodes()).listRoutes(run), {
      aliases: ["lsr", "routes"],
      flags: [
        { ...identifier, required: false },
        { name: "route", type: "list", about: "older form of approve-routes", hidden: true },
        { name: "routes", short: "r", type: "list", about: "older form of approve-routes", hidden: true },
      ],
      examples: ["nodes list-routes", "nodes list-routes --identifier 3"],
    }),
    leaf("backfillips", "Give nodes the addresses the prefixes call for", async (run) =>
      (await nodes()).backfillIps(run),
    ),
    leaf("delete", "Delete a node", async (run) => (await nodes()).deleteNode(run), {
      aliases: ["del"],
      flags: [identifier],
      examples: ["nodes delete --identifier 3"],
    }),
    leaf(
      "register",
      "Let a waiting machine join (older form of auth register)",
      async (run) => (await auth()).registerNode(run),
      {
        flags: [
          { ...ownerName, required: true },
          {
            name: "key",
            short: "k",
            type: "string",
            about: "auth id from the client's link",
            required: true,
            completes: "auth id",
          },
        ],
        examples: ["nodes register --user alice --key hskey-authreq-…"],
      },
    ),
  ],
};

const preAuthKeyId: FlagSpec = { ...keyId, completes: "pre-auth key id" };

export const preAuthKeyCommands: Group = {
  kind: "group",
  name: "preauthkeys",
  aliases: ["preauthkey", "authkey", "pre"],
  summary: "Keys that devices join with",
  children: [
    leaf("create", "Create a key", async (run) => (await keys()).createPreAuthKey(run), {
      aliases: ["c", "new"],
      flags: [
        { ...ownerName, about: "id or name of the owner; none for keys with tags", completes: "user id" },
        { name: "reusable", type: "bool", about: "for more than one device" },
        { name: "ephemeral", type: "bool", about: "devices are deleted when they have gone" },
        {
          name: "expiration",
          short: "e",
          type: "string",
          about: "how long it is good: 30m, 24h, 90d, never",
          value: "DURATION",
          fallback: "1h",
        },
        { name: "tags", type: "list", about: "tags the devices get", completes: "tag" },
      ],
      examples: ["preauthkeys create --user 1 --reusable --expiration 24h", "preauthkeys create --tags tag:server"],
    }),
    leaf("list", "List keys", async (run) => (await keys()).listPreAuthKeys(run), {
      aliases: ["ls", "show"],
      flags: [{ ...ownerName, hidden: true }],
    }),
    leaf("expire", "End a key now", async (run) => (await keys()).expirePreAuthKey(run), {
      aliases: ["revoke", "exp", "e"],
      operands: "[KEY]",
      flags: [preAuthKeyId, { ...ownerName, hidden: true }],
      examples: ["preauthkeys expire --id 2"],
    }),
    leaf("delete", "Delete a key", async (run) => (await keys()).deletePreAuthKey(run), {
      aliases: ["del", "rm", "d"],
      operands: "[KEY]",
      flags: [preAuthKeyId, { ...ownerName, hidden: true }],
      examples: ["preauthkeys delete --id 2"],
    }),
  ],
};

const authId: FlagSpec = {
  name: "auth-id",
  type: "string",
  about: "id from the link, or the link",
  required: true,
  completes: "auth id",
};

export const authCommands: Group = {
  kind: "group",
  name: "auth",
  summary: "Who waits to join or to open an SSH session",
  children: [
    leaf("register", "Let a waiting machine join as a user's node", async (run) => (await auth()).registerAuth(run), {
      flags: [{ ...ownerName, required: true }, authId],
      examples: ["auth register --user alice --auth-id hskey-authreq-…"],
    }),
    leaf("list", "Who waits", async (run) => (await auth()).listWaiting(run), { aliases: ["ls", "show"] }),
    leaf("approve", "Approve a waiting SSH session", async (run) => (await auth()).approveAuth(run), {
      flags: [authId],
      examples: ["auth approve --auth-id hskey-authreq-…"],
    }),
    leaf("reject", "Reject who waits", async (run) => (await auth()).rejectAuth(run), {
      flags: [authId],
      examples: ["auth reject --auth-id hskey-authreq-…"],
    }),
  ],
};
