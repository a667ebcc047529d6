// The mock provider as an application meets it: over HTTP, with signatures checked by WebCrypto from its key set.
import assert from "node:assert/strict";
import { createHash, randomBytes, webcrypto } from "node:crypto";
import test from "node:test";
import { createManualClock } from "../manual-clock.test-data.ts";
import { startMockProvider } from "./provider.ts";
import type { MockProvider } from "./provider.ts";
import { defaultMockUser, readMockUsers } from "./users.ts";
import type { MockUser } from "./users.ts";

const redirectUri = "http://127.0.0.1:8080/oidc/callback?kept=1";
const alice: MockUser = {
  subject: "s-alice",
  email: "alice@example.com",
  emailVerified: true,
  preferredUsername: "alice",
  name: "Alice",
  picture: "https://example.com/alice.png",
  groups: ["staff"],
};

type Json = Readonly<Record<string, unknown>>;

interface World {
  readonly provider: MockProvider;
  readonly clock: ReturnType<typeof createManualClock>;
  readonly discovery: Json;
}

async function withProvider(users: readonly MockUser[], check: (world: World) => Promise<void>): Promise<void> {
  const clock = createManualClock();
  const provider = await startMockProvider({
    host: "127.0.0.1",
    port: 0,
    clientId: "hawser",
    clientSecret: "s e:cret",
    accessTtl: 60_000,
    users,
    now: () => clock.now(),
  });
  try {
    const discovery = await getJson(`${provider.issuer}/.well-known/openid-configuration`);
    await check({ provider, clock, discovery });
  } finally {
    await provider.close();
  }
}

async function getJson(url: string, headers: Record<string, string> = {}): Promise<Json> {
  const response = await fetch(url, { headers });
  assert.equal(response.status, 200, url);
  return object(await response.json());
}

function object(value: unknown): Json {
  assert.ok(typeof value === "object" && value !== null);
  return { ...value };
}

function text(value: unknown): string {
  assert.ok(typeof value === "string");
  return value;
}

const everything = { response_type: "code", client_id: "hawser", scope: "openid profile email groups" };

/** Where the browser is sent. */
async function authorize({ discovery }: World, parameters: Record<string, string>): Promise<URL> {
  const url = new URL(text(discovery["authorization_endpoint"]));
  url.search = new URLSearchParams({ ...everything, redirect_uri: redirectUri, ...parameters }).toString();
  const response = await fetch(url, { redirect: "manual" });
  assert.equal(response.status, 302, await response.text());
  return new URL(response.headers.get("location") ?? "");
}

async function codeFor(world: World, parameters: Record<string, string> = {}): Promise<string> {
  return text((await authorize(world, parameters)).searchParams.get("code"));
}

const basic = `Basic ${Buffer.from("hawser:s+e%3Acret").toString("base64")}`;

async function redeem(
  { discovery }: World,
  form: Record<string, string>,
  headers: Record<string, string> = { authorization: basic },
): Promise<{ readonly status: number; readonly body: Json }> {
  const response = await fetch(text(discovery["token_endpoint"]), {
    method: "POST",
    headers,
    body: new URLSearchParams({ grant_type: "authorization_code", redirect_uri: redirectUri, ...form }),
  });
  assert.equal(response.headers.get("cache-control"), "no-store");
  return { status: response.status, body: object(await response.json()) };
}

/** The claims of a token whose signature a key of the set made. */
async function verified(world: World, token: string): Promise<Json> {
  const [head = "", claims = "", signature = ""] = token.split(".");
  const { alg, kid } = object(JSON.parse(Buffer.from(head, "base64url").toString("utf8")));
  assert.equal(alg, "RS256");
  const { keys } = await getJson(text(world.discovery["jwks_uri"]));
  assert.ok(Array.isArray(keys));
  const jwk = keys.map(object).find((key) => key["kid"] === kid);
  assert.ok(jwk !== undefined, "no key of the set has the token's kid");
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const key = await webcrypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]);
  const signed = Buffer.from(`${head}.${claims}`);
  const good = await webcrypto.subtle.verify(algorithm, key, Buffer.from(signature, "base64url"), signed);
  assert.ok(good, "the signature is wrong");
  const changed = await webcrypto.subtle.verify(
    algorithm,
    key,
    Buffer.from(signature, "base64url"),
    Buffer.concat([signed, Buffer.from("A")]),
  );
  assert.ok(!changed);
  return object(JSON.parse(Buffer.from(claims, "base64url").toString("utf8")));
}

