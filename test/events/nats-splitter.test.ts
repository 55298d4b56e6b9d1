import { describe, expect, test } from "bun:test";
import { Kind, type MsgArg, Parser, type ParserEvent } from "@nats-io/nats-core/internal";
import fc from "fast-check";
import { FrameSplitter } from "../../src/events/nats-splitter.ts";

/** Of the subscription whose messages are taken, those with a reply subject. */
const CLAIMED = 12;
const LINE_BYTES_MAX = 1000;

const word = fc.stringMatching(/^[!-~ä€]{1,20}$/u);
const sid = fc.constantFrom(1, 2, CLAIMED, 112, 121);
const payload = fc
  .oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom("", "\r\n", "PING\r\n", `x\r\nMSG a ${CLAIMED} b 1\r\nx\r\n`),
  )
  .map((content) => Buffer.from(content));
const headers = fc
  .stringMatching(/^[a-z]{0,10}$/)
  .map((value) => (value === "" ? "NATS/1.0 408 Done\r\n\r\n" : `NATS/1.0\r\na: ${value}\r\n\r\n`));
const reply = fc.option(word, { nil: "" }).map((subject) => (subject === "" ? "" : `${subject} `));

const plain = fc.record({ subject: word, sid, reply, payload }).map((message) => {
  const { subject, sid, reply, payload } = message;
  return wire(`MSG ${subject} ${sid} ${reply}${payload.length}\r\n`, payload, "\r\n");
});
const headed = fc.record({ subject: word, sid, reply, headers, payload }).map((message) => {
  const { subject, sid, reply, headers, payload } = message;
  const size = headers.length + payload.length;
  return wire(
    `HMSG ${subject} ${sid} ${reply}${headers.length} ${size}\r\n`,
    ...[headers, payload, "\r\n"],
  );
});
const line = fc
  .constantFrom("PING", "PONG", "+OK", "-ERR 'Stale Connection'", 'INFO {"a":[1]}')
  .map((text) => wire(text, "\r\n"));
const frames = fc.array(fc.oneof(plain, headed, line), { maxLength: 12 });

describe("what comes in any pieces", () => {
  test("is taken as the client would read it, and the rest is passed on byte by byte", () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(400)), (sent, cuts) => {
        const { taken, passed } = split(pieces(Buffer.concat(sent), cuts));
        const mine = sent.filter((frame) => isMine(frame));
        expect(taken.map(({ message }) => message)).toEqual(mine.flatMap((frame) => read(frame)));
        const others = sent.filter((frame) => !isMine(frame));
        expect(passed.equals(Buffer.concat(others))).toBe(true);
        // Nothing overtakes what was sent before it.
        const before = mine.map((frame) =>
          others.filter((o) => sent.indexOf(o) < sent.indexOf(frame)),
        );
        expect(taken.map(({ passedBytes }) => passedBytes)).toEqual(
          before.map((frames) => Buffer.concat(frames).length),
        );
      }),
    );
  });

  const strange = fc.constantFrom(
    ...["msg a 12 b 1\r\nx\r\n", "MSG  a 12 b 1\r\nx\r\n", "MSG a 12 b 1\r\nxyz\r\n", "HELLO\r\n"],
    ...["MSG a b c d 1\r\nx\r\n", "MSG a 0 b 1\r\nx\r\n", "HMSG a 12 b 9 1\r\nx\r\n", "Hm\r\n"],
    ...["MSG a 12 b 67108865\r\nx", "MSG a 12 b 1x\r\nx\r\n", "MSG a 12 b 1\n\nx\r\n", "\r\n"],
  );
  test("is the client's altogether from something strange on", () => {
    fc.assert(
      fc.property(frames, strange, frames, fc.array(fc.nat(400)), (before, odd, after, cuts) => {
        const rest = [wire(odd), ...after];
        const { taken, passed } = split(pieces(Buffer.concat([...before, ...rest]), cuts));
        expect(taken).toHaveLength(before.filter((frame) => isMine(frame)).length);
        const others = before.filter((frame) => !isMine(frame));
        expect(passed.equals(Buffer.concat([...others, ...rest]))).toBe(true);
      }),
    );
  });
});

