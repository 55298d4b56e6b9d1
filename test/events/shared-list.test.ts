import { expect, test } from "bun:test";
import { sharedList } from "../../src/events/shared-list.ts";

test("equal lists become one", () => {
  const first = sharedList(["198.18.0.0/15", "2001:db8::/64"]);
  expect(sharedList(["198.18.0.0/15", "2001:db8::/64"])).toBe(first);
  expect(sharedList([])).toBe(sharedList([]));
  expect(sharedList([])).toEqual([]);
});

test("lists that only look alike when they are joined stay what they are", () => {
  expect(sharedList(["a b"])).toEqual(["a b"]);
  expect(sharedList(["a", "b"])).toEqual(["a", "b"]);
  expect(sharedList([""])).toEqual([""]);
});

test("very many different ones are not all kept, and are still right", () => {
  for (let n = 0; n < 3000; n++) expect(sharedList([`c${n}`])).toEqual([`c${n}`]);
  expect(sharedList(["c0"])).toBe(sharedList(["c0"]));
});
