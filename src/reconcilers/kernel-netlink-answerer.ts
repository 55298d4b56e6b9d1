// The thread that answers the kernel's questions (native/answer.h), as a watch of the MissKernel
// port. While the loop removes entries the thread passes all questions on: between the removal of a
// neighbour and that of its forwarding entry it would set both, and lose the second.

import type { QuestionRecord } from "../ffi/netlink/answer-records.ts";
import { Answerer } from "../ffi/netlink/answerer.ts";
import { NetlinkError } from "../ffi/netlink/error.ts";
import type { Devices } from "./kernel-netlink-dev.ts";
import type { Echoes } from "./kernel-netlink-echo.ts";
import { ipText, ipToBytes, macText, macToBytes } from "./kernel-netlink-text.ts";
import { keyOf, PROTOCOL } from "./kernel-state.ts";
import type { MissPath, MissWatch, MissWatcher, Prepared } from "./miss.ts";

export interface AnsweringThreadOptions extends MissWatcher {
  readonly netns: string | null;
  readonly devices: () => Devices;
  readonly echoes: Echoes;
  readonly receiveBuffer: number;
  readonly onClose: () => void;
}

export class AnsweringThread implements MissWatch {
  readonly path: MissPath;
  readonly #options: AnsweringThreadOptions;
  readonly #answerer: Answerer;
  #devs: readonly string[] = [];
  #withheld = 0;
  /** What was last told to the thread. */
  #served = "0 0";
  #closed = false;

  /** Throws an Error that says why there can be none. */
  constructor(options: AnsweringThreadOptions) {
    this.#options = options;
    const { netns, receiveBuffer } = options;
    const onRecords = () => this.drain();
    this.#answerer = new Answerer({ netns, protocol: PROTOCOL, receiveBuffer, onRecords });
    this.path = { by: "thread", realtime: this.#answerer.realtime };
    // What was asked before is found by whoever looks now.
    setImmediate(() => {
      if (!this.#closed) options.onGap();
    });
  }

  prepare(answers: readonly Prepared[]): void {
    const rows = answers.map(({ ip, to }) => ({
      gateway: ipToBytes(ip),
      to: to === null ? null : { mac: macToBytes(to.mac), dst: ipToBytes(to.dst) },
    }));
    this.#answerer.set(rows);
  }

  serve(devs: readonly string[]): void {
    this.#devs = devs;
    this.#tell();
  }

  /** Nothing is answered from what was prepared while `work` runs. */
  async withhold<T>(work: () => Promise<T>): Promise<T> {
    this.#withheld++;
    this.#tell();
    try {
      return await work();
    } finally {
      this.#withheld--;
      this.#tell();
    }
  }

  #tell(): void {
    if (this.#closed) return;
    const [four = 0, six = 0] = this.#withheld > 0 ? [] : this.#devs.map((dev) => this.#index(dev));
    if (this.#served === `${four} ${six}`) return;
    this.#served = `${four} ${six}`;
    this.#answerer.serve(four, six);
  }

  #index(dev: string): number {
    try {
      return this.#options.devices().indexOf(dev) ?? 0;
    } catch (error) {
      if (error instanceof NetlinkError) return 0;
      throw error;
    }
  }

  drain(): void {
    if (this.#closed) return;
    const { records, lost } = this.#answerer.take();
    for (const record of records) this.#pass(record);
    if (lost) this.#options.onGap();
  }

  #pass({ index, gateway, answered }: QuestionRecord): void {
    const { onMiss, onAnswered, echoes } = this.#options;
    const dev = this.#nameOf(index);
    if (dev === null) return;
    const ip = ipText(gateway);
    if (answered === null) {
      onMiss({ dev, ip, sinceMs: 0 });
      return;
    }
    const { errno, waitedUs } = answered;
    const [mac, dst] = [macText(answered.mac), ipText(answered.dst)];
    const fdb = { dev, mac, dst, permanent: true, extra: null };
    const neigh = { dev, ip, mac, permanent: true, protocol: PROTOCOL };
    const set = { verb: "set", found: null } as const;
    echoes.expect({ ...set, noun: "fdb", key: keyOf.fdb(fdb), object: fdb }, index);
    echoes.expect({ ...set, noun: "neigh", key: keyOf.neigh(neigh), object: neigh }, index);
    onAnswered({ dev, ip, waitedUs, ok: errno === 0 });
  }

  #nameOf(index: number): string | null {
    try {
      return this.#options.devices().nameOf(index);
    } catch (error) {
      // The kernel asks again in a second.
      if (error instanceof NetlinkError) return null;
      throw error;
    }
  }

  /** Whether the thread signed this change. */
  isOwn(port: number): boolean {
    return port === this.#answerer.port;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#answerer.close();
    this.#options.onClose();
  }
}
