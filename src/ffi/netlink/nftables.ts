// Messages of NETLINK_NETFILTER about nftables (linux/netfilter/nf_tables.h): struct nfgenmsg, then
// attributes. Numbers in them are big-endian. Tables, chains and rules as far as Heddle writes
// them; what others write is met as attributes and expressions without a name here.

import {
  type AttrsValue,
  attrs,
  type Codec,
  i32be,
  list,
  message,
  NLA_F_NESTED,
  raw,
  struct,
  text,
  u8,
  u16be,
  u32be,
} from "../layout.ts";
import { NLM_F_CREATE } from "./constants.ts";
import type { Frame } from "./header.ts";
import type { Request } from "./socket.ts";

const nfgenmsg = struct({ family: u8, version: u8, res_id: u16be });

const NFNL_SUBSYS_NFTABLES = 10;
/** enum nf_tables_msg_types. The end of a transaction, NEWGEN, names no table. */
export const NFT_MSG_NEWGEN = 15;
const NFT_MSG = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  GETCHAIN: 4,
  NEWRULE: 6,
  GETRULE: 7,
  GETGEN: 16,
} as const;

/** enum nfnl_batch_types: the marks around a transaction (linux/netfilter/nfnetlink.h). */
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NLM_F_APPEND = 0x800;

/** linux/netfilter.h */
export const NFPROTO = { inet: 1, ip: 2, ip6: 10 } as const;
export type TableFamily = keyof typeof NFPROTO;

const nested = (number: number) => NLA_F_NESTED | number;

const generation = message(nfgenmsg, attrs({ NFTA_GEN_ID: [1, raw] }));

/** In every kind of message but NEWGEN attribute 1 is the table. */
export const nftables = message(
  nfgenmsg,
  attrs({ NFTA_TABLE: [1, text], NFTA_TABLE_FLAGS: [2, u32be], NFTA_TABLE_USE: [3, u32be] }),
);

export const chain = message(
  nfgenmsg,
  attrs({
    NFTA_CHAIN_TABLE: [1, text],
    NFTA_CHAIN_NAME: [3, text],
    NFTA_CHAIN_HOOK: [
      nested(4),
      attrs({
        NFTA_HOOK_HOOKNUM: [1, u32be],
        NFTA_HOOK_PRIORITY: [2, i32be],
        NFTA_HOOK_DEV: [3, text],
      }),
    ],
    NFTA_CHAIN_POLICY: [5, u32be],
    NFTA_CHAIN_TYPE: [7, text],
    NFTA_CHAIN_FLAGS: [10, u32be],
  }),
);

const value = attrs({
  NFTA_DATA_VALUE: [1, raw],
  NFTA_DATA_VERDICT: [nested(2), attrs({ NFTA_VERDICT_CODE: [1, i32be] })],
});

const shapes = {
  meta: attrs({ NFTA_META_DREG: [1, u32be], NFTA_META_KEY: [2, u32be] }),
  cmp: attrs({
    NFTA_CMP_SREG: [1, u32be],
    NFTA_CMP_OP: [2, u32be],
    NFTA_CMP_DATA: [nested(3), value],
  }),
  payload: attrs({
    NFTA_PAYLOAD_DREG: [1, u32be],
    NFTA_PAYLOAD_BASE: [2, u32be],
    NFTA_PAYLOAD_OFFSET: [3, u32be],
    NFTA_PAYLOAD_LEN: [4, u32be],
  }),
  bitwise: attrs({
    NFTA_BITWISE_SREG: [1, u32be],
    NFTA_BITWISE_DREG: [2, u32be],
    NFTA_BITWISE_LEN: [3, u32be],
    NFTA_BITWISE_MASK: [nested(4), value],
    NFTA_BITWISE_XOR: [nested(5), value],
    NFTA_BITWISE_OP: [6, u32be],
  }),
  immediate: attrs({ NFTA_IMMEDIATE_DREG: [1, u32be], NFTA_IMMEDIATE_DATA: [nested(2), value] }),
  masq: attrs({ NFTA_MASQ_FLAGS: [1, u32be] }),
} as const;

type Shapes = typeof shapes;
type DataOf<C> = C extends Codec<infer T> ? T : never;

