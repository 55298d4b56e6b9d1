// The answering thread of native/answer.h: its binding, the layout of its structures, and the class
// that owns the handle. The thread answers the kernel's questions from the rows that it was given
// and writes down what it did; it wakes the event loop when there is something to take.

import { dlopen } from "bun:ffi";
import { NativeError } from "../libc.ts";
import { libraryPath } from "../native-library.ts";
import { withNetns } from "../netns.ts";
import {
  ANSWER,
  type AnswerRow,
  encodeRows,
  type QuestionRecord,
  RECORD,
  recordAt,
} from "./answer-records.ts";
import { Listener } from "./listener.ts";

const STATUS = { size: 12, wakeFd: 0, port: 4, realtime: 8 } as const;
/** Records taken by one call, and rows given by one: the thread waits meanwhile. */
const CHUNK = 256;

const FUNCTIONS = {
  hm_layout: { args: ["ptr", "u32"], returns: "i32" },
  hm_open: { args: ["u32", "u32", "ptr", "ptr"], returns: "i32" },
  hm_set: { args: ["u64", "ptr", "u32"], returns: "i32" },
  hm_serve: { args: ["u64", "u32", "u32"], returns: "i32" },
  hm_take: { args: ["u64", "ptr", "u32", "ptr"], returns: "i32" },
  hm_close: { args: ["u64"], returns: "i32" },
} as const;

type Native = ReturnType<typeof dlopen<typeof FUNCTIONS>>["symbols"];

export interface AnswererOptions {
  readonly netns: string | null;
  /** Marks the neighbours that it sets. */
  readonly protocol: number;
  /** Of the questions, in bytes. */
  readonly receiveBuffer: number;
  /** There is something to take. */
  readonly onRecords: () => void;
}

let loaded: Native | undefined;

/** Listens, and passes all questions on, from construction on. */
export class Answerer {
  /** Port id of the changes that the thread makes. */
  readonly port: number;
  /** Whether it runs before ordinary threads. */
  readonly realtime: boolean;
  readonly #native: Native;
  readonly #listener: Listener;
  readonly #records = new Uint8Array(CHUNK * RECORD.size);
  readonly #lost = new Uint32Array(1);
  #handle: bigint | null;

  /** Throws an Error that says why the library cannot be used, or NativeError. */
  constructor({ netns, protocol, receiveBuffer, onRecords }: AnswererOptions) {
    loaded ??= load(libraryPath());
    this.#native = loaded;
    const status = new DataView(new ArrayBuffer(STATUS.size));
    const out = new BigUint64Array(1);
    const open = () => this.#native.hm_open(protocol, receiveBuffer, bytesOf(status), out);
    const done = withNetns(netns, open);
    if (done < 0) throw new NativeError("hm_open", -done);
    this.#handle = out[0] ?? 0n;
    this.port = status.getUint32(STATUS.port, true);
    this.realtime = status.getUint32(STATUS.realtime, true) === 1;
    let wakeFd: number | null = status.getInt32(STATUS.wakeFd, true);
    this.#listener = new Listener({
      subscribe: () => {
        const fd = wakeFd;
        wakeFd = null;
        return fd;
      },
      onDatagram: onRecords,
      reopenMs: 0,
    });
  }

  /** Adds, replaces or takes out rows. */
  set(rows: readonly AnswerRow[]): void {
    for (let from = 0; from < rows.length; from += CHUNK) {
      const chunk = rows.slice(from, from + CHUNK);
      const done = this.#native.hm_set(this.#open(), encodeRows(chunk), chunk.length);
      if (done < 0) throw new NativeError("hm_set", -done);
    }
  }

  /** Answers on these devices only; 0 is none. Afterwards no answer by others is under way. */
  serve(index4: number, index6: number): void {
    this.#native.hm_serve(this.#open(), index4, index6);
  }

  /**
   * What it did since the last call, all of it: an entry of its making that a dump has shown is
   * among these. `lost` says that some questions went unheard, or answers unwritten.
   */
  take(): { readonly records: readonly QuestionRecord[]; readonly lost: boolean } {
    const records: QuestionRecord[] = [];
    let lost = false;
    for (;;) {
      const count = this.#native.hm_take(this.#open(), this.#records, CHUNK, this.#lost);
      lost ||= this.#lost[0] === 1;
      for (let i = 0; i < count; i++) records.push(recordAt(this.#records, i * RECORD.size));
      if (count < CHUNK) return { records, lost };
    }
  }

  close(): void {
    const handle = this.#open();
    this.#handle = null;
    this.#native.hm_close(handle);
    this.#listener.close();
  }

  #open(): bigint {
    if (this.#handle === null) throw new Error("the answering thread has ended");
    return this.#handle;
  }
}

function load(path: string): Native {
  const native = dlopen(path, FUNCTIONS).symbols;
  const expected = [ANSWER, RECORD, STATUS].map(({ size }) => size);
  const sizes = new Uint32Array(expected.length);
  const count = native.hm_layout(sizes, sizes.length);
  if (count === expected.length && expected.every((size, i) => size === sizes[i])) return native;
  throw new Error(`${path}: structure sizes ${sizes.join()}, this program needs ${expected}`);
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer);
}
