import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { listenLocal, SocketInUse } from "./local-socket.ts";
import type { LocalSocket } from "./local-socket.ts";

async function inFolder(check: (path: string, listen: () => Promise<LocalSocket>) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hawser-socket-"));
  const path = join(folder, "deep", "hawser.sock");
  const open: LocalSocket[] = [];
  try {
    await check(path, async () => {
      const socket = await listenLocal({
        path,
        mode: 0o660,
        onRequest: (_request, response) => response.end("one"),
        onHttp2: (own) => own.end("two"),
        closeHttp2: () => undefined,
      });
      open.push(socket);
      return socket;
    });
  } finally {
    await Promise.all(open.map((socket) => socket.close()));
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Sends the parts one after the other, and gives all that comes back. */
function talk(path: string, parts: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
    const sendNext = (index: number): void => {
      const part = parts[index];
      if (part !== undefined) {
        socket.write(part, () => setImmediate(() => setImmediate(sendNext, index + 1)));
      }
    };
    sendNext(0);
  });
}

const http1 = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

test("the first bytes tell HTTP/1 from HTTP/2, however they arrive", () =>
  inFolder(async (path, listen) => {
    await listen();
    assert.match(await talk(path, [http1]), /\r\n\r\n(?:3\r\n)?one/);
    assert.match(await talk(path, http1.split("")), /one/);
    assert.equal(await talk(path, ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]), "two");
    assert.equal(await talk(path, ["P", "RI * HTT", "P/2.0\r\n"]), "two");
    assert.match(await talk(path, ["P", http1.replace("GET", "OST")]), /one/);
  }));

test("the file has the wanted permissions, its folder is the owner's alone", () =>
  inFolder(async (path, listen) => {
    const mask = process.umask();
    await listen();
    assert.equal(statSync(path).mode & 0o777, 0o660);
    assert.equal(statSync(join(path, "..")).mode & 0o777, 0o700);
    assert.equal(process.umask(), mask);
  }));

test("a socket left behind is replaced, one in use is not", () =>
  inFolder(async (path, listen) => {
    const first = await listen();
    await assert.rejects(listen(), SocketInUse);
    assert.match(await talk(path, [http1]), /one/);
    await first.close();
    const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
    const killed = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(killed.stdout, "data");
    killed.kill("SIGKILL");
    await once(killed, "close");
    assert.ok(existsSync(path));
    await listen();
    assert.match(await talk(path, [http1]), /one/);
  }));

test("a file that is no socket is left alone", () =>
  inFolder(async (path, listen) => {
    const socket = await listen();
    await socket.close();
    assert.ok(!existsSync(path));
    writeFileSync(path, "precious");
    await assert.rejects(listen(), /is not a socket/);
  }));

test("closing ends within a moment although a client keeps its connection", () =>
  inFolder(async (path, listen) => {
    const socket = await listen();
    const client = connect(path);
    await new Promise((resolve) => {
      client.once("connect", resolve);
    });
    const gone = new Promise((resolve) => {
      client.once("close", resolve);
    });
    await socket.close();
    await gone;
  }));
