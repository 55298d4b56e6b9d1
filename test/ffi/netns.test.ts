import { describe, expect, test } from "bun:test";
import { readFileSync, readlinkSync } from "node:fs";
import { NativeError, openReadOnly, setsockopt } from "../../src/ffi/libc.ts";
import { withNetns } from "../../src/ffi/netns.ts";
import { makeNetns, requireRoot } from "../support/netns.ts";

const here = () => readlinkSync("/proc/thread-self/ns/net");

if (requireRoot("network namespaces")) {
  describe("withNetns", () => {
    test("runs inside, and is home again afterwards", () => {
      using netns = makeNetns();
      netns.ip("link add inside type bridge");
      const home = here();
      const [there, devices] = withNetns(netns.path, () => [
        here(),
        readFileSync("/proc/thread-self/net/dev", "utf8"),
      ]);
      expect(there).not.toBe(home);
      expect(devices).toContain("inside:");
      expect(here()).toBe(home);
    });

    test("is home again after an error, a wrong path and a function that would wait", () => {
      using netns = makeNetns();
      const home = here();
      const fail = () => {
        throw new Error("inside");
      };
      expect(() => withNetns(netns.path, fail)).toThrow("inside");
      expect(() => withNetns("/run/netns/no-such-namespace", here)).toThrow(NativeError);
      expect(() => withNetns("/proc/self/ns/mnt", here)).toThrow(NativeError);
      expect(() => withNetns(netns.path, () => Promise.resolve())).toThrow(TypeError);
      expect(here()).toBe(home);
    });

    test("null means to stay", () => {
      const home = here();
      expect(withNetns(null, here)).toBe(home);
    });
  });
}

describe("libc", () => {
  test("a failing call tells its name and errno", () => {
    const failed = () => openReadOnly("/no/such/file");
    expect(failed).toThrow(NativeError);
    expect(failed).toThrow("open /no/such/file: errno 2");
  });

  test("an integer that the FFI would truncate is refused", () => {
    expect(() => setsockopt(2 ** 32 + 1, 1, 1, 1)).toThrow(RangeError);
    expect(() => setsockopt(1, 1.5, 1, 1)).toThrow(RangeError);
  });
});
