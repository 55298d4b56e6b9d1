// NLMSG_ERROR and the error it becomes: the operation, the errno, and what the kernel said in its
// extended acknowledgement (NETLINK_EXT_ACK) about which part of the request it disliked.

import { attrs, i32, text, u32 } from "../layout.ts";
import { NLM_F_ACK_TLVS, NLM_F_CAPPED } from "./constants.ts";
import { type Frame, NLMSG_HDRLEN, nlmsghdr } from "./header.ts";

export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** What was asked, e.g. `RTM 24`. */
  readonly op: string;
  /** Positive; 105 (ENOBUFS) also stands for a lost acknowledgement. */
  readonly errno: number;
  /** The kernel's words, or null when it gave none. */
  readonly extack: string | null;
  /** Where in the request the offending attribute starts, or null. */
  readonly offset: number | null;
  constructor(op: string, errno: number, extack: string | null, offset: number | null = null) {
    super(`${op}: errno ${errno}${extack === null ? "" : `: ${extack}`}`);
    this.op = op;
    this.errno = errno;
    this.extack = extack;
    this.offset = offset;
  }
}

/** enum nlmsgerr_attrs. */
const tlvs = attrs({
  NLMSGERR_ATTR_MSG: [1, text],
  NLMSGERR_ATTR_OFFS: [2, u32],
});

/** The error in an NLMSG_ERROR frame, or null when it is a plain acknowledgement. */
export function errorOf(frame: Frame, op: string): NetlinkError | null {
  const { input, at, end } = frame;
  const code = -i32.read(input, at, end);
  if (code === 0) return null;
  if ((frame.flags & NLM_F_ACK_TLVS) === 0) return new NetlinkError(op, code, null);
  const request = nlmsghdr.read(input, at + 4, end);
  const capped = (frame.flags & NLM_F_CAPPED) !== 0;
  const echoed = capped ? NLMSG_HDRLEN : (request.len + 3) & ~3;
  const said = tlvs.read(input, Math.min(at + 4 + echoed, end), end);
  return new NetlinkError(
    op,
    code,
    said.NLMSGERR_ATTR_MSG ?? null,
    said.NLMSGERR_ATTR_OFFS ?? null,
  );
}
