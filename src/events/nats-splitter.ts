// Stands between the socket and the NATS client, whose parser makes a dozen objects of a message.
// Messages of a subscription that was claimed go straight to who claimed it, as they lie in the
// bytes; all else goes on to the client untouched, in ranges as long as they can be.
//
// Invariant: every frame is taken or passed on, whole, once and in order. What is not understood
// ends the taking: from there on the client gets everything, and its callbacks the messages.

import { type Frame, frameAt } from "./nats-frame.ts";

/** False leaves the message to the client. Must not throw: the rest of the bytes would be lost. */
export type Take = (bytes: Buffer, frame: Frame) => boolean;

const LF = 0x0a;

export class FrameSplitter {
  readonly #pass: (bytes: Buffer) => void;
  readonly #lineBytesMax: number;
  readonly #takers = new Map<number, Take>();
  #understood = true;
  /** A frame of which there is more to come, and how much: 0 until its line is whole. */
  #held: Buffer[] = [];
  #missing = 0;

  constructor(pass: (bytes: Buffer) => void, lineBytesMax: number) {
    this.#pass = pass;
    this.#lineBytesMax = lineBytesMax;
  }

  claim(sid: number, take: Take): void {
    this.#takers.set(sid, take);
  }

  release(sid: number): void {
    this.#takers.delete(sid);
  }

  split(chunk: Buffer): void {
    let rest = chunk;
    while (this.#held.length > 0 && rest.length > 0) {
      const length = this.#missing === 0 ? lineLength(rest) : Math.min(this.#missing, rest.length);
      this.#held.push(rest.subarray(0, length));
      rest = rest.subarray(length);
      if (length < this.#missing) this.#missing -= length;
      else this.#run(Buffer.concat(this.#held.splice(0)));
    }
    this.#run(rest);
  }

  #run(bytes: Buffer): void {
    let at = 0;
    let passed = 0;
    while (this.#understood && at < bytes.length) {
      const frame = frameAt(bytes, at);
      if (frame === "strange" || (frame === "cut" && bytes.length - at > this.#lineBytesMax)) {
        this.#understood = false;
      } else if (frame === "cut" || frame.end > bytes.length) {
        this.#passOn(bytes, passed, at);
        this.#held.push(bytes.subarray(at));
        this.#missing = frame === "cut" ? 0 : frame.end - bytes.length;
        return;
      } else {
        const take = this.#takers.get(frame.sid);
        if (take !== undefined) {
          this.#passOn(bytes, passed, at);
          passed = take(bytes, frame) ? frame.end : at;
        }
        at = frame.end;
      }
    }
    this.#passOn(bytes, passed, bytes.length);
  }

  #passOn(bytes: Buffer, from: number, to: number): void {
    if (from < to) this.#pass(bytes.subarray(from, to));
  }
}

function lineLength(bytes: Buffer): number {
  const end = bytes.indexOf(LF);
  return end < 0 ? bytes.length : end + 1;
}
