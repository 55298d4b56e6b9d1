// Notifications of NETLINK_NETFILTER about nftables, as far as they name a table: struct nfgenmsg,
// then in every kind of message but NFT_MSG_NEWGEN attribute 1 is the table
// (linux/netfilter/nf_tables.h).

import { attrs, message, struct, text, u8, u16be } from "../layout.ts";

/** enum nf_tables_msg_types: the end of a transaction; it names no table. */
export const NFT_MSG_NEWGEN = 15;

const nfgenmsg = struct({ family: u8, version: u8, res_id: u16be });

export const nftables = message(nfgenmsg, attrs({ NFTA_TABLE: [1, text] }));
