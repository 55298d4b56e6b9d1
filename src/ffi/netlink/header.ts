// nlmsghdr (linux/netlink.h) and the walk over the messages of one datagram.

import { DecodeError, inputOf, type Span, struct, u16, u32 } from "../layout.ts";

export const NLMSG_HDRLEN = 16;

/** struct nlmsghdr { __u32 len; __u16 type; __u16 flags; __u32 seq; __u32 pid; } */
export const nlmsghdr = struct({ len: u32, type: u16, flags: u16, seq: u32, pid: u32 });

const FIELD = nlmsghdr.at;

/** One message; the span is its payload, valid only until the next datagram is received. */
export interface Frame extends Span {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  /** Port id of the socket that caused the message; 0 is the kernel itself. */
  readonly pid: number;
}

export function frames(datagram: Uint8Array): readonly Frame[] {
  const found: Frame[] = [];
  const input = inputOf(datagram);
  const { view } = input;
  const { length } = datagram;
  let at = 0;
  while (at < length) {
    // Not by nlmsghdr.read, nor one by one: a dump of 10 000 routes is read cold, twice.
    const len = length - at < NLMSG_HDRLEN ? 0 : view.getUint32(at + FIELD.len, true);
    const end = at + len;
    if (len < NLMSG_HDRLEN || end > length) {
      throw new DecodeError(`message at ${at} claims ${len} of ${length} bytes`);
    }
    found.push({
      type: view.getUint16(at + FIELD.type, true),
      flags: view.getUint16(at + FIELD.flags, true),
      seq: view.getUint32(at + FIELD.seq, true),
      pid: view.getUint32(at + FIELD.pid, true),
      input,
      at: at + NLMSG_HDRLEN,
      end,
    });
    at += (len + 3) & ~3;
  }
  return found;
}
