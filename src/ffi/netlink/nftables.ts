// Messages of NETLINK_NETFILTER about nftables, as far as they name a table or the generation of
// the whole rule set: struct nfgenmsg, then in every kind of message but NFT_MSG_NEWGEN attribute 1
// is the table (linux/netfilter/nf_tables.h).

import { attrs, message, raw, struct, text, u8, u16be } from "../layout.ts";
import type { Frame } from "./header.ts";
import type { Request } from "./socket.ts";

/** enum nf_tables_msg_types: the end of a transaction; it names no table. */
export const NFT_MSG_NEWGEN = 15;

const nfgenmsg = struct({ family: u8, version: u8, res_id: u16be });

/** Asks for the generation of the rule set; the answer is NFT_MSG_NEWGEN. */
const NFT_MSG_GETGEN = 16;
const NFNL_SUBSYS_NFTABLES = 10;

const generation = message(nfgenmsg, attrs({ NFTA_GEN_ID: [1, raw] }));

export const nftables = message(nfgenmsg, attrs({ NFTA_TABLE: [1, text] }));

/** Every committed transaction, whoever made it, raises the generation of the namespace. */
export const getGeneration: Request = {
  type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN,
  flags: 0,
  payload: nftables.encode({}, {}),
};

/** The generation in the answer, as hex; null when the answer is something else. */
export function generationOf(frame: Frame): string | null {
  if ((frame.type & 0xff) !== NFT_MSG_NEWGEN) return null;
  const id = generation.read(frame).attrs.NFTA_GEN_ID;
  return id === undefined ? null : Buffer.from(id).toString("hex");
}
