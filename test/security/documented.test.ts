// docs/security.md names a test for each class of holes and a number for each limit; both are held to what is there.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { maxBodyBytes } from "../../src/api/read-body.ts";
import { mostAsked, mostUnread } from "../../src/control/asking-limits.ts";
import { maxBody } from "../../src/control/connection.ts";
import { defaultEdgeLimits } from "../../src/control/edge.ts";
import { maxHujsonDepth, maxHujsonLength } from "../../src/policy/hujson.ts";
import { defaultRelayLimits } from "../../src/relay/limits.ts";
import { defaultVerifyLimits } from "../../src/relay/verify.ts";
import { defaultLimits } from "../../src/wire/h2-limits.ts";
import { hostinfoLimit } from "../../src/wire/hostinfo-decode.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/security.md"), "utf8");

test("every test that the page names is there, and every test of this folder is named", () => {
  const named = new Set([...page.matchAll(/`([a-z0-9./-]+\.test\.ts)`/g)].map(([, path]) => path ?? ""));
  assert.ok(named.size > 25);
  for (const path of named) {
    assert.ok(existsSync(join(root, path)), path);
  }
  for (const path of globSync("test/security/*.test.ts", { cwd: root })) {
    assert.ok(named.has(path) || path.endsWith("documented.test.ts"), `${path} is not in the page`);
  }
});

test("the limits on the page are those of the code", () => {
  const row = (start: string): string =>
    page.split("\n").find((line) => line.startsWith(`| ${start}`)) ?? assert.fail(`no limit called ${start}`);
  const mib = (bytes: number): string => `${bytes / 1024 / 1024} MiB`;
  const kib = (bytes: number): string => `${bytes / 1024} KiB`;
  const seconds = (ms: number): string => `${ms / 1000} s`;
  const claims: readonly (readonly [row: string, ...numbers: string[]])[] = [
    ["from the handshake to the first request", seconds(defaultEdgeLimits.firstRequestMs)],
    ["connections of machines that belong to no node", `${defaultEdgeLimits.strangers};`],
    ["connections of one machine key", `${defaultEdgeLimits.perMachine} |`],
    ["requests of strangers on a connection", `${mostAsked.requests} in ${seconds(mostAsked.withinMs)}`],
    ["answers that a client leaves unread", `${mostUnread.node}; ${mostUnread.stranger} for strangers`],
    ["a node's request body", mib(maxBody), seconds(defaultEdgeLimits.bodyMs)],
    ["unfinished bodies in all", mib(defaultEdgeLimits.bodies)],
    [
      "HTTP/2 header block",
      kib(defaultLimits.headerBlock),
      `${defaultLimits.resets}, ${defaultLimits.pings}, ${defaultLimits.settings} |`,
    ],
    ["WINDOW_UPDATE for fewer", `${defaultLimits.tinyCredits} |`],
    ["unsent bytes of a map stream", seconds(defaultEdgeLimits.patienceMs)],
    ["JSON of nodes", kib(hostinfoLimit)],
    ["API body", mib(maxBodyBytes)],
    ["policy text", mib(maxHujsonLength), `${maxHujsonDepth} levels`],
    [
      "`/verify`",
      `${defaultVerifyLimits.bodyBytes} bytes`,
      seconds(defaultVerifyLimits.bodyMs),
      `${defaultVerifyLimits.perSecond}/s`,
      `burst of ${defaultVerifyLimits.burst} |`,
    ],
    [
      "relay connections",
      `${defaultRelayLimits.connections}, ${defaultRelayLimits.connectionsPerIp} per address`,
      `${defaultRelayLimits.handshakesPerIp} handshakes`,
      `${defaultRelayLimits.connectionsPerKey} per key`,
    ],
    ["relay handshake", seconds(defaultRelayLimits.handshakeMs)],
  ];
  for (const [start, ...numbers] of claims) {
    for (const number of numbers) {
      assert.ok(row(start).includes(number), `${start}: ${number}`);
    }
  }
});
