// Where Hawser answers otherwise than headscale on purpose. A difference that is not here fails the test; one that is
// here and does not happen any more fails it too.

export interface Difference {
  /** Matches the step's name. */
  readonly step: RegExp;
  /** Matches the place in the outcome. */
  readonly at: RegExp;
  /** A phrase of docs/headscale.md that tells people. */
  readonly documented: string;
}

const any = /^/;
const oneNode = /^(?:GET|POST|run) .*(?:\/node\/\d+|\/auth\/register|\/node\/register)/;

const ownFields = "Hawser's own fields";
const malformed = "a body or parameter that cannot be read";
const dead = "made over REST without `expiration` is dead at once";
const alone = "a node looks different alone and in a list";
const noNode = "there is no such node";
const prefixes = "a prefix that cannot be read";
const rejected = "a rejected machine";
const pages = "pages load fonts";
const wrongKey = "a wrong key over gRPC";
const help = "a group of commands without one of them";
const wrongFlag = "a flag's value that cannot be read";

export const differences: readonly Difference[] = [
  { step: any, at: /\.user\.role$|^body\.users\.\*\.role$/, documented: ownFields },
  { step: any, at: /^body\.apiKeys\.\*\.(?:description|scopes|lastSeen)$/, documented: ownFields },
  { step: /\/policy\/check/, at: /^body\.warnings$/, documented: ownFields },
  { step: /openapiv2/, at: /\.v1\w+\.(?:role|description|scopes|neverExpires|warnings)$/, documented: ownFields },
  {
    step: /^GET \/version/,
    at: /^body\.(?:version|hawser|go\.version|commit|buildTime)$/,
    documented: "`GET /version`, `version`",
  },
  {
    step: /^version/,
    at: /^stdout(?:$|\.(?:version|go\.version|commit|buildTime))/,
    documented: "`GET /version`, `version`",
  },

  // Malformed requests: refused alike, in other words.
  { step: /^POST \S+ (?:\[|"|\{|null|'|\ufeff|name=)/, at: /^body\.message$/, documented: malformed },
  { step: /expire\?expiry=/, at: /^body\.message$/, documented: malformed },
  { step: /policy\/check \{"policy":"\{\}"(?:\} x|,)/, at: /^status$/, documented: malformed },
  { step: /\/user\/(?:18446744073709551615|9007199254740993)$/, at: /^status$/, documented: "ids above 2^53−1" },
  { step: /user%2F1|rename\/a%2Fb/, at: /^status$/, documented: "an escaped `/`" },
  { step: /rename\/%FF/, at: /^status$/, documented: "an escaped `/`" },
  { step: /approve_routes \{"routes":\["[^"]*"\]\}/, at: /^body\.message$/, documented: prefixes },

  // Users.
  { step: /\/user\/2\/rename\/$/, at: /^body\.message$/, documented: "an empty name" },

  // Keys.
  { step: any, at: /[eE]xpiration$/, documented: dead },
  { step: /GET \/api\/v1\/node$/, at: /^body\.nodes\.\*\.preAuthKey$/, documented: "a key that was deleted or ended" },
  { step: /join asks-tags/, at: /^error$/, documented: "tags that the policy does not allow" },

  // Nodes.
  { step: oneNode, at: /^body\.node\.(?:user|subnetRoutes)$/, documented: alone },
  { step: /\/node\/99\//, at: /^status$|^body\.message$/, documented: noNode },
  { step: /rename\/WEB2/, at: /^body\.node\.givenName$/, documented: "capital letters in a node's name" },
  { step: /approve_routes/, at: /^body\.node\.approvedRoutes\.\*$/, documented: "routes approved with host bits" },
  { step: /"tag:"\]/, at: /^status$/, documented: "a tag without a name" },

  // Machines that wait.
  { step: /auth\/reject \{"authId":"\{\{tablet\}\}"\}/, at: /^status$/, documented: rejected },
  { step: /auth\/register .*\{\{tablet\}\}/, at: /^status$/, documented: rejected },
  {
    step: /auth\/register \{"user":""|node\/register\?key=|debug\/node \{\}/,
    at: /message$/,
    documented: "an empty name",
  },
  { step: /made-up|BBBBB/, at: /^body\.node\.(?:expiry|availableRoutes)$/, documented: "`debug create-node`" },

  { step: /tags \{"tags":\["tag:new"\]\}/, at: /^status$/, documented: "without a policy no tag is known" },

  // The policy.
  { step: /^(?:POST|PUT) \/api\/v1\/policy/, at: /^body\.message$/, documented: "what is wrong with a policy" },

  // Pages.
  { step: /^GET \/(?:$| |register|auth|apple|windows|swagger)/, at: /security-policy$/, documented: pages },
  { step: /^GET \/apple\//, at: /content-disposition$/, documented: pages },
  { step: /^HEAD \/(?:health)? /, at: /^status$/, documented: "`HEAD`" },
  { step: /favicon/, at: /^status$/, documented: pages },
  { step: /^GET \/key/, at: /^body\.(?:legacyPublicKey|publicKey)$/, documented: "the legacy key is zero" },
  { step: /(?:HEAD|GET) \/machine\/ping-response/, at: /^status$/, documented: "`/machine/ping-response`" },
  { step: /\/ts2021/, at: /^status$/, documented: "`/ts2021` without an upgrade" },
  { step: /\/generate_204/, at: /^status$/, documented: "`/generate_204`" },
  { step: / \/derp/, at: /^headers\.|^body$/, documented: "`/derp/probe`" },
  { step: /\/verify/, at: /^headers\.content-type$|^body|^status$/, documented: "`/verify` answers as" },

  { step: /^remote, wrong key/, at: /^stderr$/, documented: wrongKey },

  // Command line.
  { step: /-o nonsense$/, at: /^stdout$/, documented: "`--output` with an unknown word" },
  { step: /^nonsense -o json/, at: /^stderr$/, documented: "an unknown command with `--output json`" },
  {
    step: /^(?:users(?: nonsense| lists)?|generate|completion(?: nonsense)?|policy|auth)$/,
    at: /^stdout$/,
    documented: help,
  },
  {
    step: /-i x|-u (?:x|-1)$|(?:-e|expiry) (?:nonsense|90$|-1h|1\.5h)|-u 1e0|=maybe|=yes|http:\/\/\[/,
    at: /^stderr$/,
    documented: wrongFlag,
  },
  { step: /^users (?:rename|destroy) -[in] (?:99|nobody)/, at: /^stderr$/, documented: '"no user matches"' },
  {
    step: /^(?:users create bob|remote, right key: users create alice|POST \/api\/v1\/user \{"name":"alice"\})/,
    at: /^stderr$|^body\.message$/,
    documented: "a user name that is taken",
  },
  { step: /^policy check -f config/, at: /^stderr$/, documented: "what is wrong with a policy" },
  { step: /^nodes (?:routes|lsr) -i 99/, at: /^(?:code|stdout|stderr|shape)$/, documented: noNode },
  { step: /^nodes expire --disable=true -i 9$/, at: /^stderr$/, documented: noNode },
  { step: /^users create $/, at: /^(?:code|stdout|stderr)$/, documented: "an empty name" },
  { step: /^nodes rename -i 2$/, at: /^stderr$/, documented: "an empty name" },
  { step: /^nodes .*(?:json|yaml)$/, at: /^stdout\.(?:user|subnet_?routes)$/, documented: alone },
  { step: /^nodes register/, at: /^stderr$/, documented: "a deprecated spelling" },
];
