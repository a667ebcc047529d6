// Help as somebody reads it who sees the program for the first time, on a terminal of 80 columns.
import assert from "node:assert/strict";
import test from "node:test";
import type { Command, Leaf } from "./command.ts";
import { commandTree } from "./commands.ts";
import { helpText } from "./help.ts";
import { parseArguments, requireFlags } from "./parse-arguments.ts";

interface Page {
  readonly command: Command;
  readonly path: readonly string[];
  readonly text: string;
}

function pages(command: Command, path: readonly string[] = []): Page[] {
  if (command.hidden === true) {
    return [];
  }
  const below =
    command.kind === "group" ? command.children.flatMap((child) => pages(child, [...path, child.name])) : [];
  return [{ command, path, text: helpText(command, path, "hawser") }, ...below];
}

const all = pages(commandTree);
const leaves = all.flatMap(({ command, path }): { leaf: Leaf; path: readonly string[] }[] =>
  command.kind === "leaf" ? [{ leaf: command, path }] : [],
);

test("no line is too long for 80 columns, and none ends in blanks", () => {
  assert.ok(all.length > 60);
  for (const { path, text } of all) {
    for (const line of text.split("\n")) {
      assert.ok(line.length <= 80 && !line.endsWith(" "), `${path.join(" ")}: ${line}`);
    }
  }
});

test("every command that takes something has an example, and examples can be run as they stand", () => {
  for (const { leaf, path } of leaves) {
    const examples = leaf.examples ?? [];
    const takes = leaf.operands !== undefined || (leaf.flags ?? []).some((flag) => flag.hidden !== true);
    assert.ok(!takes || examples.length > 0, `${path.join(" ")} has no example`);
    for (const example of examples) {
      const words = example.split(" ");
      const redirected = words.findIndex((word) => /^>+$/.test(word));
      const { command, flags, outdated } = parseArguments(
        commandTree,
        "hawser",
        redirected === -1 ? words : words.slice(0, redirected),
      );
      assert.equal(command, leaf, example);
      assert.deepEqual(outdated, []);
      requireFlags(command, flags);
    }
  }
});

test("the usage line names what a command cannot do without", () => {
  const page = (path: string): string => all.find((each) => each.path.join(" ") === path)?.text ?? "";
  assert.match(page("nodes move"), /^ {2}hawser nodes move --identifier NODE --user USER$/m);
  assert.match(page("policy explain"), /^ {2}hawser policy explain SOURCE DESTINATION\[:PORT\] \[flags\]$/m);
  assert.match(page("serve"), /^ {2}hawser serve$/m);
});

test("every command stands in the list of its group, under the root in one section only", () => {
  for (const { command, path, text } of all) {
    const children = command.kind === "group" ? command.children : [];
    for (const child of children.filter(({ hidden }) => hidden !== true)) {
      const lines = text.split("\n").filter((line) => line.startsWith(`  ${child.name} `));
      assert.equal(lines.length, 1, `${path.join(" ")}: ${child.name}`);
    }
  }
});