/** One step of a rule's program; `other` is one that Heddle does not write. */
export type Expression =
  | { [N in keyof Shapes]: { readonly name: N; readonly data: DataOf<Shapes[N]> } }[keyof Shapes]
  | { readonly name: "other"; readonly of: string };

const named = attrs({ NFTA_EXPR_NAME: [1, text], NFTA_EXPR_DATA: [nested(2), raw] });
const byName: ReadonlyMap<string, Codec<AttrsValue<NamedRows>>> = new Map(
  Object.entries(shapes).map(([name, data]) => [
    name,
    attrs({ NFTA_EXPR_NAME: [1, text], NFTA_EXPR_DATA: [nested(2), data as Codec<unknown>] }),
  ]),
);
type NamedRows = {
  NFTA_EXPR_NAME: readonly [1, Codec<string>];
  NFTA_EXPR_DATA: readonly [number, Codec<unknown>];
};

/** The name, then attributes whose numbers mean what the name says. */
const expression: Codec<Expression> = {
  size: null,
  write(writer, item) {
    const codec = byName.get(item.name);
    if (codec === undefined || item.name === "other") throw new RangeError("no such expression");
    codec.write(writer, { NFTA_EXPR_NAME: item.name, NFTA_EXPR_DATA: item.data });
  },
  read(input, at, end) {
    const { NFTA_EXPR_NAME: name = "" } = named.read(input, at, end);
    const read = byName.get(name)?.read(input, at, end).NFTA_EXPR_DATA;
    return read === undefined ? { name: "other", of: name } : ({ name, data: read } as Expression);
  },
};

const NFTA_LIST_ELEM = 1;

export const rule = message(
  nfgenmsg,
  attrs({
    NFTA_RULE_TABLE: [1, text],
    NFTA_RULE_CHAIN: [2, text],
    NFTA_RULE_EXPRESSIONS: [nested(4), list(nested(NFTA_LIST_ELEM), expression)],
    NFTA_RULE_COMPAT: [5, raw],
    NFTA_RULE_USERDATA: [7, raw],
  }),
);

function request(type: keyof typeof NFT_MSG, flags: number, payload: Uint8Array): Request {
  return { type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG[type], flags, payload };
}

/** The marks around a transaction. */
export const BATCH: { readonly begin: Request; readonly end: Request } = {
  begin: mark(NFNL_MSG_BATCH_BEGIN),
  end: mark(NFNL_MSG_BATCH_END),
};

function mark(type: number): Request {
  const payload = nftables.encode({ res_id: NFNL_SUBSYS_NFTABLES }, {});
  return { type, flags: 0, payload };
}

export function newTable(family: number, table: string): Request {
  const payload = nftables.encode({ family }, { NFTA_TABLE: table, NFTA_TABLE_FLAGS: 0 });
  return request("NEWTABLE", 0, payload);
}

export function delTable(family: number, table: string): Request {
  return request("DELTABLE", 0, nftables.encode({ family }, { NFTA_TABLE: table }));
}

export function newChain(family: number, attributes: Parameters<typeof chain.encode>[1]): Request {
  return request("NEWCHAIN", NLM_F_CREATE, chain.encode({ family }, attributes));
}

/** At the end of its chain. */
export function newRule(family: number, attributes: Parameters<typeof rule.encode>[1]): Request {
  return request("NEWRULE", NLM_F_CREATE | NLM_F_APPEND, rule.encode({ family }, attributes));
}

/** Dumps: every table; the chains of a family; the rules of one table. */
export const getTables: Request = request("GETTABLE", 0, nftables.encode({}, {}));

export function getChains(family: number): Request {
  return request("GETCHAIN", 0, chain.encode({ family }, {}));
}

export function getRules(family: number, table: string): Request {
  return request("GETRULE", 0, rule.encode({ family }, { NFTA_RULE_TABLE: table }));
}

/** Every committed transaction, whoever made it, raises the generation of the namespace. */
export const getGeneration: Request = request("GETGEN", 0, nftables.encode({}, {}));

/** The generation in the answer, as hex; null when the answer is something else. */
export function generationOf(frame: Frame): string | null {
  if ((frame.type & 0xff) !== NFT_MSG_NEWGEN) return null;
  const id = generation.read(frame).attrs.NFTA_GEN_ID;
  return id === undefined ? null : Buffer.from(id).toString("hex");
}
