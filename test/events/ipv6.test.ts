import { expect, test } from "bun:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { isCanonicalIpv6, readGroups, writeGroups } from "../../src/events/ipv6.ts";

/** Mostly zeros, so that runs of zero groups of all kinds come up. */
const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });
/** What looks like an address, and rarely is one. */
const noise = fc.stringMatching(/^[0-9a-fA-F:.%]{0,24}$/);
/** An address in one of its many forms. */
const forms = groups.chain((parts) => {
  const plain = parts.map((part) => part.toString(16));
  const gap = fc.tuple(fc.nat(8), fc.nat(8)).map(([a, b]) => {
    const [from, to] = [Math.min(a, b), Math.max(a, b)];
    return `${plain.slice(0, from).join(":")}::${plain.slice(to).join(":")}`;
  });
  const short = ipaddr.fromByteArray(parts.flatMap((part) => [part >> 8, part & 255])).toString();
  return fc.oneof(gap, fc.constantFrom(plain.join(":"), short, short.toUpperCase(), `${short}0`));
});

test("canonical is what the general parser gives back unchanged", () => {
  fc.assert(
    fc.property(fc.oneof(noise, forms), (text) => {
      const read = ipaddr.IPv6.isValid(text) && !text.includes("%");
      expect(isCanonicalIpv6(text)).toBe(read && ipaddr.parse(text).toString() === text);
    }),
    { numRuns: 3000 },
  );
});

test("a long text that is none is refused in a moment", () => {
  const startMs = performance.now();
  for (const part of ["a", "a:", ":", "a::"]) {
    expect(isCanonicalIpv6(`${part.repeat(20_000)}g`)).toBe(false);
  }
  expect(performance.now() - startMs).toBeLessThan(1000);
});

test("groups are read as they were written", () => {
  fc.assert(
    fc.property(groups, (parts) => {
      const read = new Uint16Array(8).fill(0xabcd);
      readGroups(writeGroups(Uint16Array.from(parts)), read);
      expect([...read]).toEqual(parts);
    }),
  );
});
