// From the tree of values to the raw policy: which fields there are, and of which kind their values must be.
import type { Problems } from "./problems.ts";
import type { RawAcl, RawApp, RawGrant, RawList, RawNodeAttr, RawPolicy, RawSsh, RawSshTest, RawTest } from "./raw.ts";
import { Shape, type Fields, type FieldRules } from "./shape.ts";
import { toJson, type Located, type SourceMember, type SourceValue } from "./source.ts";

const sections: FieldRules = {
  names: [
    "groups",
    "hosts",
    "tagOwners",
    "ipsets",
    "postures",
    "defaultSrcPosture",
    "acls",
    "grants",
    "ssh",
    "autoApprovers",
    "nodeAttrs",
    "tests",
    "sshTests",
    "derpMap",
    "disableIPv4",
    "randomizeClientPort",
    "OneCGNATRoute",
    "attrConfig",
  ],
};
/** `users` and `ports` are the names of the first version of the language; `#…` is headscale-admin's metadata. */
const aclFields: FieldRules = {
  names: ["action", "src", "dst", "proto", "srcPosture"],
  aliases: { users: "src", ports: "dst" },
  ignorePrefix: "#",
};
const grantFields: FieldRules = { names: ["src", "dst", "ip", "app", "via", "srcPosture"] };
const sshFields: FieldRules = {
  names: ["action", "src", "dst", "users", "checkPeriod", "acceptEnv", "recorder", "enforceRecorder", "srcPosture"],
};
const nodeAttrFields: FieldRules = { names: ["target", "attr", "app", "ipPool"] };
const attrConfigFields: FieldRules = { names: ["type", "allowSetByNode", "broadcastToPeers"] };
const approverFields: FieldRules = { names: ["routes", "exitNode", "services"] };
const testFields: FieldRules = {
  names: ["src", "proto", "accept", "deny", "srcPostureAttrs"],
  aliases: { allow: "accept" },
};
const sshTestFields: FieldRules = { names: ["src", "dst", "accept", "deny", "check"] };

/** Undefined when the text is not even an object; problems are collected either way. */
export function readRaw(root: SourceValue, problems: Problems): RawPolicy | undefined {
  const shape = new Shape(problems);
  const fields = root.kind === "null" ? new Map<string, SourceValue>() : shape.fields(root, "the policy", sections);
  return fields === undefined ? undefined : new RawReader(shape, problems).policy(fields);
}

class RawReader {
  readonly #shape: Shape;
  readonly #problems: Problems;

  constructor(shape: Shape, problems: Problems) {
    this.#shape = shape;
    this.#problems = problems;
  }

