import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { renderTable } from "./table.ts";

const plain = { colour: false, columns: undefined };
const at = (columns: number): { colour: boolean; columns: number } => ({ colour: false, columns });

test("columns are as wide as their widest value, with no spaces at the end of a line", () => {
  assert.equal(
    renderTable(
      ["ID", "Name"],
      [
        ["1", "alice"],
        ["100", ""],
      ],
      plain,
    ),
    "ID  | Name\n1   | alice\n100 |",
  );
});

test("lines of a value stay inside their cell", () => {
  assert.equal(renderTable(["A", "B"], [["x\ny", "1"]], plain), "A | B\nx | 1\ny |");
});

test("on a narrow terminal long values are wrapped, between words where there are any", () => {
  assert.equal(
    renderTable(["ID", "Text"], [["1", "the quick brown fox jumps"]], at(20)),
    "ID | Text\n1  | the quick brown\n   | fox jumps",
  );
});

test("columns that may go are left out before words are broken", () => {
  const columns = ["ID", { title: "Fingerprint", drop: 2 }, { title: "Created", drop: 1 }, "Name"];
  const rows = [["1", "abcdefghijkl", "2026-01-02", "web-server"]];
  assert.match(renderTable(columns, rows, at(60)), /Fingerprint/);
  assert.equal(renderTable(columns, rows, at(30)), "ID | Created    | Name\n1  | 2026-01-02 | web-server");
  assert.equal(renderTable(columns, rows, at(20)), "ID | Name\n1  | web-server");
  assert.match(renderTable(columns, rows, plain), /Fingerprint/);
});

test("colour codes do not count for the width", () => {
  const rows = [[{ text: "online", colour: "green" as const }, "x"]];
  assert.equal(
    renderTable(["State", "N"], rows, { colour: true, columns: undefined }),
    "\u001b[96mState\u001b[39m  | \u001b[96mN\u001b[39m\n\u001b[32monline\u001b[39m | x",
  );
});

test("wide characters count for two places", () => {
  assert.equal(
    renderTable(
      ["Name", "N"],
      [
        ["漢字", "1"],
        ["abcd", "2"],
      ],
      plain,
    ),
    "Name | N\n漢字 | 1\nabcd | 2",
  );
});

test("no line is wider than the terminal while its columns can shrink, and no text is lost", () => {
  const cell = fc.stringMatching(/^[a-z ,.-]{0,40}$/);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(cell, cell, cell), { maxLength: 5 }),
      fc.integer({ min: 40, max: 120 }),
      (rows, columns) => {
        const text = renderTable(["A", "B", "C"], rows, at(columns));
        for (const line of text.split("\n")) {
          assert.ok(line.length <= columns, `${line.length} > ${columns}`);
        }
        const letters = (input: string): string =>
          input
            .replaceAll(/[^a-z]/g, "")
            .split("")
            .sort()
            .join("");
        assert.equal(letters(text), letters(rows.flat().join("")));
      },
    ),
    { numRuns: 200 },
  );
});
