// Policies that a simulation switches between: open, closed, by owner, by tag, with routes.

export const policies: readonly string[] = [
  `{ "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }] }`,
  `{ "acls": [] }`,
  `{ "acls": [{ "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"] }] }`,
  `{ "tagOwners": { "tag:a": [], "tag:b": [], "tag:c": [] },
     "acls": [
       { "action": "accept", "src": ["tag:a"], "dst": ["tag:b:*"] },
       { "action": "accept", "src": ["user1@"], "dst": ["user2@:22", "tag:c:80"] },
     ],
     "ssh": [{ "action": "accept", "src": ["user1@"], "dst": ["tag:c"], "users": ["root"] }],
     "nodeAttrs": [{ "target": ["tag:b"], "attr": ["randomize-client-port"] }] }`,
  `{ "tagOwners": { "tag:a": [], "tag:b": [], "tag:c": [] }, "groups": { "group:g": ["user2@", "user3@"] },
     "autoApprovers": { "routes": { "10.0.0.0/8": ["tag:a", "group:g"] }, "exitNode": ["tag:b"] },
     "acls": [
       { "action": "accept", "src": ["group:g"], "dst": ["10.0.0.0/8:*"] },
       { "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:internet:*"] },
       { "action": "accept", "src": ["*"], "dst": ["autogroup:tagged:443"] },
     ] }`,
];
