import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeSnapshot, encodeSnapshot } from "../../src/events/snapshot.ts";
import { stateDocument } from "../../src/events/state-document.ts";
import { steps, tell } from "../support/arbitraries.ts";
import { contentOf } from "../support/content.ts";
import { history } from "../support/history.ts";

const position = { created: "2030-01-01T00:00:00Z", seq: 3, chain: "ab", tip: "cd" };
const state = () =>
  history("t").config({ Network: "10.5.0.0/16" }).join("h1").claim("h1", ["10.5.1.0/24"]).state();
const text = () => encodeSnapshot({ position, state: state() });
const refusal = (of: string) => {
  const decoded = decodeSnapshot("t", of);
  return decoded.ok ? "accepted" : decoded.reason;
};

test("a snapshot gives back position and state, maps in the log's order and all", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const told = tell(all).state;
      const at = { ...position, seq: told.seq };
      const decoded = decodeSnapshot("t", encodeSnapshot({ position: at, state: told }));
      if (!decoded.ok) throw new Error(decoded.reason);
      const { state: given, ...rest } = decoded.snapshot;
      expect(rest).toEqual({ position: at });
      expect(contentOf(given)).toEqual(contentOf(told));
    }),
    { numRuns: 100 },
  );
});

describe("a snapshot that cannot be trusted is refused", () => {
  test("when it is not JSON, or cut off", () => {
    expect(refusal("")).toStartWith("not JSON");
    expect(refusal(text().slice(0, -10))).toStartWith("not JSON");
  });

  test("when it is something else, or of other rules", () => {
    for (const other of ["{}", "[]", "null", text().replace(/"schema":\d+/, '"schema":0')]) {
      expect(refusal(other)).toBe("not a snapshot of this version");
    }
  });

  test("when it is another fabric's", () => {
    expect(refusal(text().replace('"fabric":"t"', '"fabric":"u"'))).toBe("it is of fabric u");
  });

  test("when one character of the state has changed", () => {
    expect(refusal(text())).toBe("accepted");
    expect(refusal(text().replaceAll("10.5.1.0/24", "10.5.2.0/24"))).toBe(
      "damaged: the checksum does not match",
    );
  });

  test("when state and position are not of one place", () => {
    const other = encodeSnapshot({ position: { ...position, seq: 4 }, state: state() });
    expect(refusal(other)).toBe("its state is of 3, its position 4");
  });
});

test("the document for readers is in the order of names, whatever the order of the log", () => {
  const story = history("t").config({ Network: "10.5.0.0/16" }).join("h2").join("h1");
  story.peer("b", "10.5.9.0/24", "198.18.9.9").peer("a", "10.5.8.0/24", "198.18.9.8");
  const { nodes, peers, endpoints } = stateDocument(story.state());
  expect(nodes.map(({ node }) => node)).toEqual(["h1", "h2"]);
  expect(peers.map(({ name }) => name)).toEqual(["a", "b"]);
  expect(Object.keys(endpoints)).toEqual(Object.keys(endpoints).sort());
});