const half = (token: string) => createHash("sha256").update(token).digest().subarray(0, 16).toString("base64url");

test("a code flow with PKCE ends in a signed ID token and the same claims from userinfo", () =>
  withProvider([alice], async (world) => {
    const { provider, clock, discovery } = world;
    assert.equal(discovery["issuer"], provider.issuer);
    const verifier = randomBytes(32).toString("base64url");
    const challenge = createHash("sha256").update(verifier).digest("base64url");
    const back = await authorize(world, {
      state: "st&ate",
      nonce: "n-1",
      code_challenge: challenge,
      code_challenge_method: "S256",
    });
    assert.equal(back.searchParams.get("state"), "st&ate");
    assert.equal(back.searchParams.get("kept"), "1");
    const code = text(back.searchParams.get("code"));

    const { status, body } = await redeem(world, { code, code_verifier: verifier });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body["token_type"], body["expires_in"]], ["Bearer", 60]);
    const access = text(body["access_token"]);
    const about = {
      sub: "s-alice",
      email: "alice@example.com",
      email_verified: true,
      preferred_username: "alice",
      name: "Alice",
      picture: "https://example.com/alice.png",
      groups: ["staff"],
    };
    const seconds = Math.floor(clock.now() / 1000);
    assert.deepEqual(await verified(world, text(body["id_token"])), {
      ...about,
      iss: provider.issuer,
      aud: "hawser",
      iat: seconds,
      auth_time: seconds,
      exp: seconds + 60,
      at_hash: half(access),
      nonce: "n-1",
    });
    const userinfo = text(discovery["userinfo_endpoint"]);
    assert.deepEqual(await getJson(userinfo, { authorization: `Bearer ${access}` }), about);
  }));

test("a code is good once, for its verifier, its redirect URI and its time", () =>
  withProvider([], async (world) => {
    const failed = async (form: Record<string, string>): Promise<void> => {
      const { status, body } = await redeem(world, form);
      assert.deepEqual([status, body["error"]], [400, "invalid_grant"]);
    };
    await failed({ code: "made-up" });
    await failed({ code: await codeFor(world, { code_challenge: "abc" }) });
    await failed({ code: await codeFor(world, { code_challenge: "abc" }), code_verifier: "abd" });
    await failed({ code: await codeFor(world), code_verifier: "for no challenge" });
    await failed({ code: await codeFor(world), redirect_uri: "http://127.0.0.1:8080/other" });
    const late = await codeFor(world);
    world.clock.advance(11 * 60_000);
    await failed({ code: late });

    const code = await codeFor(world, { code_challenge: "abc" });
    const { status, body } = await redeem(world, { code, code_verifier: "abc" });
    assert.equal(status, 200);
    await failed({ code, code_verifier: "abc" });
    const stolen = await fetch(text(world.discovery["userinfo_endpoint"]), {
      headers: { authorization: `Bearer ${text(body["access_token"])}` },
    });
    assert.equal(stolen.status, 401, "a code used twice ends the tokens it gave");
  }));

test("access tokens end, and a refresh token brings the next ones, once", () =>
  withProvider([alice], async (world) => {
    const first = await redeem(world, { code: await codeFor(world) });
    world.clock.advance(60_001);
    const userinfo = text(world.discovery["userinfo_endpoint"]);
    const late = await fetch(userinfo, { headers: { authorization: `Bearer ${text(first.body["access_token"])}` } });
    assert.deepEqual([late.status, late.headers.get("www-authenticate")], [401, 'Bearer error="invalid_token"']);
    const again = { grant_type: "refresh_token", refresh_token: text(first.body["refresh_token"]) };
    const second = await redeem(world, again);
    assert.equal((await verified(world, text(second.body["id_token"])))["sub"], "s-alice");
    assert.equal((await redeem(world, again)).body["error"], "invalid_grant");
  }));

