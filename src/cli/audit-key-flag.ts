// --key: a public key as text, or the file that holds it.

import { readFile } from "node:fs/promises";
import { parseVerifier, type VerifierKey } from "../http/audit-key.ts";
import { misuse } from "./failure.ts";

/** Throws Failure. */
export async function verifierOf(value: string): Promise<VerifierKey> {
  const text = value.includes("+") ? value : await textOf("--key", value);
  const key = parseVerifier(text);
  if (key !== null) return key;
  throw misuse(`--key ${value}`, "expected the public key that `heddle audit keygen` printed");
}

/** The content of a file that a flag names. Throws Failure. */
export async function textOf(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw misuse(`${flag} ${path}`, `cannot be read (${code})`);
  }
}
