// What the mock provider answers: OpenID Connect's code flow with or without PKCE. Nobody is asked for a password; each
// login takes the next user of the queue.
import { Grants } from "./grants.ts";
import type { Login } from "./grants.ts";
import { accessTokenHash, challengeOf, createSigningKey } from "./signing.ts";
import type { ChallengeMethod, SigningKey } from "./signing.ts";
import { claimsOf, defaultMockUser } from "./users.ts";
import type { MockUser } from "./users.ts";

export interface EndpointOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Life of access and ID tokens, ms. */
  readonly accessTtl: number;
  readonly users: readonly MockUser[];
  readonly now: () => number;
}

export interface Asked {
  readonly method: string;
  /** Below the issuer, like "/token". */
  readonly path: string;
  /** Of the query or the form. */
  readonly parameters: URLSearchParams;
  readonly authorization: string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Endpoints {
  answer(asked: Asked): Answer;
  queueUser(user: MockUser): void;
  /** The next request to this path fails with this status: for tests of what then happens. */
  failNext(path: EndpointPath, status: number): void;
}

const paths = {
  discovery: "/.well-known/openid-configuration",
  keys: "/.well-known/jwks.json",
  authorize: "/authorize",
  token: "/token",
  userinfo: "/userinfo",
} as const;

export type EndpointPath = (typeof paths)[keyof typeof paths];

export async function createEndpoints(options: EndpointOptions): Promise<Endpoints> {
  return new CodeFlow(options, await createSigningKey());
}

class CodeFlow implements Endpoints {
  readonly #options: EndpointOptions;
  readonly #key: SigningKey;
  readonly #grants: Grants;
  readonly #waiting: MockUser[];
  readonly #failures = new Map<string, number>();

  constructor(options: EndpointOptions, key: SigningKey) {
    this.#options = options;
    this.#key = key;
    this.#grants = new Grants(options.now);
    this.#waiting = [...options.users];
  }

  queueUser(user: MockUser): void {
    this.#waiting.push(user);
  }

  failNext(path: EndpointPath, status: number): void {
    this.#failures.set(path, status);
  }

  answer(asked: Asked): Answer {
    const failure = this.#failures.get(asked.path);
    if (failure !== undefined) {
      this.#failures.delete(asked.path);
      return refusal(failure, "server_error", "this failure was asked for");
    }
    const isRead = asked.method === "GET" || asked.method === "HEAD";
    switch (asked.path) {
      case paths.discovery:
        return isRead ? json(200, this.#discovery()) : notAllowed("GET");
      case paths.keys:
        return isRead ? json(200, { keys: [this.#key.jwk] }) : notAllowed("GET");
      case paths.authorize:
        return isRead || asked.method === "POST" ? this.#authorize(asked.parameters) : notAllowed("GET, POST");
      case paths.token:
        return asked.method === "POST" ? this.#token(asked) : notAllowed("POST");
      case paths.userinfo:
        return isRead || asked.method === "POST" ? this.#userinfo(asked.authorization) : notAllowed("GET, POST");
      default:
        return text(404, "The mock provider has nothing here.");
    }
  }

  #discovery(): object {
    const { issuer } = this.#options;
    return {
      issuer,
      authorization_endpoint: issuer + paths.authorize,
      token_endpoint: issuer + paths.token,
      userinfo_endpoint: issuer + paths.userinfo,
      jwks_uri: issuer + paths.keys,
      grant_types_supported: ["authorization_code", "refresh_token"],
      response_types_supported: ["code"],
      response_modes_supported: ["query"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["RS256"],
      token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
      code_challenge_methods_supported: ["plain", "S256"],
      scopes_supported: ["openid", "profile", "email", "groups"],
      claims_supported: [
        "aud",
        "auth_time",
        "exp",
        "iat",
        "iss",
        "nonce",
        "sub",
        "email",
        "email_verified",
        "groups",
        "name",
        "picture",
        "preferred_username",
      ],
    };
  }

  /** Any redirect URI will do: there is nobody here whose login could be stolen. */
  #authorize(parameters: URLSearchParams): Answer {
    if (parameters.get("client_id") !== this.#options.clientId) {
      return text(400, "client_id is not the one that this provider knows.");
    }
    const redirectUri = parameters.get("redirect_uri") ?? "";
    if (!URL.canParse(redirectUri) || redirectUri.includes("#")) {
      return text(400, "redirect_uri must be an absolute URL without a fragment.");
    }
    const back = (answer: Readonly<Record<string, string>>): Answer => redirect(redirectUri, parameters, answer);
    if (parameters.get("response_type") !== "code") {
      return back({ error: "unsupported_response_type", error_description: "only response_type=code is there" });
    }
    const scopes = new Set((parameters.get("scope") ?? "").split(" "));
    if (!scopes.has("openid")) {
      return back({ error: "invalid_scope", error_description: "scope must contain openid" });
    }
    const challenge = challengeIn(parameters);
    if (challenge === "wrong") {
      return back({ error: "invalid_request", error_description: "code_challenge_method must be S256 or plain" });
    }
    const login: Login = {
      user: this.#waiting.shift() ?? defaultMockUser,
      scopes,
      redirectUri,
      nonce: parameters.get("nonce") ?? "",
      challenge,
      at: this.#options.now(),
    };
    return back({ code: this.#grants.code(login) });
  }

  #token({ parameters, authorization }: Asked): Answer {
    if (!this.#isClient(parameters, authorization)) {
      const how = authorization === undefined ? {} : { "www-authenticate": 'Basic realm="mock provider"' };
      return refusal(401, "invalid_client", "client id or secret are wrong", how);
    }
    switch (parameters.get("grant_type") ?? "") {
      case "authorization_code":
        return this.#redeemCode(parameters);
      case "refresh_token": {
        const login = this.#grants.spendRefresh(parameters.get("refresh_token") ?? "");
        return login === undefined
          ? refusal(400, "invalid_grant", "this refresh token is not good, or not any more")
          : this.#tokensFor(login);
      }
      default:
        return refusal(400, "unsupported_grant_type", "only authorization_code and refresh_token are there");
    }
  }

  #redeemCode(parameters: URLSearchParams): Answer {
    const login = this.#grants.spendCode(parameters.get("code") ?? "");
    if (login === undefined) {
      return refusal(400, "invalid_grant", "this code is not good, or not any more");
    }
    if (parameters.get("redirect_uri") !== login.redirectUri) {
      return refusal(400, "invalid_grant", "redirect_uri is not the one that the code was made for");
    }
    const verifier = parameters.get("code_verifier");
    const answers =
      login.challenge === undefined
        ? verifier === null
        : verifier !== null && challengeOf(verifier, login.challenge.method) === login.challenge.text;
    if (!answers) {
      return refusal(400, "invalid_grant", "code_verifier does not answer the code_challenge");
    }
    return this.#tokensFor(login);
  }

  #tokensFor(login: Login): Answer {
    const { issuer, clientId, accessTtl, now } = this.#options;
    const tokens = this.#grants.tokens(login, accessTtl);
    const seconds = Math.floor(now() / 1000);
    const idToken = this.#key.token({
      ...claimsOf(login.user, login.scopes),
      iss: issuer,
      aud: clientId,
      iat: seconds,
      exp: seconds + Math.floor(accessTtl / 1000),
      auth_time: Math.floor(login.at / 1000),
      at_hash: accessTokenHash(tokens.access),
      ...(login.nonce === "" ? {} : { nonce: login.nonce }),
    });
    return json(200, {
      access_token: tokens.access,
      token_type: "Bearer",
      expires_in: Math.floor(accessTtl / 1000),
      refresh_token: tokens.refresh,
      id_token: idToken,
      scope: [...login.scopes].join(" "),
    });
  }

