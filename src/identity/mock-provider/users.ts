// The people who log in at the mock provider, and what of them an application may know.

export interface MockUser {
  readonly subject: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly preferredUsername: string;
  readonly name: string;
  readonly picture: string;
  readonly groups: readonly string[];
}

/** Who logs in when nobody else is waiting to. */
export const defaultMockUser: MockUser = {
  subject: "1234567890",
  email: "jane.doe@example.com",
  emailVerified: true,
  preferredUsername: "jane.doe",
  name: "Jane Doe",
  picture: "",
  groups: ["engineering", "design"],
};

export type ReadMockUsers =
  | { readonly ok: true; readonly users: readonly MockUser[] }
  | { readonly ok: false; readonly problem: string };

/** A JSON array of objects; names of fields in any case, with or without underscores, as Go's JSON reads them. */
export function readMockUsers(text: string): ReadMockUsers {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (fault) {
    return { ok: false, problem: fault instanceof Error ? fault.message : "no JSON" };
  }
  if (!Array.isArray(parsed)) {
    return { ok: false, problem: "it must be a JSON array of users" };
  }
  const users: MockUser[] = [];
  for (const [index, item] of parsed.entries()) {
    const user = userOf(item);
    if (typeof user === "string") {
      return { ok: false, problem: `user ${index + 1}: ${user}` };
    }
    users.push(user);
  }
  return { ok: true, users };
}

/** A text says what is wrong. */
function userOf(item: unknown): MockUser | string {
  if (typeof item !== "object" || item === null) {
    return "it must be an object";
  }
  const fields = new Map<string, unknown>(
    Object.entries(item).map(([name, value]) => [name.toLowerCase().replaceAll("_", ""), value]),
  );
  const wrong: string[] = [];
  const take = <Value>(name: string, fits: (value: unknown) => value is Value, fallback: Value): Value => {
    const value = fields.get(name) ?? fallback;
    if (fits(value)) {
      return value;
    }
    wrong.push(name);
    return fallback;
  };
  const user: MockUser = {
    subject: take("subject", isText, ""),
    email: take("email", isText, ""),
    emailVerified: take("emailverified", isBool, false),
    preferredUsername: take("preferredusername", isText, ""),
    name: take("name", isText, ""),
    picture: take("picture", isText, ""),
    groups: take("groups", isTextList, []),
  };
  if (wrong.length > 0) {
    return `of the wrong type: ${wrong.join(", ")}`;
  }
  return user.subject === "" ? "it needs a subject" : user;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isBool(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

/** The standard claims that these scopes open, and `groups` as most providers have it. What is empty is left out. */
export function claimsOf(user: MockUser, scopes: ReadonlySet<string>): Readonly<Record<string, unknown>> {
  const claims: Record<string, unknown> = { sub: user.subject };
  if (scopes.has("profile")) {
    Object.assign(claims, filled({ preferred_username: user.preferredUsername, name: user.name }));
    Object.assign(claims, filled({ picture: user.picture }));
  }
  if (scopes.has("email") && user.email !== "") {
    Object.assign(claims, { email: user.email, email_verified: user.emailVerified });
  }
  if (scopes.has("groups")) {
    claims["groups"] = user.groups;
  }
  return claims;
}

function filled(texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ""));
}
