// RTM_*NEIGH: struct ndmsg and NDA_* (linux/neighbour.h). The neighbour tables (AF_INET, AF_INET6)
// and forwarding databases (AF_BRIDGE) share this message.

import { attrs, message, raw, struct, u8, u16, u16be, u32 } from "../layout.ts";

export const ndmsg = struct({
  family: u8,
  pad1: u8,
  pad2: u16,
  index: u32,
  state: u16,
  flags: u8,
  type: u8,
});

export const neigh = message(
  ndmsg,
  attrs({
    NDA_DST: [1, raw],
    NDA_LLADDR: [2, raw],
    NDA_CACHEINFO: [3, raw],
    NDA_PROBES: [4, u32],
    NDA_PORT: [6, u16be],
    NDA_VNI: [7, u32],
    NDA_IFINDEX: [8, u32],
    NDA_SRC_VNI: [11, u32],
    NDA_PROTOCOL: [12, u8],
    NDA_NH_ID: [13, u32],
  }),
);
