// A rule's text, as nft prints it, and the program that the kernel runs for it. Only the words of
// rule.ts are known. The programs are those that nft 1.0.6 makes of the same texts: a rule counts
// as read only if its text makes the very program that was found, so whatever else somebody put
// into it shows up as a text that no plan contains.

import { type Expression, NFPROTO } from "../ffi/netlink/nftables.ts";
import { ipText, ipToBytes, splitPrefix } from "./kernel-netlink-text.ts";

/** linux/netfilter/nf_tables.h */
const NFT_REG_VERDICT = 0;
const NFT_REG_1 = 1;
const NFT_META_MARK = 3;
const NFT_META_NFPROTO = 15;
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NFT_CMP_EQ = 0;
const NFT_CMP_NEQ = 1;
const NFT_BITWISE_MASK_XOR = 0;
const NFT_RETURN = -5;
const NF_ACCEPT = 1;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10;

type Word = "ip" | "ip6";
type Side = "saddr" | "daddr";

/** Where the addresses stand in struct iphdr and struct ipv6hdr. */
const HEADERS = {
  ip: { bytes: 4, saddr: 12, daddr: 16 },
  ip6: { bytes: 16, saddr: 8, daddr: 24 },
} as const;

const VERDICTS: Readonly<Record<string, Expression>> = {
  accept: verdict(NF_ACCEPT),
  return: verdict(NFT_RETURN),
  "masquerade fully-random": {
    name: "masq",
    data: { NFTA_MASQ_FLAGS: NF_NAT_RANGE_PROTO_RANDOM_FULLY },
  },
};

const ADDRESS = /^(ip6?) ([sd]addr) (!= )?([0-9a-f.:]+\/\d+) /;
const MARK = /^meta mark & 0x([0-9a-f]{8}) == 0x([0-9a-f]{8}) /;

/** The program of `text`, or null when it is no rule of ours. */
export function programOf(text: string): readonly Expression[] | null {
  const program: Expression[] = [];
  let family: Word | null = null;
  for (let rest = text; ; ) {
    const last = VERDICTS[rest];
    if (last !== undefined) return [...program, last];
    const address = ADDRESS.exec(rest);
    const mark = address === null ? MARK.exec(rest) : null;
    if (address !== null) {
      const [, word = "", side = "", not, prefix = ""] = address;
      if (family !== word) program.push(load(NFT_META_NFPROTO), compareFamily(word as Word));
      family = word as Word;
      program.push(...matchAddress(family, side as Side, not === undefined, prefix));
    } else if (mark !== null) program.push(...matchMark(mark[1] ?? "", mark[2] ?? ""));
    else return null;
    rest = rest.slice((address ?? mark)?.[0].length);
  }
}

function matchAddress(word: Word, side: Side, equal: boolean, prefix: string): Expression[] {
  const { ip, length } = splitPrefix(prefix);
  const address = ipToBytes(ip);
  const header = HEADERS[word];
  const op = equal ? NFT_CMP_EQ : NFT_CMP_NEQ;
  // What ends at a byte is compared by loading only so many of them.
  const whole = length > 0 && length % 8 === 0;
  const bytes = whole ? length / 8 : header.bytes;
  const payload: Expression = {
    name: "payload",
    data: {
      NFTA_PAYLOAD_DREG: NFT_REG_1,
      NFTA_PAYLOAD_BASE: NFT_PAYLOAD_NETWORK_HEADER,
      NFTA_PAYLOAD_OFFSET: header[side],
      NFTA_PAYLOAD_LEN: bytes,
    },
  };
  const masked = whole ? [] : [mask(maskOf(header.bytes, length))];
  return [payload, ...masked, compare(op, address.slice(0, bytes))];
}

/** Marks are numbers of the machine's byte order; Bun runs only on little-endian ones. */
function matchMark(bits: string, wanted: string): Expression[] {
  const bytes = (hex: string): Uint8Array => Uint8Array.fromHex(hex).reverse();
  // nft names the operation here, and leaves it out for prefixes.
  const masked = mask(bytes(bits), { NFTA_BITWISE_OP: NFT_BITWISE_MASK_XOR });
  return [load(NFT_META_MARK), masked, compare(NFT_CMP_EQ, bytes(wanted))];
}

function maskOf(bytes: number, length: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => {
    const bits = Math.min(8, Math.max(0, length - i * 8));
    return (0xff << (8 - bits)) & 0xff;
  });
}

function verdict(code: number): Expression {
  return {
    name: "immediate",
    data: {
      NFTA_IMMEDIATE_DREG: NFT_REG_VERDICT,
      NFTA_IMMEDIATE_DATA: { NFTA_DATA_VERDICT: { NFTA_VERDICT_CODE: code } },
    },
  };
}

