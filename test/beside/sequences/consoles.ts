// What web consoles ask in a session, in their order and with their headers and bodies.
import { ask, connect, join, minutesFromNow, wait, type AskStep, type Sequence } from "../steps.ts";

const day = minutesFromNow(24 * 60);

function consoleOf(
  headers: Readonly<Record<string, string>>,
): (line: string, body?: unknown, more?: object) => AskStep {
  return (line, body, more) =>
    ask(line, body, {
      headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...more,
    });
}

/**
 * Headplane: asks for the version without a key and decides by it, checks a key by listing keys, then polls nodes and
 * users. Creating a key it leaves out a user that there is none of and says null for no expiration.
 */
const headplane = consoleOf({ accept: "application/json", "user-agent": "Headplane/0.7.0" });
const withoutKey = { authorization: null };

export const headplaneSession: Sequence = {
  name: "Headplane",
  steps: [
    headplane("GET /version", undefined, withoutKey),
    headplane("GET /health", undefined, withoutKey),
    headplane("GET /api/v1/apikey", undefined, { authorization: "Bearer wrong" }),
    headplane("GET /api/v1/apikey"),
    headplane("GET /api/v1/node"),
    headplane("GET /api/v1/user"),
    headplane("POST /api/v1/user", { name: "alice", email: "alice@example.com", displayName: "Alice", pictureUrl: "" }),
    headplane("POST /api/v1/user", { name: "bob" }),
    headplane("POST /api/v1/user/2/rename/robert"),
    headplane("POST /api/v1/user/2/rename/r%C3%B6b%20ert"),
    headplane("GET /api/v1/user?id=1"),
    headplane("GET /api/v1/user?email=alice%40example.com"),
    headplane("GET /api/v1/user?name=nobody"),
    headplane("GET /api/v1/preauthkey"),
    headplane(
      "POST /api/v1/preauthkey",
      { ephemeral: false, reusable: true, expiration: day, user: "1" },
      { keep: { key: "preAuthKey.key" } },
    ),
    headplane(
      "POST /api/v1/preauthkey",
      { ephemeral: true, reusable: false, expiration: day, aclTags: ["tag:server"] },
      { keep: { tagged: "preAuthKey.key" } },
    ),
    headplane("POST /api/v1/preauthkey", { ephemeral: false, reusable: false, expiration: null, user: "1" }),
    headplane("GET /api/v1/preauthkey"),
    headplane("POST /api/v1/preauthkey/expire", { id: "3" }),
    headplane("GET /api/v1/preauthkey"),
    headplane("GET /api/v1/policy"),
    headplane("PUT /api/v1/policy", { policy: '{"tagOwners": {"tag:server": ["alice@"]}, "acls": [], // none\n}' }),
    headplane("PUT /api/v1/policy", { policy: '{"acls": [}' }),
    headplane("GET /api/v1/policy"),
    join("server", "{{key}}", { routes: ["10.0.0.0/24", "0.0.0.0/0", "::/0"] }),
    join("agent", "{{tagged}}"),
    connect("server", "1"),
    connect("agent", "2"),
    headplane("GET /api/v1/node"),
    wait("laptop", "laptop"),
    headplane("POST /api/v1/node/register?user=alice&key={{laptop}}", { user: "alice", key: "{{laptop}}" }),
    headplane("GET /api/v1/node/3"),
    headplane("POST /api/v1/node/3/rename/my-laptop"),
    headplane("POST /api/v1/node/3/rename/my%20laptop"),
    headplane("POST /api/v1/node/1/approve_routes", { routes: ["10.0.0.0/24"] }),
    headplane("POST /api/v1/node/1/approve_routes", { routes: ["10.0.0.0/24", "0.0.0.0/0", "::/0"] }),
    headplane("POST /api/v1/node/1/approve_routes", { routes: [] }),
    headplane("POST /api/v1/node/1/tags", { tags: ["tag:server"] }),
    headplane("POST /api/v1/node/3/tags", { tags: ["tag:undefined"] }),
    headplane("POST /api/v1/node/3/expire"),
    headplane("GET /api/v1/node"),
    headplane("DELETE /api/v1/node/3"),
    headplane("DELETE /api/v1/user/2"),
    headplane("DELETE /api/v1/user/1"),
    headplane("GET /api/v1/node"),
    headplane("GET /api/v1/user"),
  ],
};

/** headscale-ui runs in the browser: no content type, ids where older servers had names, and calls that are long gone. */
function ui(line: string, body?: unknown, more?: object): AskStep {
  const headers = {
    accept: "application/json",
    ...(body === undefined ? {} : { "content-type": "text/plain;charset=UTF-8" }),
  };
  return ask(line, body, { headers, ...more });
}

export const headscaleUiSession: Sequence = {
  name: "headscale-ui",
  steps: [
    ui("GET /api/v1/user"),
    ui("GET /api/v1/node"),
    ui("GET /api/v1/apikey", undefined, { keep: { prefix: "apiKeys.0.prefix" } }),
    ui("POST /api/v1/user", { name: "alice" }),
    ui("POST /api/v1/user", { name: "alice" }),
    ui("POST /api/v1/user", { name: "bob" }),
    ui("GET /api/v1/preauthkey?user=1"),
    ui(
      "POST /api/v1/preauthkey",
      { user: "1", expiration: day, reusable: true, ephemeral: false },
      { keep: { key: "preAuthKey.key" } },
    ),
    ui("GET /api/v1/preauthkey?user=2"),
    ui("POST /api/v1/preauthkey/expire", { user: "1", key: "{{key}}" }),
    join("desktop", "{{key}}", { routes: ["10.0.0.0/24"] }),
    wait("phone", "phone"),
    ui("POST /api/v1/node/register?user=bob&key={{phone}}"),
    ui("POST /api/v1/node/register?user=bob&key=nodekey:abc"),
    ui("GET /api/v1/node"),
    ui("POST /api/v1/node/1/rename/desk"),
    ui("POST /api/v1/node/1/approve_routes", { routes: ["10.0.0.0/24"] }),
    ui("POST /api/v1/user/2/rename/robert"),
    ui("DELETE /api/v1/node/2"),
    ui("DELETE /api/v1/user/2"),
    ui("DELETE /api/v1/user/1"),
    ui("POST /api/v1/apikey", { expiration: day }, { keep: { next: "apiKey" } }),
    ui("GET /api/v1/user", undefined, { authorization: "Bearer {{next}}" }),
    ui("POST /api/v1/apikey/expire", { prefix: "{{prefix}}" }, { authorization: "Bearer {{next}}" }),
    ui("GET /api/v1/node", undefined, { authorization: "Bearer {{next}}" }),
    ui("GET /api/v1/node"),
    ui("POST /api/v1/node/1/tags", { tags: ["tag:new"] }, { authorization: "Bearer {{next}}" }),
  ],
};
