// RTM_*ADDR: struct ifaddrmsg and IFA_* (linux/if_addr.h).

import { attrs, message, raw, struct, text, u8, u32 } from "../layout.ts";

export const addr = message(
  struct({ family: u8, prefixlen: u8, flags: u8, scope: u8, index: u32 }),
  attrs({
    IFA_ADDRESS: [1, raw],
    IFA_LOCAL: [2, raw],
    IFA_LABEL: [3, text],
    IFA_CACHEINFO: [6, raw],
    IFA_FLAGS: [8, u32],
  }),
);