test("a line without an end is the client's, and so is what follows", () => {
  const endless = wire(`INFO ${"x".repeat(LINE_BYTES_MAX)}`);
  const more = wire(`\r\nMSG a ${CLAIMED} b 1\r\nx\r\n`);
  const { taken, passed } = split([endless.subarray(0, 10), endless.subarray(10), more]);
  expect(taken).toEqual([]);
  expect(passed.equals(Buffer.concat([endless, more]))).toBe(true);
});

test("after its release a subscription is the client's again", () => {
  const frame = wire(`MSG a ${CLAIMED} b 1\r\nx\r\n`);
  const passed: Buffer[] = [];
  const splitter = new FrameSplitter((bytes) => passed.push(bytes), LINE_BYTES_MAX);
  splitter.claim(CLAIMED, () => true);
  splitter.split(frame);
  splitter.release(CLAIMED);
  splitter.split(frame);
  expect(passed).toEqual([frame]);
});

test("a chunk without a claimed message is passed on as it is, not copied", () => {
  const passed: Buffer[] = [];
  const splitter = new FrameSplitter((bytes) => passed.push(bytes), LINE_BYTES_MAX);
  splitter.split(wire("PING\r\nMSG a 1 b 1\r\nx\r\n"));
  const whole = wire("MSG a 1 b 1\r\nx\r\nPING\r\n");
  splitter.split(whole);
  expect(passed).toHaveLength(2);
  expect(passed[1]?.buffer).toBe(whole.buffer);
});

interface Message {
  readonly sid: number;
  readonly subject: string;
  readonly reply: string;
  readonly payload: Buffer;
}

interface Taken {
  readonly message: Message;
  /** To the client until then. */
  readonly passedBytes: number;
}

function split(chunks: readonly Buffer[]): { taken: Taken[]; passed: Buffer } {
  const taken: Taken[] = [];
  const passed: Buffer[] = [];
  const splitter = new FrameSplitter((bytes) => passed.push(bytes), LINE_BYTES_MAX);
  splitter.claim(CLAIMED, (bytes, frame) => {
    const subject = bytes.toString("utf8", frame.subjectAt, frame.subjectEnd);
    const reply = bytes.toString("utf8", frame.replyAt, frame.replyEnd);
    if (reply === "") return false;
    const payload = bytes.subarray(frame.payloadAt, frame.payloadEnd);
    const passedBytes = Buffer.concat(passed).length;
    taken.push({ message: { sid: frame.sid, subject, reply, payload }, passedBytes });
    return true;
  });
  for (const chunk of chunks) splitter.split(chunk);
  return { taken, passed: Buffer.concat(passed) };
}

/** The messages in `bytes`, by the client's own parser. */
function read(bytes: Buffer): Message[] {
  const events: ParserEvent[] = [];
  new Parser({ push: (event: ParserEvent) => events.push(event) }).parse(bytes);
  return events.flatMap((event) => (event.kind === Kind.MSG ? [messageOf(event)] : []));
}

function messageOf(event: ParserEvent): Message {
  const { msg, data } = event as { msg: MsgArg; data: Uint8Array };
  return {
    sid: msg.sid,
    subject: Buffer.from(msg.subject).toString(),
    reply: Buffer.from(msg.reply ?? []).toString(),
    payload: Buffer.from(data.subarray(Math.max(0, msg.hdr))),
  };
}

function isMine(frame: Buffer): boolean {
  return read(frame).some(({ sid, reply }) => sid === CLAIMED && reply !== "");
}

/** As a socket may deliver it. */
function pieces(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    chunks.push(Buffer.from(bytes.subarray(at, at + length)));
    at += length;
  }
  return [...chunks, Buffer.from(bytes.subarray(at))];
}

function wire(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
}
