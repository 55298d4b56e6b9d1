// Data to stdout, messages to stderr. Whatever is printed may come from strangers (any host may
// write to the log), so control characters, which could drive a terminal, never pass. Writes are
// synchronous: the process may exit right after the last one, and nothing may be lost in a
// buffer.

import { writeSync } from "node:fs";

export interface Output {
  /** One line of data. */
  line(text: string): void;
  /** One JSON document on one line. */
  json(value: unknown): void;
  /** Text as it is, for completion scripts and subnet.env. */
  raw(text: string): void;
  /** One line for people, on stderr. */
  note(text: string): void;
  /** Height of the terminal that data is shown on; null when it goes elsewhere. */
  terminalRows(): number | null;
}

/** stdout's reader went away (`| head`): the command ends quietly. */
export class PipeClosed extends Error {
  override readonly name = "PipeClosed";
}

const STDOUT = 1;
const STDERR = 2;

export function standardOutput(): Output {
  return {
    line: (text) => write(STDOUT, `${printable(text)}\n`),
    json: (value) => write(STDOUT, `${jsonText(value)}\n`),
    raw: (text) => write(STDOUT, text),
    note: (text) => write(STDERR, `${printable(text)}\n`),
    terminalRows: () => (process.stdout.isTTY ? process.stdout.rows : null),
  };
}

/**
 * Control and format characters (escape sequences, reordering of text), line and paragraph ends.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** `text` with control characters written as escapes. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** JSON itself escapes C0 only; the escapes of the others mean the same. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(UNPRINTABLE, escaped);
}

function escaped(char: string): string {
  const unit = (i: number): string => char.charCodeAt(i).toString(16).padStart(4, "0");
  return Array.from({ length: char.length }, (_, i) => `\\u${unit(i)}`).join("");
}

/** A pipe that somebody else made non-blocking, and a reader that is slow. */
const SLOW_PAUSE_MS = 5;
/** Messages are dropped rather than let a reader that has stopped hold up an agent. */
const MESSAGE_TRIES = 100;

function write(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let done = 0;
  for (let tries = 1; done < bytes.length; tries++) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : null;
      // Nobody is left to tell it to.
      if (fd === STDERR && (code === "EPIPE" || tries >= MESSAGE_TRIES)) return;
      if (code === "EPIPE") throw new PipeClosed();
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(SLOW_PAUSE_MS);
    }
  }
}
