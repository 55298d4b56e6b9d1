import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatView, parseView, type View } from "../../src/web/view.ts";

test("a link opens the moment and host it was made for", () => {
  expect(parseView("?at=1234&host=h2")).toEqual({ at: 1234, host: "h2", types: [], find: "" });
  expect(formatView({ at: 1234, host: "h2", types: [], find: "" })).toBe("?at=1234&host=h2");
  expect(formatView({ at: null, host: null, types: [], find: "" })).toBe("");
});

test("every view survives its address", () => {
  const views: fc.Arbitrary<View> = fc.record({
    at: fc.option(fc.nat()),
    host: fc.option(fc.string({ minLength: 1 })),
    types: fc.array(fc.string({ minLength: 1 })),
    find: fc.string(),
  });
  fc.assert(fc.property(views, (view) => expect(parseView(formatView(view))).toEqual(view)));
});

test("an address that means nothing opens the live end", () => {
  for (const text of ["?at=", "?at=-1", "?at=2h", "?at=1e9", "?at=9999999999999999999"]) {
    expect(parseView(text).at).toBeNull();
  }
});
