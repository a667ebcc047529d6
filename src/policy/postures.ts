// Device postures: conditions over a node's attributes, as `node:os == 'macos'`, `node:tsVersion >= '1.40'`,
// `custom:tier IN ['a', 'b']`, `custom:seen IS SET`. All conditions of a posture must hold; of several postures on a
// rule one is enough. An attribute that is not set satisfies nothing but NOT SET.
import type { Parsed } from "./ports.ts";

export type AttributeValue = string | number | boolean;
export type Attributes = Readonly<Record<string, AttributeValue>>;

type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=";

export type Condition =
  | {
      readonly kind: "compare";
      readonly attribute: string;
      readonly operator: Comparison;
      readonly value: AttributeValue;
    }
  | {
      readonly kind: "in";
      readonly attribute: string;
      readonly negated: boolean;
      readonly values: readonly AttributeValue[];
    }
  | { readonly kind: "set"; readonly attribute: string; readonly negated: boolean };

export interface Posture {
  readonly name: string;
  readonly at: number;
  readonly conditions: readonly Condition[];
  /** The conditions as written, for explanations. */
  readonly texts: readonly string[];
}

const attributeName = /^[a-zA-Z][a-zA-Z0-9_-]*:[a-zA-Z0-9_.-]+/;
const operatorText = /^(==|!=|<=|>=|<|>|(?:not\s+in|in|is\s+not\s+set|is\s+set|not\s+set)(?![a-zA-Z0-9_]))/i;
const comparisons: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);

function isComparison(text: string): text is Comparison {
  return comparisons.has(text);
}

/** Longer conditions are refused: nobody writes them, and they come from outside. */
const maxCondition = 1000;

export function parseCondition(text: string): Parsed<Condition> {
  const bad = (why: string): Parsed<Condition> => ({
    ok: false,
    error: `invalid posture condition ${JSON.stringify(text)}: ${why}`,
  });
  const trimmed = text.trim();
  if (trimmed.length > maxCondition) {
    return bad("too long");
  }
  const attribute = attributeName.exec(trimmed)?.[0];
  if (attribute === undefined) {
    return bad("it must begin with an attribute such as node:os or custom:name");
  }
  const afterName = trimmed.slice(attribute.length).trimStart();
  const operator = operatorText.exec(afterName)?.[0];
  if (operator === undefined) {
    return bad("expected one of ==, !=, <, <=, >, >=, IN, NOT IN, IS SET, NOT SET after the attribute");
  }
  const rest = afterName.slice(operator.length).trim();
  if (isComparison(operator)) {
    const value = parseLiteral(rest);
    return value === undefined || value.rest.trim() !== ""
      ? bad("expected one value: 'text', a number, true or false")
      : { ok: true, value: { kind: "compare", attribute, operator, value: value.value } };
  }
  const word = operator.toLowerCase().replace(/\s+/g, " ");
  if (word === "in" || word === "not in") {
    const values = parseList(rest);
    return values === undefined
      ? bad("expected a list of values in brackets, as ['a', 'b']")
      : { ok: true, value: { kind: "in", attribute, negated: word === "not in", values } };
  }
  return rest === ""
    ? { ok: true, value: { kind: "set", attribute, negated: word !== "is set" } }
    : bad(`nothing may follow ${operator.toUpperCase()}`);
}

function parseLiteral(text: string): { readonly value: AttributeValue; readonly rest: string } | undefined {
  const quote = text[0];
  if (quote === "'" || quote === '"') {
    const end = text.indexOf(quote, 1);
    return end === -1 ? undefined : { value: text.slice(1, end), rest: text.slice(end + 1) };
  }
  const word = /^[^\s,\]]+/.exec(text)?.[0];
  if (word === undefined) {
    return undefined;
  }
  const rest = text.slice(word.length);
  if (word === "true" || word === "false") {
    return { value: word === "true", rest };
  }
  return /^-?\d+(\.\d+)?$/.test(word) ? { value: Number(word), rest } : undefined;
}

function parseList(text: string): readonly AttributeValue[] | undefined {
  if (!text.startsWith("[")) {
    return undefined;
  }
  const values: AttributeValue[] = [];
  let rest = text.slice(1).trimStart();
  while (!rest.startsWith("]")) {
    const literal = parseLiteral(rest);
    if (literal === undefined) {
      return undefined;
    }
    values.push(literal.value);
    rest = literal.rest.trimStart();
    if (rest.startsWith(",")) {
      rest = rest.slice(1).trimStart();
    } else if (!rest.startsWith("]")) {
      return undefined;
    }
  }
  return rest.slice(1).trim() === "" ? values : undefined;
}

export function meetsPosture(posture: Posture, attributes: Attributes): boolean {
  return posture.conditions.every((condition) => meetsCondition(condition, attributes));
}

export function meetsCondition(condition: Condition, attributes: Attributes): boolean {
  const value = Object.hasOwn(attributes, condition.attribute) ? attributes[condition.attribute] : undefined;
  if (condition.kind === "set") {
    return (value !== undefined) !== condition.negated;
  }
  if (value === undefined) {
    return false;
  }
  if (condition.kind === "in") {
    return condition.values.some((candidate) => sameValue(condition.attribute, value, candidate)) !== condition.negated;
  }
  switch (condition.operator) {
    case "==":
      return sameValue(condition.attribute, value, condition.value);
    case "!=":
      return !sameValue(condition.attribute, value, condition.value);
    case "<":
    case "<=":
    case ">":
    case ">=":
      return ordered(condition.operator, compareValues(condition.attribute, value, condition.value));
  }
}

function ordered(operator: "<" | "<=" | ">" | ">=", order: number | undefined): boolean {
  if (order === undefined) {
    return false;
  }
  switch (operator) {
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
  }
}

/** Names of operating systems are written in any letter case. */
function sameValue(attribute: string, value: AttributeValue, wanted: AttributeValue): boolean {
  if (typeof value === "string" && typeof wanted === "string") {
    return attribute === "node:os" ? value.toLowerCase() === wanted.toLowerCase() : value === wanted;
  }
  return value === wanted;
}

/** Undefined when the two cannot be ordered: different kinds, or truth values. */
function compareValues(attribute: string, value: AttributeValue, wanted: AttributeValue): number | undefined {
  if (typeof value === "number" && typeof wanted === "number") {
    return value - wanted;
  }
  if (typeof value === "string" && typeof wanted === "string") {
    return attribute.toLowerCase().endsWith("version") || /^\d/.test(wanted)
      ? compareVersions(value, wanted)
      : value < wanted
        ? -1
        : Number(value > wanted);
  }
  return undefined;
}

/** Numbers part by part, whatever separates them: 1.9 comes before 1.40, 14.4 before 14.4.1. */
function compareVersions(x: string, y: string): number {
  const parts = (text: string): readonly number[] => (text.match(/\d+/g) ?? []).map(Number);
  const xs = parts(x);
  const ys = parts(y);
  for (let i = 0; i < Math.max(xs.length, ys.length); i++) {
    const order = (xs[i] ?? 0) - (ys[i] ?? 0);
    if (order !== 0) {
      return order;
    }
  }
  return 0;
}