test("only the client with its secret gets tokens, in the header or in the form", () =>
  withProvider([], async (world) => {
    const wrong = await redeem(world, { code: await codeFor(world) }, { authorization: "Basic aGF3c2VyOm5v" });
    assert.deepEqual([wrong.status, wrong.body["error"]], [401, "invalid_client"]);
    const none = await redeem(world, { code: await codeFor(world) }, {});
    assert.deepEqual([none.status, none.body["error"]], [401, "invalid_client"]);
    const form = { client_id: "hawser", client_secret: "s e:cret" };
    assert.equal((await redeem(world, { ...form, code: await codeFor(world) }, {})).status, 200);
  }));

test("what cannot be meant goes back to the application, and to nobody when it is unknown", () =>
  withProvider([], async (world) => {
    const error = async (parameters: Record<string, string>): Promise<string | null> =>
      (await authorize(world, parameters)).searchParams.get("error");
    assert.equal(await error({ response_type: "token" }), "unsupported_response_type");
    assert.equal(await error({ scope: "profile" }), "invalid_scope");
    assert.equal(await error({ code_challenge: "x", code_challenge_method: "S512" }), "invalid_request");
    const endpoint = text(world.discovery["authorization_endpoint"]);
    for (const wrong of [{ client_id: "other" }, { redirect_uri: "/relative" }]) {
      const query = new URLSearchParams({ ...everything, redirect_uri: redirectUri, ...wrong });
      const response = await fetch(`${endpoint}?${query.toString()}`, { redirect: "manual" });
      assert.deepEqual([response.status, response.headers.get("location")], [400, null]);
    }
    assert.equal((await fetch(text(world.discovery["token_endpoint"]))).status, 405);
    assert.equal((await fetch(`${world.provider.issuer}/elsewhere`)).status, 404);
  }));

test("users log in in their order, then the default one; scopes decide what is told of them", () =>
  withProvider([alice], async (world) => {
    world.provider.queueUser({ ...alice, subject: "s-bob", email: "" });
    const claims = async (scope: string): Promise<Json> => {
      const { body } = await redeem(world, { code: await codeFor(world, { scope }) });
      const headers = { authorization: `Bearer ${text(body["access_token"])}` };
      return getJson(text(world.discovery["userinfo_endpoint"]), headers);
    };
    assert.deepEqual(await claims("openid"), { sub: "s-alice" });
    assert.deepEqual(await claims("openid email groups"), { sub: "s-bob", groups: ["staff"] });
    assert.equal((await claims("openid"))["sub"], defaultMockUser.subject);
  }));

test("a failure that is asked for happens once", () =>
  withProvider([], async ({ provider }) => {
    const url = `${provider.issuer}/.well-known/openid-configuration`;
    provider.failNext("/.well-known/openid-configuration", 503);
    assert.equal((await fetch(url)).status, 503);
    assert.equal((await fetch(url)).status, 200);
  }));

test("users are read as Go's JSON spells them, or as claims are spelled", () => {
  const go =
    '[{"Subject":"s-alice","Email":"alice@example.com","EmailVerified":true,"PreferredUsername":"alice","Name":"Alice","Picture":"https://example.com/alice.png","Groups":["staff"],"Phone":"1"}]';
  assert.deepEqual(readMockUsers(go), { ok: true, users: [alice] });
  const claims = go.replace("EmailVerified", "email_verified").replace("PreferredUsername", "preferred_username");
  assert.deepEqual(readMockUsers(claims), { ok: true, users: [alice] });
  for (const [wrong, problem] of [
    ["{}", /array/],
    ["[1]", /user 1: it must be an object/],
    ['[{"email":"x"}]', /user 1: it needs a subject/],
    ['[{"subject":"x","groups":"y"}]', /user 1: of the wrong type: groups/],
    ["[", /JSON/],
  ] as const) {
    const read = readMockUsers(wrong);
    assert.ok(!read.ok);
    assert.match(read.problem, problem);
  }
});
