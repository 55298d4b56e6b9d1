// The structures of native/answer.h that go to the answering thread and come from it: rows of its
// table, and the records of what it did. Nothing else knows their offsets.

export const ANSWER = { size: 40, dst: 16, mac: 32, family: 38, dstFamily: 39 } as const;
export const RECORD = { size: 52, index: 40, outcome: 44, waitedUs: 48 } as const;
const PASSED_ON = -1;

/** Addresses as bytes; without `to` the row is taken out. */
export interface AnswerRow {
  readonly gateway: Uint8Array;
  readonly to: { readonly mac: Uint8Array; readonly dst: Uint8Array } | null;
}

/** One question, and what became of it. */
export interface QuestionRecord {
  readonly index: number;
  readonly gateway: Uint8Array;
  /** What was set; null when the question was passed on. */
  readonly answered: {
    readonly mac: Uint8Array;
    readonly dst: Uint8Array;
    /** 0, or the errno with which the kernel refused it. */
    readonly errno: number;
    readonly waitedUs: number;
  } | null;
}

export function encodeRows(rows: readonly AnswerRow[]): Uint8Array {
  const bytes = new Uint8Array(rows.length * ANSWER.size);
  for (const [i, row] of rows.entries()) putRow(bytes.subarray(i * ANSWER.size), row);
  return bytes;
}

function putRow(into: Uint8Array, { gateway, to }: AnswerRow): void {
  into.set(gateway, 0);
  into[ANSWER.family] = familyOf(gateway);
  if (to === null) return;
  into.set(to.dst, ANSWER.dst);
  into.set(to.mac, ANSWER.mac);
  into[ANSWER.dstFamily] = familyOf(to.dst);
}

/** Where an answer leads, or null for a row without one. */
export function rowAt(bytes: Uint8Array, at: number): AnswerRow["to"] {
  const family = bytes[at + ANSWER.dstFamily] ?? 0;
  if (family === 0) return null;
  const mac = bytes.slice(at + ANSWER.mac, at + ANSWER.mac + 6);
  return { mac, dst: addressAt(bytes, at + ANSWER.dst, family) };
}

export function recordAt(bytes: Uint8Array, at: number): QuestionRecord {
  const view = new DataView(bytes.buffer, at, RECORD.size);
  const gateway = addressAt(bytes, at, view.getUint8(ANSWER.family));
  const index = view.getUint32(RECORD.index, true);
  const errno = view.getInt32(RECORD.outcome, true);
  const to = errno === PASSED_ON ? null : rowAt(bytes, at);
  if (to === null) return { index, gateway, answered: null };
  return {
    index,
    gateway,
    answered: { ...to, errno, waitedUs: view.getUint32(RECORD.waitedUs, true) },
  };
}

function addressAt(bytes: Uint8Array, at: number, family: number): Uint8Array {
  return bytes.slice(at, at + (family === 4 ? 4 : 16));
}

function familyOf({ length }: Uint8Array): 4 | 6 {
  if (length === 4) return 4;
  if (length === 16) return 6;
  throw new RangeError(`an address of ${length} bytes`);
}