  policy(fields: Fields): RawPolicy {
    const shape = this.#shape;
    return {
      groups: this.#groups(fields.get("groups")),
      hosts: shape.members(fields.get("hosts"), "hosts").flatMap((member) => {
        const value = shape.string(member.value, `hosts["${member.name}"]`);
        return value === undefined ? [] : [{ name: member.name, at: member.at, value }];
      }),
      tagOwners: this.#lists(fields.get("tagOwners"), "tagOwners"),
      ipsets: this.#lists(fields.get("ipsets"), "ipsets"),
      postures: this.#lists(fields.get("postures"), "postures"),
      defaultSrcPosture: shape.strings(fields.get("defaultSrcPosture"), "defaultSrcPosture"),
      acls: this.#rules(fields.get("acls"), "acls", aclFields, (rule, at) => this.#acl(rule, at)),
      grants: this.#rules(fields.get("grants"), "grants", grantFields, (rule, at) => this.#grant(rule, at)),
      ssh: this.#rules(fields.get("ssh"), "ssh", sshFields, (rule, at) => this.#ssh(rule, at)) ?? [],
      autoApprovers: this.#approvers(fields.get("autoApprovers")),
      nodeAttrs:
        this.#rules(fields.get("nodeAttrs"), "nodeAttrs", nodeAttrFields, (rule, at) => this.#nodeAttr(rule, at)) ?? [],
      tests: this.#rules(fields.get("tests"), "tests", testFields, (rule, at) => this.#test(rule, at)) ?? [],
      sshTests:
        this.#rules(fields.get("sshTests"), "sshTests", sshTestFields, (rule, at) => this.#sshTest(rule, at)) ?? [],
      derpMap: this.#derpMap(fields.get("derpMap")),
      disableIPv4: shape.boolean(fields.get("disableIPv4"), "disableIPv4"),
      randomizeClientPort: shape.boolean(fields.get("randomizeClientPort"), "randomizeClientPort"),
      oneCGNATRoute: shape.string(fields.get("OneCGNATRoute"), "OneCGNATRoute"),
      attrConfig: shape
        .members(fields.get("attrConfig"), "attrConfig")
        .flatMap((member) => this.#attrConfig(member) ?? []),
    };
  }

  #rules<Rule>(
    value: SourceValue | undefined,
    what: string,
    rules: FieldRules,
    read: (fields: Fields, at: number) => Rule,
  ): readonly Rule[] | undefined {
    return value === undefined
      ? undefined
      : this.#shape.items(value, what).flatMap((item, index) => {
          const fields = this.#shape.fields(item, `${what}[${index}]`, rules);
          return fields === undefined ? [] : [read(fields, item.at)];
        });
  }

  /** Free names are compared as they stand: the reader has refused exact repetitions. */
  #lists(value: SourceValue | undefined, what: string): readonly RawList[] {
    return this.#shape.members(value, what).map((member) => ({
      name: member.name,
      at: member.at,
      items: this.#shape.strings(member.value, `${what}["${member.name}"]`),
    }));
  }

  #groups(value: SourceValue | undefined): readonly RawList[] {
    return this.#shape.members(value, "groups").map((member) => ({
      name: member.name,
      at: member.at,
      items: this.#groupMembers(member),
    }));
  }

  #groupMembers({ name, value }: SourceMember): readonly Located[] {
    if (value.kind === "array") {
      return this.#shape.strings(value, `groups["${name}"]`);
    }
    const got =
      value.kind === "string" ? `string: ${JSON.stringify(value.value)}` : value.kind === "null" ? "<nil>" : value.kind;
    this.#problems.error(
      value.at,
      `group value must be an array of users: group ${JSON.stringify(name)} got ${got}`,
      "write the members in brackets",
    );
    return [];
  }

  #acl(fields: Fields, at: number): RawAcl {
    return {
      at,
      action: this.#shape.string(fields.get("action"), "action"),
      src: this.#shape.strings(fields.get("src"), "src"),
      dst: this.#shape.strings(fields.get("dst"), "dst"),
      proto: this.#shape.string(fields.get("proto"), "proto"),
      srcPosture: this.#shape.strings(fields.get("srcPosture"), "srcPosture"),
    };
  }

  #apps(value: SourceValue | undefined): readonly RawApp[] {
    return this.#shape.members(value, "app").map((member) => ({
      name: member.name,
      at: member.at,
      values: this.#shape.jsonList(member.value, `app["${member.name}"]`),
    }));
  }

  #grant(fields: Fields, at: number): RawGrant {
    return {
      at,
      src: this.#shape.strings(fields.get("src"), "src"),
      dst: this.#shape.strings(fields.get("dst"), "dst"),
      ip: this.#shape.strings(fields.get("ip"), "ip"),
      app: this.#apps(fields.get("app")),
      via: this.#shape.strings(fields.get("via"), "via"),
      srcPosture: this.#shape.strings(fields.get("srcPosture"), "srcPosture"),
    };
  }

  #ssh(fields: Fields, at: number): RawSsh {
    return {
      at,
      action: this.#shape.string(fields.get("action"), "action"),
      src: this.#shape.strings(fields.get("src"), "src"),
      dst: this.#shape.strings(fields.get("dst"), "dst"),
      users: this.#shape.strings(fields.get("users"), "users"),
      checkPeriod: this.#shape.string(fields.get("checkPeriod"), "checkPeriod"),
      acceptEnv: this.#shape.strings(fields.get("acceptEnv"), "acceptEnv"),
      recorder: this.#shape.strings(fields.get("recorder"), "recorder"),
      enforceRecorder: this.#shape.boolean(fields.get("enforceRecorder"), "enforceRecorder") ?? false,
      srcPosture: this.#shape.strings(fields.get("srcPosture"), "srcPosture"),
    };
  }

  #nodeAttr(fields: Fields, at: number): RawNodeAttr {
    return {
      at,
      target: this.#shape.strings(fields.get("target"), "target"),
      attr: this.#shape.strings(fields.get("attr"), "attr"),
      app: this.#apps(fields.get("app")),
      ipPool: this.#shape.strings(fields.get("ipPool"), "ipPool"),
    };
  }

  #approvers(value: SourceValue | undefined): RawPolicy["autoApprovers"] {
    const fields = value === undefined ? undefined : this.#shape.fields(value, "autoApprovers", approverFields);
    return {
      routes: this.#lists(fields?.get("routes"), "autoApprovers.routes"),
      exitNode: this.#shape.strings(fields?.get("exitNode"), "autoApprovers.exitNode"),
      services: this.#lists(fields?.get("services"), "autoApprovers.services"),
    };
  }

  #test(fields: Fields, at: number): RawTest {
    return {
      at,
      src: this.#shape.string(fields.get("src"), "src"),
      proto: this.#shape.string(fields.get("proto"), "proto"),
      accept: this.#shape.strings(fields.get("accept"), "accept"),
      deny: this.#shape.strings(fields.get("deny"), "deny"),
      srcPostureAttrs: this.#attributes(fields.get("srcPostureAttrs")),
    };
  }

  #attributes(value: SourceValue | undefined): RawTest["srcPostureAttrs"] {
    if (value === undefined) {
      return undefined;
    }
    const attributes = this.#shape.members(value, "srcPostureAttrs").flatMap(({ name, value: item }) => {
      if (item.kind === "string" || item.kind === "number" || item.kind === "boolean") {
        return [[name, item.value] as const];
      }
      this.#problems.error(item.at, `srcPostureAttrs["${name}"] must be a string, a number, true or false`);
      return [];
    });
    return Object.fromEntries(attributes);
  }

  #sshTest(fields: Fields, at: number): RawSshTest {
    return {
      at,
      src: this.#shape.string(fields.get("src"), "src"),
      dst: this.#shape.strings(fields.get("dst"), "dst"),
      accept: this.#shape.strings(fields.get("accept"), "accept"),
      deny: this.#shape.strings(fields.get("deny"), "deny"),
      check: this.#shape.strings(fields.get("check"), "check"),
    };
  }

  #attrConfig({ name, at, value }: SourceMember): RawPolicy["attrConfig"][number] | undefined {
    const what = `attrConfig["${name}"]`;
    const fields = this.#shape.fields(value, what, attrConfigFields);
    return (
      fields && {
        name,
        at,
        type: this.#shape.string(fields.get("type"), `${what}.type`),
        allowSetByNode: this.#shape.boolean(fields.get("allowSetByNode"), `${what}.allowSetByNode`) ?? false,
        broadcastToPeers: this.#shape.strings(fields.get("broadcastToPeers"), `${what}.broadcastToPeers`),
      }
    );
  }

  #derpMap(value: SourceValue | undefined): RawPolicy["derpMap"] {
    if (value !== undefined && value.kind !== "object") {
      this.#problems.error(value.at, "derpMap must be an object");
      return undefined;
    }
    return value === undefined ? undefined : toJson(value);
  }
}
