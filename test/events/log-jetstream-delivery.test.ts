import { expect, test } from "bun:test";
import fc from "fast-check";
import { deliveryIn, deliveryMark } from "../../src/events/log-jetstream-delivery.ts";

const MARK = deliveryMark("HEDDLE_T", "aB3dE6gH");
const count = fc.nat(2 ** 40);
/** From 2001 to 2286: nanoseconds of 19 digits. */
const timeMs = fc.integer({ min: 1e12, max: 1e13 - 1 });
const nanos = fc.tuple(timeMs, fc.nat(999_999));
/** What stands before the stream: nothing, or a domain and an account. */
const account = fc.constantFrom("", "_.", "_.ACC0UNT.", "hub.ACC0UNT.");
/** What stands behind: nothing, or a token that servers may add. */
const more = fc.constantFrom("", ".x7Yz");

test("a record's reply subject says where the record stands, in both forms", () => {
  const numbers = { seq: count, consumerSeq: count, pending: count, nanos };
  fc.assert(
    fc.property(fc.record(numbers), account, more, (wanted, account, more) => {
      const { seq, consumerSeq, pending } = wanted;
      const [timeMs, below] = wanted.nanos;
      const time = `${timeMs}${String(below).padStart(6, "0")}`;
      const place = `1.${seq}.${consumerSeq}.${time}.${pending}`;
      const reply = `$JS.ACK.${account}HEDDLE_T.aB3dE6gH.${place}${more}`;
      expect(delivery(reply)).toEqual({ seq, consumerSeq, timeMs, pending });
    }),
  );
});

test.each([
  ["", "no reply"],
  ["$JS.FC.HEDDLE_T.x", "flow control"],
  ["$JS.ACK.HEDDLE_U.aB3dE6gH.1.1.1.1763456789110000000.0", "another stream"],
  ["$JS.ACK.HEDDLE_T.another.1.1.1.1763456789110000000.0", "another consumer"],
  ["$JS.ACK.HEDDLE_T.aB3dE6g", "cut off"],
])("%j is not one: %s", (reply) => {
  expect(delivery(reply)).toBeNull();
});

test("what is no number, or is missing, is -1", () => {
  const at = "$JS.ACK.HEDDLE_T.aB3dE6gH";
  const none = { seq: -1, consumerSeq: -1, timeMs: -1, pending: -1 };
  expect(delivery(`${at}.`)).toEqual(none);
  expect(delivery(`${at}.1.x.-1.1.1e3`)).toEqual(none);
});

/** In the middle of other bytes, as it is found on the wire. */
function delivery(reply: string): ReturnType<typeof deliveryIn> {
  const bytes = new TextEncoder().encode(`MSG a 1 ${reply} 5\r\n.HEDDLE_T.aB3dE6gH.1.2.3.4.5\r\n`);
  const at = "MSG a 1 ".length;
  return deliveryIn(bytes, at, at + reply.length, MARK);
}
