import { expect, test } from "bun:test";
import { ServedBy } from "../../src/reconcilers/served-by.ts";

test("the peer of an object is found by the object's id, and by no other", () => {
  const served = new ServedBy();
  served.set("route", "10.5.3.0/24 0", "h3");
  served.set("neigh", "heddle.1 10.5.3.0", "h3");
  served.set("neigh", "heddle.1 10.5.4.0", "h4");
  expect(served.get("route 10.5.3.0/24 0")).toBe("h3");
  expect(served.get("neigh heddle.1 10.5.4.0")).toBe("h4");
  expect(served.get("fdb heddle.1 10.5.4.0")).toBeUndefined();
  expect(served.get("route 10.5.4.0/24 0")).toBeUndefined();
  expect(served.get("route")).toBeUndefined();
  expect(served.size).toBe(3);
});
