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
const NFT_MSG_GETTABLE = 1;
const NFNL_SUBSYS_NFTABLES = 10;
/** linux/netfilter.h */
const NFPROTO: ReadonlyMap<number, string> = new Map([
  [1, "inet"],
  [2, "ip"],
  [10, "ip6"],
]);

const generation = message(nfgenmsg, attrs({ NFTA_GEN_ID: [1, raw] }));

export const nftables = message(nfgenmsg, attrs({ NFTA_TABLE: [1, text] }));

/** Asks for all tables: a dump. */
export const getTables: Request = {
  type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE,
  flags: 0,
  payload: nftables.encode({}, {}),
};

/**
 * `inet heddle_default` of a table in the answer; null for families that nobody here asks about.
 */
export function tableOf(frame: Frame): string | null {
  const { header, attrs } = nftables.read(frame);
  const family = NFPROTO.get(header.family);
  return family === undefined || attrs.NFTA_TABLE === undefined
    ? null
    : `${family} ${attrs.NFTA_TABLE}`;
}

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
