// Words that must not be committed, each with what to write in its place. Rules that a linter can
// express live in biome.json; here are those that depend on the place or on the text of comments.

import { type Masked, maskSource } from "./tidy-mask.ts";
import type { Finding, SourceFile } from "./tidy-tree.ts";

interface Ban {
  pattern: RegExp;
  in: RegExp;
  except?: RegExp;
  /** "code" ignores comments and literals, "commentless" comments only. */
  on: "code" | "commentless" | "text";
  instead: string;
}

/** The places that hold the real clock. */
const SHELLS = /^src\/(main\.ts$|cli\/|agent\/os-|events\/(log-jetstream|nats-))/;
const SCRIPTS = /\.(ts|mjs)$/;
const SOURCES = /^src\/.*\.ts$/;
const TESTS = /^test\/.*\.ts$/;
/** The list below names what it bans. */
const TIDY = /^test\/(support\/)?tidy/;

const BANS: readonly Ban[] = [
  {
    pattern: /\bDate\.now\(|\bnew Date\(\s*\)|\bperformance\.now\(/,
    in: SOURCES,
    except: SHELLS,
    on: "code",
    instead: "take a Clock, or the log's time",
  },
  {
    pattern: /\bMath\.random\b/,
    in: SCRIPTS,
    on: "code",
    instead: "take randomness as an argument; tests use fast-check or a seed",
  },
  { pattern: /\bas any\b/, in: SCRIPTS, on: "code", instead: "parse it or name the type" },
  {
    pattern: /@ts-(ignore|nocheck)/,
    in: SCRIPTS,
    except: TIDY,
    on: "text",
    instead: "fix the type, or @ts-expect-error with the reason",
  },
  {
    pattern: /\bconsole\.\w+\(/,
    in: SOURCES,
    except: /^src\/cli\/output/,
    on: "code",
    instead: "the log for messages, src/cli/output*.ts for data",
  },
  { pattern: /\b(test|it|describe)\.only\(/, in: TESTS, on: "code", instead: "run all of them" },
  {
    pattern: /\b(setTimeout|Bun\.sleep|Bun\.sleepSync|sleepSync)\(|\bsleep\(\d/,
    in: TESTS,
    except: /^test\/support\//,
    on: "code",
    instead: "await the condition, not the time",
  },
  {
    pattern: /\bFIXME\b|\bXXX\b/,
    in: /./,
    except: TIDY,
    on: "text",
    instead: "fix it, or open an issue",
  },
  {
    pattern: /\bTODO\b(?!\(#\d+\))/,
    in: /./,
    except: TIDY,
    on: "text",
    instead: "TODO(#issue), or nothing",
  },
  {
    pattern: /\bregistry\.[a-z]+\.(?:org|com)\b/,
    in: /./,
    except: TIDY,
    on: "text",
    instead: "no registry is named: npm's own setting decides",
  },
  {
    pattern: /(?<![\w.*])\/(work|home)\/\w/,
    in: /./,
    except: TIDY,
    on: "text",
    instead: "a path relative to the repository",
  },
  {
    pattern: /(?<![\w.*])\/tmp\b/,
    in: /./,
    except: /^test\/|\.md$/,
    on: "commentless",
    instead: "os.tmpdir(), or a path relative to the repository",
  },
  {
    pattern: /\bDESIGN\.md\b|(?<!\w)reference\/[a-z-]+\.md\b/,
    in: /./,
    except: TIDY,
    on: "text",
    instead: "a document that is in this repository, such as ARCHITECTURE.md",
  },
];

export function bannedWords({ path, text }: SourceFile): Finding[] {
  const views = { text, ...(SCRIPTS.test(path) ? maskSource(text) : plain(text)) };
  const findings: Finding[] = [];
  for (const ban of BANS) {
    if (!ban.in.test(path) || ban.except?.test(path)) continue;
    views[ban.on].split("\n").forEach((line, i) => {
      const found = ban.pattern.exec(line)?.[0];
      if (found === undefined) return;
      findings.push({ path, line: i + 1, message: `"${found}": ${ban.instead}` });
    });
  }
  return findings;
}

function plain(text: string): Masked {
  return { code: text, commentless: text };
}
