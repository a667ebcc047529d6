// The policy over REST, in both modes, and health.
import { ask, asks, type Sequence } from "../steps.ts";

const policy = "/api/v1/policy";
const open = '{"acls":[{"action":"accept","src":["*"],"dst":["*:*"]}]}';
const texts: readonly string[] = [
  '// words\n{\n  "acls": [], // none\n}\n',
  "{",
  "[]",
  "null",
  "nonsense",
  '{"acls":[{"action":"deny","src":["*"],"dst":["*:*"]}]}',
  '{"acls":[{"action":"accept","src":["group:none"],"dst":["*:*"]}]}',
  '{"acls":[{"action":"accept","src":["*"],"dst":["*"]}]}',
  '{"groups":{"group:a":["nobody@"]},"acls":[]}',
  '{"tagOwners":{"tag:a":["tag:none"]}}',
  '{"unknownField":1}',
  '{"tests":[{"src":"alice@","accept":["100.64.0.9:22"]}],"acls":[]}',
];

export const policies: Sequence = {
  name: "policy in the database",
  steps: [
    ask("POST /api/v1/user", { name: "alice" }),
    ask(`GET ${policy}`),
    ...texts.map((text) => ask(`POST ${policy}/check`, { policy: text })),
    ask(`PUT ${policy}`, { policy: open }),
    ask(`GET ${policy}`),
    ...texts.map((text) => ask(`PUT ${policy}`, { policy: text })),
    ask(`GET ${policy}`),
    ask(`PUT ${policy}`, { policy: "" }),
    ask(`PUT ${policy}`, {}),
    ask(`PUT ${policy}`),
    ...asks(
      `POST ${policy}`,
      `DELETE ${policy}`,
      `GET ${policy}/check`,
      `GET ${policy}/`,
      "GET /api/v1/health",
      "GET /api/v1/health/",
      "POST /api/v1/health",
    ),
  ],
};

export const policyFile: Sequence = {
  name: "policy in a file",
  policyMode: "file",
  steps: [
    ask(`GET ${policy}`),
    ask(`PUT ${policy}`, { policy: open }),
    ask(`POST ${policy}/check`, { policy: open }),
    ask(`POST ${policy}/check`, { policy: "{" }),
    ask("GET /api/v1/health"),
  ],
};
