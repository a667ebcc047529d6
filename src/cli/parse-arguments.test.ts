import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { CliError } from "./cli-error.ts";
import { commandTree } from "./commands.ts";
import type { Command } from "./command.ts";
import { parseArguments, requireFlags } from "./parse-arguments.ts";
import type { Parsed } from "./parse-arguments.ts";

function parse(words: string): Parsed {
  return parseArguments(commandTree, "hawser", words === "" ? [] : words.split(" "));
}

test("a command's own flags may stand before its name, with their value", () => {
  const { path, flags, operands } = parse("--user bob nodes list");
  assert.deepEqual([path, flags.text("user"), operands], [["nodes", "list"], "bob", []]);
  assert.deepEqual(parse("-u bob node ls").path, ["nodes", "list"]);
});

test("global flags stand anywhere, glued or apart", () => {
  for (const words of ["-o json users list", "users -o json list", "users list -ojson", "users list --output=json"]) {
    const { path, flags } = parse(words);
    assert.deepEqual([path, flags.text("output")], [["users", "list"], "json"], words);
  }
  assert.ok(parse("--force nodes delete -i 1").flags.on("force"));
});

test("a switch does not eat the next word, and can be turned off", () => {
  const { path, flags } = parse("preauthkeys --reusable create --ephemeral=false --user 1");
  assert.deepEqual(path, ["preauthkeys", "create"]);
  assert.deepEqual([flags.on("reusable"), flags.on("ephemeral"), flags.number("user", 0)], [true, false, 1]);
  assert.ok(parse("nodes expire -i 1 -d").flags.on("disable"));
});

test("a letter means what it means in its command", () => {
  assert.equal(parse("users create bob -d Bob").flags.text("display-name"), "Bob");
  assert.ok(parse("nodes expire -d -i 1").flags.on("disable"));
  assert.equal(parse("apikeys expire -p x").flags.text("prefix"), "x");
  assert.equal(parse("users create bob -p x").flags.text("picture-url"), "x");
});

test("lists are split at commas and may be repeated; other flags keep the last value", () => {
  const { flags } = parse("nodes tag -i 1 -i 2 -t tag:a,tag:b --tags tag:c");
  assert.deepEqual([flags.list("tags"), flags.text("identifier")], [["tag:a", "tag:b", "tag:c"], "2"]);
});

test("after -- everything is an operand", () => {
  assert.deepEqual(parse("users create -- -odd").operands, ["-odd"]);
});

test("required flags are named in alphabetical order", () => {
  const { command, flags } = parse("debug create-node --name x");
  assert.throws(() => requireFlags(command, flags), new CliError('required flag(s) "key", "user" not set'));
});

test("an older group's name works and is reported", () => {
  const { path, outdated } = parse("namespaces list");
  assert.deepEqual([path, outdated], [["users", "list"], [{ word: "namespaces", today: "users" }]]);
});

function leaves(command: Command, path: readonly string[]): (readonly string[])[] {
  return command.kind === "leaf" ? [path] : command.children.flatMap((child) => leaves(child, [...path, child.name]));
}

test("every command is reached by each of its names, and no two share one", () => {
  const visit = (command: Command, path: readonly string[]): void => {
    if (command.kind === "leaf") {
      return;
    }
    const names = command.children.flatMap((child) => [
      child.name,
      ...(child.aliases ?? []),
      ...(child.formerNames ?? []),
    ]);
    assert.equal(new Set(names).size, names.length, `${path.join(" ")}: ${names.join(" ")}`);
    for (const child of command.children) {
      for (const name of [child.name, ...(child.aliases ?? [])]) {
        assert.equal(parseArguments(commandTree, "hawser", [...path, name]).command, child);
      }
      visit(child, [...path, child.name]);
    }
  };
  visit(commandTree, []);
});

test("no command has two flags of one name or letter", () => {
  for (const path of leaves(commandTree, [])) {
    const { command } = parseArguments(commandTree, "hawser", path);
    const flags = command.kind === "leaf" ? (command.flags ?? []) : [];
    const names = [...flags.map(({ name }) => name), "config", "output", "force", "help"];
    const letters = [...flags.flatMap(({ short }) => short ?? []), "c", "o", "h"];
    assert.equal(new Set(names).size, names.length, path.join(" "));
    assert.equal(new Set(letters).size, letters.length, path.join(" "));
  }
});

test("any words are either understood or refused with a CliError", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "nodes",
      "users",
      "list",
      "create",
      "-i",
      "--user",
      "-o",
      "json",
      "--",
      "-",
      "--=",
      "-=",
      "-dh",
      "--force",
    ),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (words) => {
      try {
        parseArguments(commandTree, "hawser", words);
      } catch (fault) {
        assert.ok(fault instanceof CliError, String(fault));
      }
    }),
    { numRuns: 500 },
  );
});
