// RTM_*ROUTE: struct rtmsg and RTA_* (linux/rtnetlink.h).

import { attrs, message, raw, struct, u8, u16, u32 } from "../layout.ts";

export const rtmsg = struct({
  family: u8,
  dst_len: u8,
  src_len: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
});

export const route = message(
  rtmsg,
  attrs({
    RTA_DST: [1, raw],
    RTA_SRC: [2, raw],
    RTA_OIF: [4, u32],
    RTA_GATEWAY: [5, raw],
    RTA_PRIORITY: [6, u32],
    RTA_PREFSRC: [7, raw],
    RTA_METRICS: [8, raw],
    RTA_MULTIPATH: [9, raw],
    RTA_FLOW: [11, u32],
    RTA_CACHEINFO: [12, raw],
    RTA_TABLE: [15, u32],
    RTA_VIA: [18, raw],
    RTA_PREF: [20, u8],
    RTA_ENCAP_TYPE: [21, u16],
    RTA_ENCAP: [22, raw],
    RTA_EXPIRES: [23, u32],
    RTA_NH_ID: [30, u32],
  }),
);
