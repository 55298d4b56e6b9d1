// A file that holds a secret: readable by its owner only, or it is refused.

import { open } from "node:fs/promises";

export type SecretFile =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: string };

export async function readSecretFile(path: string): Promise<SecretFile> {
  try {
    await using file = await open(path);
    const mode = (await file.stat()).mode & 0o777;
    if ((mode & 0o077) !== 0) {
      const found = mode.toString(8).padStart(4, "0");
      return { ok: false, reason: `its mode is ${found}, expected 0600: it holds a secret` };
    }
    return { ok: true, text: await file.readFile("utf8") };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return { ok: false, reason: `cannot be read (${code})` };
  }
}