  #isClient(parameters: URLSearchParams, authorization: string | undefined): boolean {
    const { clientId, clientSecret } = this.#options;
    const basic = /^Basic +(.+)$/i.exec(authorization ?? "")?.[1];
    if (basic === undefined) {
      return parameters.get("client_id") === clientId && parameters.get("client_secret") === clientSecret;
    }
    const pair = Buffer.from(basic, "base64").toString("utf8");
    const colon = pair.indexOf(":");
    return formDecoded(pair.slice(0, colon)) === clientId && formDecoded(pair.slice(colon + 1)) === clientSecret;
  }

  #userinfo(authorization: string | undefined): Answer {
    const token = /^Bearer +(.+)$/i.exec(authorization ?? "")?.[1];
    const login = token === undefined ? undefined : this.#grants.loginOfAccess(token);
    if (login === undefined) {
      const why = token === undefined ? "" : ' error="invalid_token"';
      return { ...text(401, "A good access token is needed."), headers: { "www-authenticate": `Bearer${why}` } };
    }
    return json(200, claimsOf(login.user, login.scopes));
  }
}

function challengeIn(parameters: URLSearchParams): Login["challenge"] | "wrong" {
  const challenge = parameters.get("code_challenge");
  if (challenge === null) {
    return undefined;
  }
  const named = parameters.get("code_challenge_method") ?? "plain";
  const method = (["plain", "S256"] as const).find((known: ChallengeMethod) => known === named);
  return method === undefined || challenge === "" ? "wrong" : { method, text: challenge };
}

/** RFC 6749 §2.3.1 has id and secret encoded as in a form before they are joined. */
function formDecoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded.replaceAll("+", " "));
  } catch {
    return encoded;
  }
}

function redirect(to: string, asked: URLSearchParams, answer: Readonly<Record<string, string>>): Answer {
  const url = new URL(to);
  const state = asked.get("state");
  for (const [name, value] of Object.entries({ ...answer, ...(state === null ? {} : { state }) })) {
    url.searchParams.set(name, value);
  }
  return { status: 302, headers: { location: url.href, "cache-control": "no-store" }, body: "" };
}

function json(status: number, value: object, headers: Readonly<Record<string, string>> = {}): Answer {
  const always = { "content-type": "application/json", "cache-control": "no-store" };
  return { status, headers: { ...always, ...headers }, body: JSON.stringify(value) };
}

function refusal(status: number, error: string, description: string, headers?: Readonly<Record<string, string>>) {
  return json(status, { error, error_description: description }, headers);
}

function text(status: number, body: string): Answer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body: `${body}\n` };
}

function notAllowed(allowed: string): Answer {
  return { ...text(405, `Use ${allowed}.`), headers: { allow: allowed } };
}