function load(key: number): Expression {
  return { name: "meta", data: { NFTA_META_KEY: key, NFTA_META_DREG: NFT_REG_1 } };
}

function mask(bits: Uint8Array, operation: { readonly NFTA_BITWISE_OP?: number } = {}): Expression {
  return {
    name: "bitwise",
    data: {
      NFTA_BITWISE_SREG: NFT_REG_1,
      NFTA_BITWISE_DREG: NFT_REG_1,
      ...operation,
      NFTA_BITWISE_LEN: bits.length,
      NFTA_BITWISE_MASK: { NFTA_DATA_VALUE: bits },
      NFTA_BITWISE_XOR: { NFTA_DATA_VALUE: new Uint8Array(bits.length) },
    },
  };
}

function compare(op: number, value: Uint8Array): Expression {
  return {
    name: "cmp",
    data: {
      NFTA_CMP_SREG: NFT_REG_1,
      NFTA_CMP_OP: op,
      NFTA_CMP_DATA: { NFTA_DATA_VALUE: value },
    },
  };
}

const compareFamily = (word: Word) => compare(NFT_CMP_EQ, Uint8Array.of(NFPROTO[word]));

/** The text of a rule found in the kernel; one of its own kind when it is no rule of ours. */
export function textOf(program: readonly Expression[]): string {
  const text = roughText(program);
  const again = programOf(text);
  if (again !== null && canonical(again) === canonical(program)) return text;
  const steps = program.map((step) => (step.name === "other" ? step.of : step.name));
  return `(${steps.join(", ")})`;
}

/** What the program would say if it were one of ours. */
function roughText(program: readonly Expression[]): string {
  const words: string[] = [];
  let subject = "";
  let bits: Uint8Array | null = null;
  for (const step of program) {
    if (step.name === "meta") subject = step.data.NFTA_META_KEY === NFT_META_MARK ? "mark" : "";
    if (step.name === "payload") subject = addressAt(step.data.NFTA_PAYLOAD_OFFSET);
    if (step.name === "bitwise") bits = step.data.NFTA_BITWISE_MASK?.NFTA_DATA_VALUE ?? null;
    if (step.name === "immediate" || step.name === "masq") words.push(lastWord(step));
    if (step.name !== "cmp") continue;
    const wanted = step.data.NFTA_CMP_DATA?.NFTA_DATA_VALUE ?? new Uint8Array();
    const not = step.data.NFTA_CMP_OP === NFT_CMP_NEQ ? "!= " : "";
    if (subject === "mark") words.push(`meta mark & ${hex(bits)} == ${hex(wanted)}`);
    else if (subject !== "") words.push(`${subject} ${not}${prefixText(subject, wanted, bits)}`);
    bits = null;
  }
  return words.join(" ");
}

function addressAt(offset: number | undefined): string {
  for (const [word, header] of Object.entries(HEADERS)) {
    if (header.saddr === offset) return `${word} saddr`;
    if (header.daddr === offset) return `${word} daddr`;
  }
  return "";
}

function prefixText(subject: string, wanted: Uint8Array, bits: Uint8Array | null): string {
  const address = new Uint8Array(subject.startsWith("ip6") ? 16 : 4);
  address.set(wanted.subarray(0, address.length));
  let length = wanted.length * 8;
  if (bits !== null) length = bits.reduce((sum, byte) => sum + ones(byte), 0);
  return `${ipText(address)}/${length}`;
}

const ones = (byte: number): number => byte.toString(2).replaceAll("0", "").length;

const hex = (bytes: Uint8Array | null): string => `0x${(bytes?.toReversed() ?? bytes)?.toHex()}`;

function lastWord(step: Expression): string {
  const found = Object.entries(VERDICTS).find(
    ([, known]) => canonical([known]) === canonical([step]),
  );
  return found?.[0] ?? "";
}

/** Equal for programs that do the same thing in the same steps, whatever the attributes' order. */
function canonical(program: readonly Expression[]): string {
  return JSON.stringify(program.map((step) => (step.name === "other" ? step : sorted(step))));
}

function sorted(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.toHex();
  if (typeof value !== "object" || value === null) return value;
  // Kernels before 5.6 know one operation and do not name it.
  const entries = Object.entries(value)
    .filter(([name, item]) => name !== "NFTA_BITWISE_OP" || item !== NFT_BITWISE_MASK_XOR)
    .map(([name, item]) => [name, sorted(item)] as const);
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}
