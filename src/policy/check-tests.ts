// tests and sshTests as written: what each asks. A test that cannot be asked (unknown names, a range of ports …) counts
// as failed, as Tailscale has it; only what it refuses by name is an error of the policy.
import type { Prefix } from "../ip/index.ts";
import { noteUser, type CheckContext } from "./check-context.ts";
import { isLiteralNetwork, splitHostPort } from "./check-rules.ts";
import type { PolicyTest, SshTest, TestTarget } from "./policy.ts";
import { parsePorts, parseProtocol } from "./ports.ts";
import type { RawSshTest, RawTest } from "./raw.ts";
import { parseSelector, type Selector } from "./selectors.ts";
import type { Located } from "./source.ts";

const testProtocols: ReadonlySet<number> = new Set([6, 17, 132]);

export function checkTests(tests: readonly RawTest[], context: CheckContext): readonly PolicyTest[] {
  return tests.flatMap((test, index) => checkTest(test, index, context) ?? []);
}

function checkTest(test: RawTest, index: number, context: CheckContext): PolicyTest | undefined {
  const broken = (at: number, message: string): undefined => {
    context.brokenTests.push({ at, message });
    return undefined;
  };
  if (test.accept.length === 0 && test.deny.length === 0) {
    return broken(test.at, `test ${index}: test entry must have at least one of "accept" or "deny"`);
  }
  const protocolText = test.proto?.text ?? "";
  const protocol = protocolText === "" ? undefined : parseProtocol(protocolText);
  if (protocol !== undefined && (!protocol.ok || !testProtocols.has(protocol.value))) {
    return broken(
      test.proto?.at ?? test.at,
      `test ${index}: test protocol must be tcp, udp, sctp, or empty: ${JSON.stringify(protocolText)}`,
    );
  }
  const srcText = test.src?.text.trim() ?? "";
  const src = parseSelector({ text: srcText, at: test.src?.at ?? test.at }, context.declared);
  if (srcText === "" || !src.ok) {
    return broken(
      test.src?.at ?? test.at,
      `test ${index}: src=${JSON.stringify(srcText)}: ${src.ok ? "empty" : src.error}`,
    );
  }
  noteUser(src.selector, context);
  const targets = (items: readonly Located[], list: string): readonly TestTarget[] =>
    items.flatMap((item) => checkTestTarget(item, `test ${index}, ${list}`, context) ?? []);
  return {
    at: test.at,
    index,
    src: src.selector,
    srcText,
    protocol: protocol?.ok === true ? protocol.value : undefined,
    protocolText,
    accept: targets(test.accept, "accept"),
    deny: targets(test.deny, "deny"),
    attributes: test.srcPostureAttrs,
  };
}

function checkTestTarget(item: Located, where: string, context: CheckContext): TestTarget | undefined {
  const broken = (why: string): undefined => {
    context.brokenTests.push({ at: item.at, message: `${where} ${JSON.stringify(item.text)}: ${why}` });
    return undefined;
  };
  const parts = splitHostPort(item.text);
  if (!parts.ok) {
    return broken(parts.error);
  }
  const split = parts.value;
  const ports = parsePorts(split.ports);
  if (!ports.ok) {
    return broken(ports.error);
  }
  const [range] = ports.value;
  if (range === undefined || ports.value.length > 1 || range.first !== range.last) {
    return broken("test destination port must be a single port");
  }
  if (isLiteralNetwork(split.alias)) {
    return broken("test destination must be a single host, not a CIDR range");
  }
  const parsed = parseSelector({ text: split.alias, at: item.at }, context.declared);
  if (!parsed.ok) {
    return broken(parsed.error);
  }
  if (parsed.selector.kind === "addresses" && parsed.selector.from === "host" && !isSingle(parsed.selector.prefixes)) {
    return broken("test destination must be a single host, not a CIDR range");
  }
  if (parsed.selector.kind === "internet" || parsed.selector.kind === "danger-all") {
    return broken(`${split.alias} not valid as a test destination`);
  }
  noteUser(parsed.selector, context);
  return { text: item.text, at: item.at, selector: parsed.selector, port: range.first };
}

export function checkSshTests(tests: readonly RawSshTest[], context: CheckContext): readonly SshTest[] {
  return tests.flatMap((test, index) => checkSshTest(test, index, context) ?? []);
}

function checkSshTest(test: RawSshTest, index: number, context: CheckContext): SshTest | undefined {
  const broken = (at: number, message: string): undefined => {
    context.brokenTests.push({ at, message: `sshTest ${index}: ${message}` });
    return undefined;
  };
  const logins = (list: readonly Located[]): readonly Located[] =>
    list.flatMap(({ text: said, at }) => {
      const text = said.trim();
      return text === "" || text === "*"
        ? (broken(at, `user ${JSON.stringify(text)} is not valid`) ?? [])
        : [{ text, at }];
    });
  const dst = test.dst.flatMap((item) => checkSshTestTarget(item, context, broken) ?? []);
  const srcText = test.src?.text.trim() ?? "";
  if (srcText === "") {
    return broken(test.at, "SSH tests entry must have a non-empty src");
  }
  if (test.dst.length === 0) {
    return broken(test.at, "SSH tests entry must have at least one dst");
  }
  if (test.accept.length === 0 && test.deny.length === 0 && test.check.length === 0) {
    return broken(test.at, "no accept, deny, or check assertions specified");
  }
  const src = parseSelector({ text: srcText, at: test.src?.at ?? test.at }, context.declared);
  if (!src.ok) {
    return broken(test.src?.at ?? test.at, `src=${JSON.stringify(srcText)}: ${src.error}`);
  }
  noteUser(src.selector, context);
  return {
    at: test.at,
    index,
    src: src.selector,
    srcText,
    dst,
    accept: logins(test.accept),
    deny: logins(test.deny),
    check: logins(test.check),
  };
}

function isSingle(prefixes: readonly Prefix[]): boolean {
  return prefixes.length === 1 && prefixes.every(({ addr, bits }) => bits === (addr.family === 4 ? 32 : 128));
}

function checkSshTestTarget(
  item: Located,
  context: CheckContext,
  broken: (at: number, message: string) => undefined,
): Selector | undefined {
  const place = { text: item.text.trim(), at: item.at };
  const refuse = (message: string): undefined => broken(place.at, message);
  if (place.text.startsWith("tag:") && !context.declared.tags.has(place.text)) {
    return refuse(`SSH tests dst contains unknown tag ${JSON.stringify(place.text)}`);
  }
  const parsed = parseSelector(place, context.declared);
  if (!parsed.ok) {
    return refuse(`dst ${JSON.stringify(place.text)}: ${parsed.error}`);
  }
  const { selector } = parsed;
  const single = selector.kind === "addresses" && isSingle(selector.prefixes);
  if (selector.kind === "nodes" || selector.kind === "self" || single) {
    noteUser(selector, context);
    return selector;
  }
  return refuse(`SSH tests dst contains disallowed element ${JSON.stringify(place.text)}`);
}
