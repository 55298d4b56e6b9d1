import { expect, test } from "bun:test";
import {
  cidrToken,
  isFabricName,
  isNodeName,
  nameToken,
  streamName,
} from "../../src/events/name.ts";

test.each(["h1", "node-1", "ip-10-0-0-1.eu.example", "A", "7"])("%s names a node", (name) => {
  expect(isNodeName(name)).toBe(true);
});

test.each(["", "-h", "h-", "h.", "a..b", "a b", "h*", "h>", "h_1", "a/b", "x".repeat(254)])(
  "%p names no node",
  (name) => {
    expect(isNodeName(name)).toBe(false);
  },
);

test("a fabric name is short, lower-case and safe in a subject", () => {
  for (const good of ["default", "a", "lab-2", "x".repeat(32)])
    expect(isFabricName(good)).toBe(true);
  for (const bad of ["", "Lab", "a.b", "a_b", "-a", "a-", "x".repeat(33)]) {
    expect(isFabricName(bad)).toBe(false);
  }
});

test("names and prefixes become single subject tokens, no two the same", () => {
  expect(nameToken("a.b-c")).toBe("a_b-c");
  expect(nameToken("h1")).toBe("h1");
  expect(cidrToken("10.5.3.0/24")).toBe("10_5_3_0-24");
  expect(cidrToken("fd00::/64")).toBe("fd00::-64");
});

test("the stream is named after the fabric", () => {
  expect(streamName("lab-2")).toBe("HEDDLE_LAB_2");
});
