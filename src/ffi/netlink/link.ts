// RTM_*LINK: struct ifinfomsg and IFLA_* (linux/if_link.h). IFLA_INFO_DATA depends on the kind, so
// it stays raw in the table and `vxlan` reads it when IFLA_INFO_KIND says so.

import { attrs, flag, i32, message, raw, struct, text, u8, u16, u16be, u32 } from "../layout.ts";

const linkInfo = attrs({
  IFLA_INFO_KIND: [1, text],
  IFLA_INFO_DATA: [2, raw],
});

const inet6 = attrs({ IFLA_INET6_ADDR_GEN_MODE: [8, u8] });

export const link = message(
  struct({ family: u8, pad: u8, type: u16, index: i32, flags: u32, change: u32 }),
  attrs({
    IFLA_ADDRESS: [1, raw],
    IFLA_IFNAME: [3, text],
    IFLA_MTU: [4, u32],
    IFLA_MASTER: [10, u32],
    IFLA_LINKINFO: [18, linkInfo],
    IFLA_IFALIAS: [20, text],
    IFLA_AF_SPEC: [26, attrs({ AF_INET: [2, raw], AF_INET6: [10, inet6] })],
    IFLA_EXT_MASK: [29, u32],
  }),
);

export const vxlan = attrs({
  IFLA_VXLAN_ID: [1, u32],
  IFLA_VXLAN_GROUP: [2, raw],
  IFLA_VXLAN_LINK: [3, u32],
  IFLA_VXLAN_LOCAL: [4, raw],
  IFLA_VXLAN_TTL: [5, u8],
  IFLA_VXLAN_TOS: [6, u8],
  IFLA_VXLAN_LEARNING: [7, u8],
  IFLA_VXLAN_AGEING: [8, u32],
  IFLA_VXLAN_LIMIT: [9, u32],
  IFLA_VXLAN_PROXY: [11, u8],
  IFLA_VXLAN_RSC: [12, u8],
  IFLA_VXLAN_L2MISS: [13, u8],
  IFLA_VXLAN_L3MISS: [14, u8],
  IFLA_VXLAN_PORT: [15, u16be],
  IFLA_VXLAN_GROUP6: [16, raw],
  IFLA_VXLAN_LOCAL6: [17, raw],
  IFLA_VXLAN_UDP_CSUM: [18, u8],
  IFLA_VXLAN_GBP: [23, flag],
});
