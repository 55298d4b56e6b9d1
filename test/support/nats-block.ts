// What somebody with the server's disk can do and no permission prevents: change a stored record
// and its checksum, so that the server starts as if nothing had happened. A message block of
// nats-server (server/filestore.go of 2.9) is a row of
//
//   u32 length | u64 seq | i64 nanoseconds | u16 n | subject | [u32 n | headers] | payload | hash
//
// where the hash is HighwayHash-64, keyed with SHA-256 of "<stream>-<block>".

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { highwayHash64 } from "./highway-hash.ts";

const HAS_HEADERS = 0x8000_0000;
const FIXED_BYTES = 22;
const HASH_BYTES = 8;

/** In the store of a stopped server: replaces `find` in one record by `put`, of the same length. */
export function tamper(
  storeDir: string,
  stream: string,
  change: { readonly seq: number; readonly find: string; readonly put: string },
): void {
  const dir = join(storeDir, "jetstream", "$G", "streams", stream, "msgs");
  for (const name of readdirSync(dir).filter((each) => each.endsWith(".blk"))) {
    const path = join(dir, name);
    const block = readFileSync(path);
    if (!tamperBlock(block, `${stream}-${Number.parseInt(name, 10)}`, change)) continue;
    writeFileSync(path, block);
    return;
  }
  throw new Error(`no record ${change.seq} with ${change.find} in ${dir}`);
}

function tamperBlock(
  block: Buffer,
  name: string,
  { seq, find, put }: { seq: number; find: string; put: string },
): boolean {
  const key = createHash("sha256").update(name).digest();
  for (let at = 0; at < block.length; ) {
    const length = (block.readUInt32LE(at) & ~HAS_HEADERS) >>> 0;
    const record = block.subarray(at, at + length);
    at += length;
    if (Number(record.readBigUInt64LE(4)) !== seq) continue;
    const hash = record.subarray(length - HASH_BYTES);
    if (hash.readBigUInt64LE() !== highwayHash64(key, hashed(record))) {
      throw new Error(`record ${seq}: the checksum of this server's version is another`);
    }
    const where = record.indexOf(find);
    if (where < 0 || find.length !== put.length) return false;
    record.write(put, where);
    hash.writeBigUInt64LE(highwayHash64(key, hashed(record)));
    return true;
  }
  return false;
}

/** Sequence and time, subject, headers without their length, payload. */
function hashed(record: Buffer): Buffer {
  const subjectEnd = FIXED_BYTES + record.readUInt16LE(20);
  const headers = (record.readUInt32LE(0) & HAS_HEADERS) === 0 ? 0 : 4;
  return Buffer.concat([
    record.subarray(4, 20),
    record.subarray(FIXED_BYTES, subjectEnd),
    record.subarray(subjectEnd + headers, record.length - HASH_BYTES),
  ]);
}
