// What the main listener answers in plain HTTP on its own account: the server's key, health, and pages for people.
// Nothing here changes anything: links are opened by mail scanners and chat previews too.
import type { IncomingMessage, ServerResponse } from "node:http";
import { type PendingEntry, type Pending, parseAuthId } from "../identity/pending.ts";
import type { MachineKey } from "../wire/ids.ts";
import { appleProfile } from "./apple-profile.ts";
import { type HttpHandler, pagePolicy, pathOf, send, sendJson, sendText } from "./http-handler.ts";
import { command, escapeHtml, page } from "./page.ts";

export interface PublicPagesOptions {
  readonly serverUrl: string;
  readonly noiseKey: MachineKey;
  /** Not zero, and the same after each restart: clients with a zero one fetch /key before every register. */
  readonly legacyKey: MachineKey;
  readonly pending: Pick<Pending, "get">;
  /** Resolves when the store answers. */
  readonly checkHealth: () => Promise<void>;
  /** It works, but not quite as it was told to. */
  readonly isInDoubt: () => boolean;
  readonly version: object;
  readonly uuid: () => string;
  /** The command people type. */
  readonly program: string;
}

/** From this capability version on clients speak Noise and read JSON. */
const jsonKeyCapVersion = 39;
const html = "text/html; charset=utf-8";

export function publicPages(options: PublicPagesOptions): HttpHandler {
  const { serverUrl, program } = options;

  function key(query: URLSearchParams, response: ServerResponse): void {
    const version = query.get("v");
    if (version === null || version === "") {
      sendText(response, 400, "capability version must be set");
    } else if (!/^-?[0-9]{1,9}$/.test(version)) {
      sendText(response, 400, "invalid capability version");
    } else if (Number(version) < jsonKeyCapVersion) {
      response.writeHead(200, { "content-length": 0 }).end();
    } else {
      sendJson(response, 200, { legacyPublicKey: options.legacyKey, publicKey: options.noiseKey });
    }
  }

  async function health(response: ServerResponse): Promise<void> {
    const pass = await options.checkHealth().then(
      () => true,
      () => false,
    );
    const doubts = pass && options.isInDoubt();
    // Anybody may ask: what is the matter is in the log and for those with a key.
    const notes = doubts ? { notes: [`not all is well: "${program} health" on the server says what`] } : {};
    send(
      response,
      pass ? 200 : 500,
      "application/health+json; charset=utf-8",
      JSON.stringify({ status: doubts ? "warn" : pass ? "pass" : "fail", ...notes }),
      {
        "cache-control": "no-store",
      },
    );
  }

  function sendPage(response: ServerResponse, status: number, title: string, body: string): void {
    send(response, status, html, page(title, body), {
      "content-security-policy": pagePolicy,
      "cache-control": "no-store",
    });
  }

  /** An id that nobody opened shows the same page: whether it exists is for those who may approve it. */
  function authPage(kind: PendingEntry["kind"], idText: string, response: ServerResponse): void {
    const id = parseAuthId(idText);
    if (id === undefined) {
      sendText(response, 400, "invalid auth id");
      return;
    }
    if (kind === "register") {
      const line = `${program} auth register --auth-id ${id} --user USERNAME`;
      sendPage(
        response,
        200,
        "Let this machine in",
        `<p>A machine asks to join. An administrator lets it in by running this on the server, with the name of the user it is to belong to:</p>${command(line)}${guidance}`,
      );
    } else {
      const line = `${program} auth approve --auth-id ${id}`;
      sendPage(
        response,
        200,
        "Confirm an SSH session",
        `<p>An SSH session waits to be confirmed. An administrator does so by running this on the server:</p>${command(line)}${guidance}`,
      );
    }
  }

  function profile(platform: string, response: ServerResponse): void {
    const body = appleProfile(platform, serverUrl, options.uuid);
    if (body === undefined) {
      sendText(response, 400, "platform must be ios, macos-app-store or macos-standalone");
      return;
    }
    send(response, 200, "application/x-apple-aspen-config; charset=utf-8", body, {
      "content-disposition": `attachment; filename="tailscale-${platform}.mobileconfig"`,
    });
  }

  type Show = (response: ServerResponse, query: URLSearchParams) => void;

  const pages: ReadonlyMap<string, Show> = new Map<string, Show>([
    ["/", (response) => sendPage(response, 200, "Hawser", "<p>A Tailscale control server is at work here.</p>")],
    ["/key", (response, query) => key(query, response)],
    ["/health", (response) => void health(response)],
    ["/version", (response) => sendJson(response, 200, options.version)],
    ["/robots.txt", (response) => send(response, 200, "text/plain", "User-agent: *\nDisallow: /")],
    ["/favicon.ico", (response) => response.writeHead(204, { "cache-control": "max-age=86400" }).end()],
    ["/apple", (response) => sendPage(response, 200, "Tailscale on Apple devices", appleText(serverUrl))],
    ["/windows", (response) => sendPage(response, 200, "Tailscale on Windows", windowsText(serverUrl))],
  ]);

  /** With one name behind the prefix. */
  const families: ReadonlyMap<string, (name: string, response: ServerResponse) => void> = new Map([
    ["register", (name, response) => authPage("register", name, response)],
    ["auth", (name, response) => authPage("ssh-check", name, response)],
    ["apple", profile],
  ]);

  function pageAt(path: string): Show | undefined {
    const page = pages.get(path);
    if (page !== undefined) {
      return page;
    }
    const [, family = "", name = "", ...more] = path.split("/");
    const show = name === "" || more.length > 0 ? undefined : families.get(family);
    return show && ((response) => show(name, response));
  }

  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const target = pathOf(request);
    const show = target && pageAt(target.path);
    if (target === undefined || show === undefined) {
      return false;
    }
    if (request.method === "GET" || request.method === "HEAD") {
      show(response, target.query);
    } else {
      response.writeHead(405, { allow: "GET", "content-length": 0 }).end();
    }
    return true;
  };
}

const guidance = `<p class="quiet">The link is good for fifteen minutes. Nothing has happened by opening this page. Let in only machines that you know.</p>`;

function appleText(serverUrl: string): string {
  const url = escapeHtml(serverUrl);
  return `<h2>macOS</h2>
<p>With the command line: </p>${command(`tailscale login --login-server ${serverUrl}`)}
<p>Or install a profile: <a href="/apple/macos-app-store">App Store app</a>, <a href="/apple/macos-standalone">standalone app</a>. Look at what it says before you install it: it names <code>${url}</code> and nothing else.</p>
<h2>iOS and iPadOS</h2>
<p>In the app open the account menu, choose to log in to a custom coordination server and enter <code>${url}</code>. Or install the <a href="/apple/ios">profile</a>.</p>
<h2>tvOS</h2>
<p>In the app's settings choose a custom coordination server and enter <code>${url}</code>.</p>`;
}

function windowsText(serverUrl: string): string {
  const key = "HKLM:\\SOFTWARE\\Policies\\Tailscale";
  return `<p>With the command line:</p>${command(`tailscale login --login-server ${serverUrl}`)}
<p>Or for every user of the machine, as administrator in PowerShell, before logging in:</p>${command(
    `New-Item -Path "${key}" -Force\nNew-ItemProperty -Path "${key}" -Name LoginURL -PropertyType String -Value "${serverUrl}" -Force`,
  )}`;
}
