// nlmsghdr (linux/netlink.h) and the walk over the messages of one datagram.

import { DecodeError, inputOf, type Span, struct, u16, u32 } from "../layout.ts";

export const NLMSG_HDRLEN = 16;

/** struct nlmsghdr { __u32 len; __u16 type; __u16 flags; __u32 seq; __u32 pid; } */
export const nlmsghdr = struct({ len: u32, type: u16, flags: u16, seq: u32, pid: u32 });

/** One message; the span is its payload, valid only until the next datagram is received. */
export interface Frame extends Span {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  /** Port id of the socket that caused the message; 0 is the kernel itself. */
  readonly pid: number;
}

export function* frames(datagram: Uint8Array): Generator<Frame> {
  const input = inputOf(datagram);
  let at = 0;
  while (at < datagram.length) {
    const { len, type, flags, seq, pid } = nlmsghdr.read(input, at, datagram.length);
    const end = at + len;
    if (len < NLMSG_HDRLEN || end > datagram.length) {
      throw new DecodeError(`message at ${at} claims ${len} of ${datagram.length} bytes`);
    }
    yield { type, flags, seq, pid, input, at: at + NLMSG_HDRLEN, end };
    at += (len + 3) & ~3;
  }
}
