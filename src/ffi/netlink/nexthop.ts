// RTM_*NEXTHOP: struct nhmsg and NHA_* (linux/nexthop.h).

import { attrs, message, raw, struct, u8, u32 } from "../layout.ts";

export const nexthop = message(
  struct({ family: u8, scope: u8, protocol: u8, resvd: u8, flags: u32 }),
  attrs({
    NHA_ID: [1, u32],
    NHA_GROUP: [2, raw],
    NHA_OIF: [5, u32],
    NHA_GATEWAY: [6, raw],
  }),
);
