// heddle audit verify: an export or a proof against a public key, from a file, standard input or a
// URL. It needs no log and no server, and no more memory for a million records than for ten.

import { open } from "node:fs/promises";
import { sha256 } from "../agent/sha256.ts";
import { type Checkpoint, parseCheckpoint, parseNote } from "../events/checkpoint.ts";
import { isIncluded } from "../events/merkle-proof.ts";
import { isTlogProof, parseTlogProof } from "../events/tlog-proof.ts";
import { signedBy, type VerifierKey } from "../http/audit-key.ts";
import { ExportVerifier, type Refuted, type Verified } from "../http/audit-verify.ts";
import { textOf, verifierOf } from "./audit-key-flag.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, Failure, misuse } from "./failure.ts";

interface VerifyFlags {
  readonly key: string;
  readonly kept?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

type Bytes = AsyncIterable<Uint8Array>;

/** No line of an export comes near this: a record is at most 1 MiB, and is escaped. */
const LINE_CHARS_MAX = 16 * 2 ** 20;

export async function auditVerify(
  deps: Deps,
  flags: VerifyFlags,
  [source = ""]: readonly string[],
): Promise<number> {
  const key = await verifierOf(flags.key);
  const kept = flags.kept === undefined ? null : await keptOf(flags.kept, key);
  const lines = linesOf(await openSource(source, flags.tokenFile), source);
  const first = await lines.next();
  const begin = first.done === true ? "" : first.value;
  if (isTlogProof(`${begin}\n`)) {
    return verifyProof(deps, flags, { source, key, text: await restOf(begin, lines) });
  }
  const verifier = new ExportVerifier(key, kept);
  let refuted = first.done === true ? null : verifier.line(begin);
  while (refuted === null) {
    const next = await lines.next();
    if (next.done === true) break;
    refuted = verifier.line(next.value);
  }
  await lines.return(undefined);
  return report(deps, flags, source, refuted ?? verifier.end());
}

function report(deps: Deps, flags: VerifyFlags, source: string, result: Verified | Refuted) {
  if (flags.json) {
    deps.out.json(result);
    return result.ok ? EXIT_OK : EXIT_FAILED;
  }
  if (!result.ok) {
    const { seq, through, reason } = result;
    const where = through > seq ? `one of the sequences ${seq} to ${through}` : `sequence ${seq}`;
    throw new Failure(EXIT_FAILED, `${source}: ${where}: ${reason}`);
  }
  const { fabric, from, to, signedTo, checkpoints } = result;
  const count = `${checkpoints} checkpoint${checkpoints === 1 ? "" : "s"}`;
  deps.out.line(`fabric ${fabric}: records ${from} to ${signedTo} are as signed (${count})`);
  if (to > signedTo) deps.out.note(`heddle: records ${signedTo + 1} to ${to} are not signed yet`);
  return EXIT_OK;
}

/** Throws Failure: a checkpoint that the key did not sign proves nothing. */
async function keptOf(path: string, key: VerifierKey): Promise<Checkpoint> {
  const note = parseNote(await textOf("--kept", path));
  const checkpoint = note === null ? null : parseCheckpoint(note.text);
  if (note === null || checkpoint === null) {
    throw misuse(`--kept ${path}`, "expected what `heddle audit checkpoint` printed");
  }
  if (signedBy(note, key) === "valid" && checkpoint.origin === key.name) return checkpoint;
  throw misuse(`--kept ${path}`, `is not signed by ${key.text}`);
}

interface Given {
  readonly source: string;
  readonly key: VerifierKey;
  readonly text: string;
}

function verifyProof(deps: Deps, flags: VerifyFlags, { source, key, text }: Given): number {
  const proof = parseTlogProof(text);
  const note = proof === null ? null : parseNote(proof.checkpoint);
  const checkpoint = note === null ? null : parseCheckpoint(note.text);
  if (proof === null || note === null || checkpoint === null) {
    throw new Failure(EXIT_FAILED, `${source}: expected what \`heddle audit proof\` printed`);
  }
  const seq = proof.index + 1;
  const signed = signedBy(note, key) === "valid" && checkpoint.origin === key.name;
  const leaf = sha256(Uint8Array.of(0, ...proof.record));
  const included = isIncluded(sha256, {
    ...checkpoint,
    leaf,
    index: proof.index,
    path: proof.path,
  });
  const record = new TextDecoder().decode(proof.record);
  // The sequence is in the record too, and the tree holds it at that place only.
  const ok = signed && included && record.startsWith(`${seq} `);
  if (flags.json) deps.out.json({ ok, seq, size: checkpoint.size, record });
  else if (ok) deps.out.line(record);
  else {
    const why = signed ? "the hashes do not lead to the checkpoint" : `not signed by ${key.text}`;
    throw new Failure(EXIT_FAILED, `${source}: sequence ${seq}: ${why}`);
  }
  return ok ? EXIT_OK : EXIT_FAILED;
}

/** Throws Failure. */
async function openSource(source: string, tokenFile: string | undefined): Promise<Bytes> {
  if (source === "-") return Bun.stdin.stream();
  if (/^https?:\/\//.test(source)) return await download(source, tokenFile);
  try {
    return (await open(source)).createReadStream();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw misuse(source, `cannot be read (${code})`);
  }
}

async function download(url: string, tokenFile: string | undefined): Promise<Bytes> {
  const token = tokenFile === undefined ? null : (await textOf("--token-file", tokenFile)).trim();
  const headers = token === null ? {} : { headers: { authorization: `Bearer ${token}` } };
  let answer: Response;
  try {
    answer = await fetch(url, headers);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Failure(EXIT_UNREACHABLE, `${url}: ${reason}`, { cause: error });
  }
  if (answer.ok && answer.body !== null) return answer.body;
  throw new Failure(EXIT_UNREACHABLE, `${url}: the server answered ${answer.status}`);
}

async function* linesOf(bytes: Bytes, source: string): AsyncGenerator<string, void> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let rest = "";
  for await (const chunk of bytes) {
    const parts = (rest + decoded(decoder, chunk, source)).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
    if (rest.length > LINE_CHARS_MAX) throw new Failure(EXIT_FAILED, `${source}: a line too long`);
  }
  if (rest !== "") yield rest;
}

function decoded(decoder: TextDecoder, chunk: Uint8Array, source: string): string {
  try {
    return decoder.decode(chunk, { stream: true });
  } catch (error) {
    throw new Failure(EXIT_FAILED, `${source}: not UTF-8`, { cause: error });
  }
}

async function restOf(begin: string, lines: AsyncGenerator<string, void>): Promise<string> {
  let text = `${begin}\n`;
  for await (const line of lines) text += `${line}\n`;
  return text;
}
