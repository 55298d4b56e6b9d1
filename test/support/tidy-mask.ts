// Blanks comments and literals out of TypeScript, keeping every offset and line, so that the other
// checks can use plain patterns. There is no compiler interface to ask (TypeScript 7 ships none),
// and this is no parser: it knows comments, strings, templates and regular expressions.

export interface Masked {
  /** Neither comments nor the contents of literals. */
  code: string;
  /** No comments, literals kept: for import specifiers. */
  commentless: string;
}

const REGEX_MAY_FOLLOW = /(^|[(,=:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|of|in|await|yield))\s*$/;

export function maskSource(text: string): Masked {
  const code = [...blank(text)];
  const commentless = [...blank(text)];
  // For each template we are inside of: how many braces are open since its `${`.
  const templates: number[] = [];
  let at = 0;
  const keep = (end: number, literal: boolean): void => {
    for (let i = at; i < end; i++) {
      commentless[i] = text[i] ?? " ";
      if (!literal || i === at || i === end - 1) code[i] = text[i] ?? " ";
    }
    at = end;
  };
  const template = (): void => {
    const end = templateEnd(text, at + 1);
    if (text[end - 1] === "{") templates.push(0);
    keep(end, true);
  };
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const char = text[at] ?? "";
    const depth = templates.at(-1);
    if (two === "//") at = indexOrEnd(text, "\n", at, 0);
    else if (two === "/*") at = indexOrEnd(text, "*/", at + 2, 2);
    else if (char === '"' || char === "'") keep(literalEnd(text, at + 1, char), true);
    else if (char === "`") template();
    else if (char === "}" && depth === 0) {
      templates.pop();
      template();
    } else if (char === "/" && REGEX_MAY_FOLLOW.test(code.slice(Math.max(0, at - 80), at).join("")))
      keep(regexEnd(text, at + 1), true);
    else {
      if (depth !== undefined && char === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === "}") templates[templates.length - 1] = depth - 1;
      keep(at + 1, false);
    }
  }
  return { code: code.join(""), commentless: commentless.join("") };
}

function blank(text: string): string[] {
  return Array.from({ length: text.length }, (_, i) => (text[i] === "\n" ? "\n" : " "));
}

function indexOrEnd(text: string, needle: string, from: number, past: number): number {
  const found = text.indexOf(needle, from);
  return found < 0 ? text.length : found + past;
}

function literalEnd(text: string, from: number, quote: string): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === quote || text[i] === "\n") return i + 1;
  }
  return text.length;
}

/** After the closing backtick, or after the `${` that opens an expression. */
function templateEnd(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "`") return i + 1;
    else if (text[i] === "$" && text[i + 1] === "{") return i + 2;
  }
  return text.length;
}

function regexEnd(text: string, from: number): number {
  let inClass = false;
  for (let i = from; i < text.length; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if ((char === "/" && !inClass) || char === "\n") return i + 1;
  }
  return text.length;
}
