// The codec engine for netlink: fixed structs and nested attributes, described by tables that are
// data, with the TypeScript types inferred from them. Invariants: attribute numbers are explicit;
// attributes keep the order in which they are written or met; an attribute without a table row
// survives as `#<type>`; bad input throws DecodeError and nothing else. Integers are little-endian
// unless marked: Bun runs only on little-endian machines. Sockets and meanings are elsewhere.

export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

/** A growing output buffer; `at` is where the next byte goes. */
export class Writer {
  bytes = new Uint8Array(65_536);
  view = new DataView(this.bytes.buffer);
  at = 0;

  /** Makes room for `length` zeroed bytes, moves past them and returns where they start. */
  take(length: number): number {
    const start = this.at;
    this.at += length;
    if (this.at > this.bytes.length) this.#grow();
    // Mostly four bytes: a loop costs less than calling fill().
    for (let at = start; at < this.at; at += 1) this.bytes[at] = 0;
    return start;
  }

  #grow(): void {
    const bigger = new Uint8Array(Math.max(this.bytes.length * 2, this.at));
    bigger.set(this.bytes);
    this.bytes = bigger;
    this.view = new DataView(bigger.buffer);
  }
}

/** Input with the view over the same bytes made once. */
export interface Input {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export function inputOf(bytes: Uint8Array): Input {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/** A part of an input, such as the payload of one of several messages in a datagram. */
export interface Span {
  readonly input: Input;
  readonly at: number;
  readonly end: number;
}

/** How one value is laid out. Methods, so that tables of mixed codecs have a type. */
export interface Codec<T> {
  /** Fixed size in bytes, or null when the surrounding attribute decides. */
  readonly size: number | null;
  write(writer: Writer, value: T): void;
  read(input: Input, at: number, end: number): T;
}

function need(at: number, end: number, size: number): void {
  if (end - at < size) throw new DecodeError(`${size} bytes needed at ${at}, ${end - at} left`);
}

function integer(
  size: number,
  min: number,
  max: number,
  put: (view: DataView, at: number, value: number) => void,
  get: (view: DataView, at: number) => number,
): Codec<number> {
  return {
    size,
    write(writer, value) {
      if (!Number.isInteger(value) || value < min || value > max) {
        throw new RangeError(`${value} is not an integer from ${min} to ${max}`);
      }
      const at = writer.take(size);
      put(writer.view, at, value);
    },
    read(input, at, end) {
      need(at, end, size);
      return get(input.view, at);
    },
  };
}

export const u8 = integer(
  1,
  0,
  0xff,
  (v, at, x) => v.setUint8(at, x),
  (v, at) => v.getUint8(at),
);
export const u16 = integer(
  2,
  0,
  0xffff,
  (v, at, x) => v.setUint16(at, x, true),
  (v, at) => v.getUint16(at, true),
);
export const u16be = integer(
  2,
  0,
  0xffff,
  (v, at, x) => v.setUint16(at, x),
  (v, at) => v.getUint16(at),
);
export const u32 = integer(
  4,
  0,
  0xffffffff,
  (v, at, x) => v.setUint32(at, x, true),
  (v, at) => v.getUint32(at, true),
);
export const u32be = integer(
  4,
  0,
  0xffffffff,
  (v, at, x) => v.setUint32(at, x),
  (v, at) => v.getUint32(at),
);
export const i32be = integer(
  4,
  -0x80000000,
  0x7fffffff,
  (v, at, x) => v.setInt32(at, x),
  (v, at) => v.getInt32(at),
);
export const i32 = integer(
  4,
  -0x80000000,
  0x7fffffff,
  (v, at, x) => v.setInt32(at, x, true),
  (v, at) => v.getInt32(at, true),
);

/** Raw bytes up to the end of the attribute; decoded values are copies. */
export const raw: Codec<Uint8Array> = {
  size: null,
  write(writer, value) {
    const at = writer.take(value.length);
    writer.bytes.set(value, at);
  },
  read: (input, at, end) => input.bytes.slice(at, end),
};

/** Text ended by a NUL, as the kernel's NLA_NUL_STRING. */
export const text: Codec<string> = {
  size: null,
  write(writer, value) {
    const bytes = new TextEncoder().encode(value);
    const at = writer.take(bytes.length + 1);
    writer.bytes.set(bytes, at);
  },
  read(input, at, end) {
    const nul = input.bytes.indexOf(0, at);
    const stop = nul < 0 || nul > end ? end : nul;
    return new TextDecoder().decode(input.bytes.subarray(at, stop));
  },
};

/** An attribute that says yes by being there. */
export const flag: Codec<true> = {
  size: null,
  write: () => undefined,
  read: () => true,
};

type ValueOf<C> = C extends Codec<infer T> ? T : never;
type Fields = Readonly<Record<string, Codec<number>>>;
export type StructValue<F extends Fields> = { readonly [K in keyof F]: number };

/** A C struct of integers, in order and without gaps (padding is a field). Left out means 0. */
export interface Struct<F extends Fields> extends Codec<StructValue<F>> {
  readonly size: number;
  /** Where a field begins. */
  readonly at: { readonly [K in keyof F]: number };
  write(writer: Writer, value: Partial<StructValue<F>>): void;
}

export function struct<const F extends Fields>(fields: F): Struct<F> {
  const list = Object.entries(fields);
  const places: Record<string, number> = {};
  let size = 0;
  for (const [name, codec] of list) {
    places[name] = size;
    size += codec.size ?? 0;
  }
  return {
    size,
    at: places as { readonly [K in keyof F]: number },
    write(writer, value) {
      for (const [name, codec] of list) codec.write(writer, value[name] ?? 0);
    },
    read(input, at, end) {
      need(at, end, size);
      const out: Record<string, number> = {};
      let next = at;
      for (const [name, codec] of list) {
        out[name] = codec.read(input, next, end);
        next += codec.size ?? 0;
      }
      return out as StructValue<F>;
    },
  };
}

/** Rows are `NAME: [number, codec]`; the number may carry NLA_F_NESTED, which reading ignores. */
type Rows = Readonly<Record<string, readonly [number, Codec<unknown>]>>;
export type AttrsValue<R extends Rows> = {
  readonly [K in keyof R]?: ValueOf<R[K][1]> | undefined;
} & { readonly [unknown: `#${number}`]: Uint8Array };

const HEADER = 4;
/** NLA_TYPE_MASK: the two upper bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;
export const NLA_F_NESTED = 0x8000;

const aligned = (length: number) => (length + 3) & ~3;

function writeAttr<T>(writer: Writer, type: number, codec: Codec<T>, value: T): void {
  const start = writer.take(HEADER);
  codec.write(writer, value);
  const length = writer.at - start;
  if (length > 0xffff) throw new RangeError(`attribute ${type} is ${length} bytes long`);
  writer.view.setUint16(start, length, true);
  writer.view.setUint16(start + 2, type, true);
  writer.take(aligned(length) - length);
}

interface Attrs<R extends Rows> extends Codec<AttrsValue<R>> {
  readonly numbers: { readonly [K in keyof R]: number };
  /** Where the value of each of the attributes in `bytes` begins, by name. */
  places(bytes: Uint8Array, from: number): Readonly<Record<string, number>>;
}

export function attrs<const R extends Rows>(rows: R): Attrs<R> {
  const byNumber: { name: string; codec: Codec<unknown> }[] = [];
  const numbers: Record<string, number> = {};
  for (const [name, [number, codec]] of Object.entries(rows)) {
    byNumber[number & TYPE_MASK] = { name, codec };
    numbers[name] = number;
  }
  return {
    size: null,
    numbers: numbers as { readonly [K in keyof R]: number },
    places(bytes, from) {
      const { view } = inputOf(bytes);
      const places: Record<string, number> = {};
      for (let at = from; at < bytes.length; at += aligned(view.getUint16(at, true))) {
        const row = byNumber[view.getUint16(at + 2, true) & TYPE_MASK];
        if (row !== undefined) places[row.name] = at + HEADER;
      }
      return places;
    },
    write(writer, value) {
      const items: Readonly<Record<string, unknown>> = value;
      for (const name in items) {
        const item = items[name];
        if (item === undefined) continue;
        const row = rows[name];
        if (row !== undefined) writeAttr(writer, row[0], row[1], item);
        else if (name.startsWith("#"))
          writeAttr(writer, Number(name.slice(1)), raw, item as Uint8Array);
        else throw new RangeError(`no attribute is called ${name}`);
      }
    },
    read(input, start, end) {
      const out: Record<string, unknown> = {};
      let at = start;
      while (at < end) {
        need(at, end, HEADER);
        const length = input.view.getUint16(at, true);
        const type = input.view.getUint16(at + 2, true);
        if (length < HEADER || at + length > end) {
          throw new DecodeError(`attribute ${type} at ${at} claims ${length} bytes`);
        }
        const row = byNumber[type & TYPE_MASK];
        if (row === undefined) out[`#${type}`] = raw.read(input, at + HEADER, at + length);
        else out[row.name] = row.codec.read(input, at + HEADER, at + length);
        at += aligned(length);
      }
      return out as AttrsValue<R>;
    },
  };
}

/** Attributes of one number, whatever number they say, in order. */
export function list<T>(number: number, codec: Codec<T>): Codec<readonly T[]> {
  return {
    size: null,
    write(writer, items) {
      for (const item of items) writeAttr(writer, number, codec, item);
    },
    read(input, start, end) {
      const items: T[] = [];
      for (let at = start; at < end; ) {
        need(at, end, HEADER);
        const length = input.view.getUint16(at, true);
        if (length < HEADER || at + length > end) {
          throw new DecodeError(`list element at ${at} claims ${length} bytes`);
        }
        items.push(codec.read(input, at + HEADER, at + length));
        at += aligned(length);
      }
      return items;
    },
  };
}

/** A netlink payload: one struct, then attributes. */
export interface Message<F extends Fields, R extends Rows> {
  /** Of the attributes, as the table has them. */
  readonly numbers: Attrs<R>["numbers"];
  encode(header: Partial<StructValue<F>>, attributes: AttrsValue<R>): Uint8Array;
  decode(payload: Uint8Array): Decoded<F, R>;
  /** The same, in place. */
  read(span: Span): Decoded<F, R>;
  /** A message to be copied and written over. */
  pattern<A extends AttrsValue<R>>(
    header: Partial<StructValue<F>>,
    attributes: A,
  ): Pattern<keyof F | keyof A>;
}

/**
 * A message of which thousands are made at once that differ in a few numbers: copying it and
 * writing those takes a tenth of encoding each.
 */
export interface Pattern<K extends PropertyKey> {
  readonly bytes: Uint8Array;
  /** Where the values of fields and attributes begin. */
  readonly at: Readonly<Record<K, number>>;
}

export interface Decoded<F extends Fields, R extends Rows> {
  readonly header: StructValue<F>;
  readonly attrs: AttrsValue<R>;
}

/**
 * @example
 * const neigh = message(struct({ family: u8, … }), attrs({ NDA_DST: [1, raw], … }));
 * const bytes = neigh.encode({ family: 2 }, { NDA_DST: Uint8Array.of(10, 5, 3, 0) });
 */
export function message<F extends Fields, R extends Rows>(
  header: Struct<F>,
  table: Attrs<R>,
): Message<F, R> {
  const read = ({ input, at, end }: Span): Decoded<F, R> => ({
    header: header.read(input, at, end),
    attrs: table.read(input, Math.min(at + aligned(header.size), end), end),
  });
  const encode: Message<F, R>["encode"] = (fields, attributes) => {
    scratch.at = 0;
    header.write(scratch, fields);
    scratch.take(aligned(scratch.at) - scratch.at);
    table.write(scratch, attributes);
    return scratch.bytes.slice(0, scratch.at);
  };
  return {
    numbers: table.numbers,
    read,
    encode,
    pattern<A extends AttrsValue<R>>(fields: Partial<StructValue<F>>, attributes: A) {
      const bytes = encode(fields, attributes);
      const at = { ...header.at, ...table.places(bytes, aligned(header.size)) };
      return { bytes, at: at as Readonly<Record<keyof F | keyof A, number>> };
    },
    decode: (payload) => read({ input: inputOf(payload), at: 0, end: payload.length }),
  };
}

/** Little-endian, as `u32`, where a pattern says. */
export function putU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
}

/** Bytes of a value that is not a whole message, such as the inside of IFLA_INFO_DATA. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const writer = new Writer();
  codec.write(writer, value);
  return writer.bytes.slice(0, writer.at);
}

export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  return codec.read(inputOf(bytes), 0, bytes.length);
}

// One buffer serves every encode(): it is filled and copied out without a pause in between.
const scratch = new Writer();
