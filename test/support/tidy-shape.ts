// Sizes and openings: line, function and file length, and the comment that says what a file owns.
// Function length is measured from the opening to the closing brace on masked text; a return type
// that contains braces can hide a function from it, which is the price of not having a parser.

import { maskSource } from "./tidy-mask.ts";
import type { Finding, SourceFile } from "./tidy-tree.ts";

const LINE_MAX = 100;
const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 400;

const CODE = /\.(ts|mjs|sh|c|h)$|^bin\/heddle$|^\.ci\/run$/;
const SCRIPT = /\.(ts|mjs)$/;
const CONTRACT = /^test\/support\/contract-/;
/** Tables of numbers: their length says nothing about how hard they are to read. */
const TABLES = new Set(["src/ffi/netlink/constants.ts"]);

export function lineLengths({ path, text }: SourceFile): Finding[] {
  if (!CODE.test(path)) return [];
  return text.split("\n").flatMap((line, i) => {
    const length = [...line].length;
    if (length <= LINE_MAX) return [];
    return [{ path, line: i + 1, message: `line of ${length} columns, at most ${LINE_MAX}` }];
  });
}

export function fileLength({ path, text }: SourceFile): Finding[] {
  const lines = text.split("\n").length - 1;
  if (!CODE.test(path) || TABLES.has(path) || lines <= FILE_LINES_MAX) return [];
  return [{ path, line: 0, message: `file of ${lines} lines, at most ${FILE_LINES_MAX}` }];
}

export function opening({ path, text }: SourceFile): Finding[] {
  if (!/^(src|bench|scripts|native|test\/support)\/.*\.(ts|mjs|sh|c|h)$/.test(path)) return [];
  const first = text.split("\n").find((line) => !line.startsWith("#!"));
  // In C the opening comment may begin with a line of its own.
  if (first !== undefined && /^((\/\/|\/\*|#) ?\S|\/\*+$)/.test(first)) return [];
  return [
    { path, line: 1, message: "does not open with a comment on what it owns and leaves out" },
  ];
}

export function functionLengths({ path, text }: SourceFile): Finding[] {
  if (!SCRIPT.test(path)) return [];
  const { code } = maskSource(text);
  const findings: Finding[] = [];
  const open: { at: number; isFunction: boolean }[] = [];
  for (let at = 0; at < code.length; at++) {
    if (code[at] === "{") open.push({ at, isFunction: opensFunction(code.slice(0, at)) });
    if (code[at] !== "}") continue;
    const start = open.pop();
    if (start === undefined || !start.isFunction) continue;
    const lines = code.slice(start.at, at).split("\n").length;
    if (lines <= FUNCTION_LINES_MAX) continue;
    // A contract suite is a function that declares tests; each of them is measured by itself.
    if (CONTRACT.test(path) && /\b(test|describe)\b/.test(code.slice(start.at, at))) continue;
    const line = code.slice(0, start.at).split("\n").length;
    findings.push({
      path,
      line,
      message: `function of ${lines} lines, at most ${FUNCTION_LINES_MAX}`,
    });
  }
  return findings;
}

/** `before` ends right before a `{`: is that brace the body of a function? */
function opensFunction(before: string): boolean {
  const arrow = /=>\s*$/.exec(before);
  if (arrow) return !isSuite(before.slice(0, arrow.index));
  const close = /\)\s*(:[^;{}=()]*)?$/.exec(before);
  if (!close) return false;
  const start = matchingParen(before, close.index);
  return !/\b(if|for|while|switch|catch|with)\s*(await\s*)?$/.test(before.slice(0, start));
}

/** The callback of `describe("…", () => {` holds tests and is as long as they are many. */
function isSuite(beforeArrow: string): boolean {
  return /\bdescribe(\.\w+(\([^()]*\))?)?\([^()]*,\s*\([^()]*\)\s*$/.test(beforeArrow);
}

function matchingParen(text: string, close: number): number {
  let depth = 0;
  for (let i = close; i >= 0; i--) {
    if (text[i] === ")") depth++;
    if (text[i] === "(" && --depth === 0) return i;
  }
  return 0;
}
