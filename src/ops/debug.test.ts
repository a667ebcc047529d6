// Who may look at the debug pages: by real connections, from this machine's loopback and its outer address.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { test, type TestContext } from "node:test";
import { parseAddr, parsePrefix, type Prefix } from "../ip/index.ts";
import { createDebug, type DebugPage, withoutSecrets } from "./debug.ts";

const levelSet: string[] = [];
const pages = new Map<string, DebugPage>([
  ["plain", { about: "a value", answer: () => ({ value: { a: 1 }, text: "a is 1" }) }],
  ["laid-out", { about: "a value without a text", answer: () => ({ value: { a: [1] } }) }],
  ["asking", { about: "asks", usage: "?node=ID", answer: (query) => query.get("node") ?? "say which node" }],
  [
    "knob",
    {
      about: "can be turned",
      answer: () => ({ value: "at" }),
      change: (body) => {
        if (body === "bad") {
          return "not that";
        }
        levelSet.push(body);
        return { value: body };
      },
    },
  ],
]);

/** An address of this machine that is not loopback. */
const outer = Object.values(networkInterfaces())
  .flat()
  .find(
    (one) => one !== undefined && !one.internal && one.family === "IPv4" && parseAddr(one.address) !== undefined,
  )?.address;

async function listening(context: TestContext, tailnet: readonly Prefix[] = []): Promise<number> {
  const debug = createDebug({ pages, tailnet, hosts: ["hs.example.com", "tail.example.net"] });
  const server = createServer((incoming, response) => {
    if (!debug(incoming, response)) {
      response.writeHead(404).end("not debug");
    }
  });
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

interface Asked {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function ask(port: number, path: string, asked: Asked = {}): Promise<{ status: number; text: string; type: string }> {
  const { host = "127.0.0.1", method = "GET", headers = {}, body } = asked;
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text, type: response.headers["content-type"] ?? "" }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

test("text for people, JSON for those who accept it, and an index of all pages", async (context) => {
  const port = await listening(context);
  assert.deepEqual(await ask(port, "/debug/plain"), {
    status: 200,
    text: "a is 1\n",
    type: "text/plain; charset=utf-8",
  });
  const json = await ask(port, "/debug/plain", { headers: { accept: "application/json" } });
  assert.deepEqual([json.type, JSON.parse(json.text)], ["application/json", { a: 1 }]);
  assert.equal((await ask(port, "/debug/laid-out")).text, '{\n  "a": [\n    1\n  ]\n}\n');
  for (const path of ["/debug", "/debug/"]) {
    const index = (await ask(port, path)).text;
    assert.match(index, /^\/debug\/plain +a value$/m);
    assert.match(index, /^\/debug\/asking\?node=ID +asks$/m);
  }
  assert.equal((await ask(port, "/debug/absent")).status, 404);
  assert.deepEqual(await ask(port, "/debug/asking"), {
    status: 400,
    text: "say which node\n",
    type: "text/plain; charset=utf-8",
  });
  assert.equal((await ask(port, "/debugger")).text, "not debug");
});

test("only a page with a knob takes a PUT, and no more than a line", async (context) => {
  const port = await listening(context);
  assert.equal((await ask(port, "/debug/plain", { method: "PUT", body: "x" })).status, 405);
  assert.equal((await ask(port, "/debug/knob", { method: "POST", body: "x" })).status, 405);
  assert.equal((await ask(port, "/debug/knob", { method: "PUT", body: "bad" })).status, 400);
  assert.equal((await ask(port, "/debug/knob", { method: "PUT", body: "good" })).status, 200);
  await assert.rejects(ask(port, "/debug/knob", { method: "PUT", body: "x".repeat(5000) }));
  assert.deepEqual(levelSet, ["good"]);
});

test("a request that came through a proxy or from a web page is refused, whatever it says of itself", async (context) => {
  const port = await listening(context);
  for (const headers of [
    { "x-forwarded-for": "127.0.0.1" },
    { "X-Real-IP": "127.0.0.1" },
    { "true-client-ip": "100.64.0.1" },
    { forwarded: "for=127.0.0.1" },
    { via: "1.1 proxy" },
    { origin: "http://evil.example" },
    { host: "evil.example" },
    { host: "hs.example.com.evil.example" },
  ]) {
    const { status, text } = await ask(port, "/debug/plain", { headers });
    assert.deepEqual([status, text], [403, "debug access denied\n"], JSON.stringify(headers));
  }
  for (const host of ["localhost:9090", "127.0.0.1", "[::1]:9090", "hs.example.com", "box.tail.example.net:9090"]) {
    assert.equal((await ask(port, "/debug/plain", { headers: { host } })).status, 200, host);
  }
});

test(
  "callers from outside are refused, callers from the tailnet are not",
  { skip: outer === undefined && "this machine has no address besides loopback" },
  async (context) => {
    const own = parsePrefix(`${outer}/32`);
    assert.ok(outer !== undefined && own !== undefined);
    const closed = await listening(context);
    for (const path of ["/debug/", "/debug/plain", "/debug/absent"]) {
      assert.equal((await ask(closed, path, { host: outer })).status, 403);
    }
    assert.equal(
      (await ask(closed, "/debug/plain", { host: outer, headers: { "x-forwarded-for": "::1" } })).status,
      403,
    );
    const open = await listening(context, [own]);
    assert.equal((await ask(open, "/debug/plain", { host: outer })).status, 200);
  },
);

test("what could open something, or be matched against a stolen list, is cut short", () => {
  const hex = "0123456789abcdef".repeat(4);
  assert.equal(withoutSecrets(`nodekey:${hex} privkey:${hex}`), "nodekey:01234567… privkey:***");
  assert.equal(withoutSecrets(`sha256-raw:${hex}`), "sha256-raw:01234567…");
  assert.equal(
    withoutSecrets(`hskey-auth-abcdefghijkl-${"x".repeat(64)} $2a$10$${"a".repeat(53)}`),
    "hskey-auth-abcdefghijkl-*** $2…",
  );
  assert.equal(withoutSecrets("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK3VZ9X0m1"), "ssh-ed25519 AAAAC3NzaC1l…");
  assert.equal(
    withoutSecrets("100.64.0.1 fd7a:115c:a1e0::1 web-1 n1CNTRL"),
    "100.64.0.1 fd7a:115c:a1e0::1 web-1 n1CNTRL",
  );
});
